//! The few calls of the Client-Server API that prepare a measurement.

use std::fmt::Write;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::client::{Connection, Failure};
use crate::target::Target;

/// An account with one logged-in device.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) password: String,
}

impl User {
    /// The value of the `Authorization` header.
    pub(crate) fn bearer(&self) -> Result<HeaderValue, Failure> {
        HeaderValue::from_str(&format!("Bearer {}", self.token))
            .map_err(|_| Failure::Unexpected(format!("{} has a token that no header can hold", self.id)))
    }
}

/// Sends JSON and expects a success with JSON.
pub(crate) async fn call(
    connection: &mut Connection,
    method: Method,
    path: &str,
    user: Option<&User>,
    body: &Value,
) -> Result<Value, Failure> {
    let bearer = user.map(User::bearer).transpose()?;
    let answer = connection.exchange(method, path, bearer.as_ref(), encode(body)).await?;
    parse(path, &answer.success(path)?)
}

fn encode(body: &Value) -> Bytes {
    if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) }
}

fn parse(path: &str, bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::Unexpected(format!("{path}: {error}")))
}

fn text(path: &str, value: &Value, key: &str) -> Result<String, Failure> {
    let missing = || Failure::Unexpected(format!("{path}: the answer has no {key}"));
    value.get(key).and_then(Value::as_str).map(ToOwned::to_owned).ok_or_else(missing)
}

const REGISTER: &str = "/_matrix/client/v3/register";
const ADMIN_REGISTER: &str = "/_synapse/admin/v1/register";
const LOGIN: &str = "/_matrix/client/v3/login";
const CREATE_ROOM: &str = "/_matrix/client/v3/createRoom";

/// Makes an account, with the shared secret where there is one, through user-interactive authentication otherwise.
pub(crate) async fn register(connection: &mut Connection, target: &Target, name: &str) -> Result<User, Failure> {
    let password = format!("{name}-is-a-load-generator");
    let answer = match &target.shared_secret {
        Some(secret) => with_shared_secret(connection, secret, name, &password).await?,
        None => interactively(connection, target, name, &password).await?,
    };
    Ok(User { id: text(REGISTER, &answer, "user_id")?, token: text(REGISTER, &answer, "access_token")?, password })
}

async fn with_shared_secret(
    connection: &mut Connection,
    secret: &str,
    name: &str,
    password: &str,
) -> Result<Value, Failure> {
    let nonce = call(connection, Method::GET, ADMIN_REGISTER, None, &Value::Null).await?;
    let nonce = text(ADMIN_REGISTER, &nonce, "nonce")?;
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
        .map_err(|error| Failure::Unexpected(format!("shared secret: {error}")))?;
    mac.update(format!("{nonce}\0{name}\0{password}\0notadmin").as_bytes());
    let mac = mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let body = json!({ "nonce": nonce, "username": name, "password": password, "admin": false, "mac": mac });
    call(connection, Method::POST, ADMIN_REGISTER, None, &body).await
}

/// Walks through the first flow that needs nothing but a registration token or no proof at all.
async fn interactively(
    connection: &mut Connection,
    target: &Target,
    name: &str,
    password: &str,
) -> Result<Value, Failure> {
    let mut body = json!({ "username": name, "password": password });
    let answer = connection.exchange(Method::POST, REGISTER, None, encode(&body)).await?;
    if answer.status != StatusCode::UNAUTHORIZED {
        return parse(REGISTER, &answer.success(REGISTER)?);
    }
    let offer = parse(REGISTER, &answer.body)?;
    let session = text(REGISTER, &offer, "session")?;
    let stages = offer
        .get("flows")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|flow| flow.get("stages")?.as_array())
        .map(|stages| stages.iter().filter_map(Value::as_str).collect::<Vec<_>>())
        .find(|stages| {
            stages.iter().all(|stage| match *stage {
                "m.login.dummy" => true,
                "m.login.registration_token" => target.registration_token.is_some(),
                _ => false,
            })
        })
        .ok_or_else(|| answer.refused(REGISTER))?;
    let mut last = None;
    for stage in stages {
        body["auth"] = json!({ "type": stage, "session": session });
        if stage == "m.login.registration_token" {
            body["auth"]["token"] = json!(target.registration_token);
        }
        last = Some(connection.exchange(Method::POST, REGISTER, None, encode(&body)).await?);
    }
    match last {
        Some(answer) => parse(REGISTER, &answer.success(REGISTER)?),
        None => Err(answer.refused(REGISTER)),
    }
}

/// Logs in by password, as a new device.
pub(crate) async fn login(connection: &mut Connection, user: &User) -> Result<(), Failure> {
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user.id },
        "password": user.password,
    });
    call(connection, Method::POST, LOGIN, None, &body).await.map(drop)
}

/// Makes a room.
pub(crate) async fn create_room(
    connection: &mut Connection,
    target: &Target,
    user: &User,
    mut body: Value,
) -> Result<String, Failure> {
    if let Some(version) = &target.room_version {
        body["room_version"] = json!(version);
    }
    let answer = call(connection, Method::POST, CREATE_ROOM, Some(user), &body).await?;
    text(CREATE_ROOM, &answer, "room_id")
}

/// Joins a room that is public or to which the user is invited.
pub(crate) async fn join(connection: &mut Connection, user: &User, room: &str) -> Result<(), Failure> {
    let path = format!("{}/join", room_path(room));
    call(connection, Method::POST, &path, Some(user), &json!({})).await.map(drop)
}

/// Leaves a room.
pub(crate) async fn leave(connection: &mut Connection, user: &User, room: &str) -> Result<(), Failure> {
    let path = format!("{}/leave", room_path(room));
    call(connection, Method::POST, &path, Some(user), &json!({})).await.map(drop)
}

/// Sends a text message.
pub(crate) async fn send(
    connection: &mut Connection,
    bearer: &HeaderValue,
    room: &str,
    transaction: &str,
    body: Bytes,
) -> Result<(), Failure> {
    let path = format!("{}/send/m.room.message/{transaction}", room_path(room));
    connection.exchange(Method::PUT, &path, Some(bearer), body).await?.success(&path).map(drop)
}

/// One `/sync`; the raw answer.
pub(crate) async fn sync(
    connection: &mut Connection,
    bearer: &HeaderValue,
    since: Option<&str>,
    timeout_ms: u32,
) -> Result<Bytes, Failure> {
    let path = match since {
        Some(since) => format!("/_matrix/client/v3/sync?timeout={timeout_ms}&since={since}"),
        None => format!("/_matrix/client/v3/sync?timeout={timeout_ms}"),
    };
    connection.exchange(Method::GET, &path, Some(bearer), Bytes::new()).await?.success("/_matrix/client/v3/sync")
}

/// The `next_batch` of a `/sync` answer, found without parsing the rest of it.
pub(crate) fn next_batch(answer: &[u8]) -> Result<String, Failure> {
    let missing = || Failure::Unexpected("a /sync answer has no next_batch".to_owned());
    let key = b"\"next_batch\"";
    let at = answer.windows(key.len()).rposition(|window| window == key).ok_or_else(missing)?;
    let mut quoted = answer[at + key.len()..].split(|byte| *byte == b'"');
    let token = quoted.nth(1).ok_or_else(missing)?;
    String::from_utf8(token.to_vec()).map_err(|_| missing())
}

/// `/_matrix/client/v3/rooms/` and the room's id, encoded.
pub(crate) fn room_path(room: &str) -> String {
    let mut path = "/_matrix/client/v3/rooms/".to_owned();
    for byte in room.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

/// The body of the `n`th message: of the length of a usual line of talk.
pub(crate) fn message(n: u64) -> Bytes {
    Bytes::from(format!(
        r#"{{"msgtype":"m.text","body":"message {n:08}: shall we meet at the usual place, or is it too cold for that?"}}"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_batch_is_found_wherever_it_stands() {
        assert_eq!(next_batch(br#"{"next_batch":"s1_2","rooms":{}}"#).unwrap(), "s1_2");
        assert_eq!(next_batch(br#"{"rooms":{},"next_batch": "s1_2"}"#).unwrap(), "s1_2");
        assert!(next_batch(br#"{"rooms":{}}"#).is_err());
    }

    #[test]
    fn a_room_id_is_one_segment_of_a_path() {
        assert_eq!(room_path("!a/b:c"), "/_matrix/client/v3/rooms/%21a%2Fb%3Ac");
    }
}
