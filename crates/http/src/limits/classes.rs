//! Which requests are limited together.

use http::Method;

macro_rules! classes {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Requests that draw on one allowance.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Class {
            $($(#[doc = $doc])* $name,)*
        }

        impl Class {
            /// Every class, in the order of their discriminants.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name,)*];
            /// How many there are.
            pub const COUNT: usize = [$(Self::$name as u8,)*].len();
        }
    };
}

classes! {
    /// Logging in; per user means the account that is tried.
    Login,
    /// Registering an account, and asking whether a name is free.
    Registration,
    /// Writing: messages, state, redactions, account data.
    Sending,
    /// Creating, joining and inviting to rooms, and other changes that cost much or reach many.
    Rooms,
    /// What hashes passwords or searches: password changes, deactivation, directory searches.
    Costly,
    /// Registering at the identity server, which asks a homeserver.
    IdentityRegistration,
    /// Having the identity server send a message: to validate an address, or with an invitation.
    IdentityMessages,
    /// The same for each address that a message goes to, in the place of the user.
    IdentityThirdPartyId,
    /// Returning tokens, binding and unbinding at the identity server.
    IdentityBinding,
    /// Looking addresses up, by the request.
    IdentityLookup,
    /// Looking addresses up, by the address.
    IdentityAddresses,
}

impl Class {
    /// The class of an endpoint, by its route's template; most have none.
    pub(crate) fn of(method: &Method, route: &str) -> Option<Self> {
        if let Some(path) = route.strip_prefix("/_matrix/identity/v2/") {
            return identity(path);
        }
        let path = route.strip_prefix("/_matrix/client/")?;
        let (_version, path) = path.split_once('/')?;
        if *method == Method::GET {
            return match path {
                "register/available" | "register/m.login.registration_token/validity" => Some(Self::Registration),
                "publicRooms" => Some(Self::Costly),
                _ => None,
            };
        }
        if let Some(room) = path.strip_prefix("rooms/{room_id}/") {
            return match room.split('/').next().unwrap_or_default() {
                "send" | "state" | "redact" => Some(Self::Sending),
                "join" | "invite" | "kick" | "ban" | "unban" | "knock" | "leave" | "upgrade" | "report" => {
                    Some(Self::Rooms)
                }
                _ => None,
            };
        }
        match path {
            "login" | "refresh" => Some(Self::Login),
            "register" => Some(Self::Registration),
            "user/{user_id}/account_data/{type}" | "user/{user_id}/rooms/{room_id}/account_data/{type}" => {
                Some(Self::Sending)
            }
            // A new name in a profile is written into every room that its user is in.
            "createRoom" | "join/{room_id_or_alias}" | "knock/{room_id_or_alias}" | "profile/{user_id}/{key_name}" => {
                Some(Self::Rooms)
            }
            "account/password"
            | "account/deactivate"
            | "delete_devices"
            | "devices/{device_id}"
            | "publicRooms"
            | "user_directory/search"
            | "search"
            | "directory/room/{room_alias}" => Some(Self::Costly),
            _ => None,
        }
    }
}

/// The class of an endpoint of the identity server.
fn identity(path: &str) -> Option<Class> {
    match path {
        "account/register" => Some(Class::IdentityRegistration),
        "validate/email/requestToken" | "validate/msisdn/requestToken" | "store-invite" => {
            Some(Class::IdentityMessages)
        }
        "validate/email/submitToken"
        | "validate/msisdn/submitToken"
        | "3pid/getValidated3pid"
        | "3pid/bind"
        | "3pid/unbind"
        | "sign-ed25519" => Some(Class::IdentityBinding),
        "lookup" => Some(Class::IdentityLookup),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_registration_and_sending_are_limited_and_syncing_is_not() {
        let class = |method, route| Class::of(&method, route);
        assert_eq!(class(Method::POST, "/_matrix/client/v3/login"), Some(Class::Login));
        assert_eq!(class(Method::GET, "/_matrix/client/v3/login"), None);
        assert_eq!(class(Method::POST, "/_matrix/client/r0/register"), Some(Class::Registration));
        let send = "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}";
        assert_eq!(class(Method::PUT, send), Some(Class::Sending));
        assert_eq!(class(Method::GET, "/_matrix/client/v3/rooms/{room_id}/state"), None);
        assert_eq!(class(Method::GET, "/_matrix/client/v3/sync"), None);
        let profile = "/_matrix/client/v3/profile/{user_id}/{key_name}";
        assert_eq!(class(Method::PUT, profile), Some(Class::Rooms), "it reaches every room of the user");
        assert_eq!(class(Method::GET, profile), None);
    }
}
