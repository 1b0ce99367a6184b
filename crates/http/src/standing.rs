//! What an account that an administrator has locked or suspended may still do, by method and route. The route is the template
//! and not the path: a transaction id can read `logout`, too.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-locking>,
//! <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>

use http::Method;
use roost_users::Session;

use crate::Error;

/// Refuses what the caller's account may not do at the moment.
pub(crate) fn check(session: &Session, method: &Method, route: &str) -> Result<(), Error> {
    if session.locked && !may_be_locked(route) {
        return Err(Error::user_locked());
    }
    if session.suspended && !may_be_suspended(method, route) {
        return Err(Error::user_suspended());
    }
    Ok(())
}

fn may_be_locked(route: &str) -> bool {
    route.ends_with("/logout") || route.ends_with("/logout/all")
}

/// Who is suspended may read, look after their own account and devices, leave, and redact what they have sent themselves
/// (the endpoint looks whose it is). What others would notice is not for them.
fn may_be_suspended(method: &Method, route: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) {
        return true;
    }
    let path = route.strip_prefix("/_matrix/client/").and_then(|path| path.split_once('/'));
    let Some((_version, path)) = path else { return true };
    if let Some(room) = path.strip_prefix("rooms/{room_id}/") {
        let action = room.split('/').next().unwrap_or_default();
        return matches!(action, "leave" | "forget" | "redact" | "receipt" | "read_markers" | "report");
    }
    let first = path.split('/').next().unwrap_or_default();
    !matches!(first, "createRoom" | "join" | "knock" | "profile" | "directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_account_can_log_out_and_nothing_else() {
        assert!(may_be_locked("/_matrix/client/v3/logout"));
        assert!(may_be_locked("/_matrix/client/r0/logout/all"));
        assert!(!may_be_locked("/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}"));
    }

    #[test]
    fn a_suspended_account_reads_leaves_and_looks_after_itself() {
        let room = "/_matrix/client/v3/rooms/{room_id}";
        for (method, route, allowed) in [
            (Method::GET, "/_matrix/client/v3/sync".to_owned(), true),
            (Method::GET, format!("{room}/state/{{event_type}}"), true),
            (Method::PUT, format!("{room}/state/{{event_type}}"), false),
            (Method::PUT, format!("{room}/send/{{event_type}}/{{txn_id}}"), false),
            (Method::PUT, format!("{room}/typing/{{user_id}}"), false),
            (Method::PUT, format!("{room}/redact/{{event_id}}/{{txn_id}}"), true),
            (Method::POST, format!("{room}/leave"), true),
            (Method::POST, format!("{room}/receipt/{{receipt_type}}/{{event_id}}"), true),
            (Method::POST, format!("{room}/invite"), false),
            (Method::POST, format!("{room}/join"), false),
            (Method::POST, format!("{room}/upgrade"), false),
            (Method::POST, "/_matrix/client/v3/createRoom".to_owned(), false),
            (Method::POST, "/_matrix/client/v3/join/{room_id_or_alias}".to_owned(), false),
            (Method::POST, "/_matrix/client/r0/knock/{room_id_or_alias}".to_owned(), false),
            (Method::PUT, "/_matrix/client/v3/profile/{user_id}/{key_name}".to_owned(), false),
            (Method::PUT, "/_matrix/client/v3/directory/room/{room_alias}".to_owned(), false),
            (Method::PUT, "/_matrix/client/v3/user/{user_id}/account_data/{type}".to_owned(), true),
            (Method::DELETE, "/_matrix/client/v3/devices/{device_id}".to_owned(), true),
            (Method::POST, "/_matrix/client/v3/logout".to_owned(), true),
            (Method::POST, "/_matrix/client/v3/account/deactivate".to_owned(), true),
            (Method::POST, "/_matrix/client/v3/keys/upload".to_owned(), true),
        ] {
            assert_eq!(may_be_suspended(&method, &route), allowed, "{method} {route}");
        }
    }
}
