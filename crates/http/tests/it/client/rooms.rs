//! `/_matrix/client/v3/rooms`, and what else makes rooms and gets people into them.

mod aliases;
mod context;
mod create;
mod creators;
mod departed;
mod event;
mod leave;
mod members;
mod membership;
mod messages;
mod redact;
mod send;
mod state;
mod summary;
mod timestamp;
mod upgrade;

use roost_testkit::User;
use serde_json::{Value, json};

/// A room that everybody may join.
pub(crate) async fn public_room(user: &User) -> String {
    user.create_room(&json!({ "preset": "public_chat" })).await
}

/// Asserts that an answer is a certain error.
#[track_caller]
pub(crate) fn refused((status, body): (u16, Value), wanted: u16, errcode: &str) {
    assert_eq!((status, body["errcode"].as_str()), (wanted, Some(errcode)), "{body}");
    assert!(body["error"].is_string(), "{body}");
}

/// Asserts that an answer is good.
#[track_caller]
pub(crate) fn good((status, body): (u16, Value)) -> Value {
    assert_eq!(status, 200, "{body}");
    body
}

/// The bodies of the messages in a list of events.
fn bodies(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}
