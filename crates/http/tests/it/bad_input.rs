//! Bad input: a clear Matrix error each, no panic, and nothing half-written.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#standard-error-response>

mod bodies;
mod events;
mod parameters;
mod tokens;

use std::fmt::Write as _;

use roost_testkit::{Answer, Server, User};
use serde_json::json;

/// A server with a user who is alone in a room that holds one message.
struct Scene {
    server: Server,
    alice: User,
    room: String,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let room = alice.create_room(&json!({})).await;
        alice.send(&room, "before").await;
        Self { server, alice, room }
    }

    async fn raw(&self, method: http::Method, path: &str, body: &[u8]) -> Answer {
        let authorization = format!("Bearer {}", self.alice.token);
        let headers = [("authorization", authorization.as_str())];
        self.server.client().raw(method, path, &headers, body.to_vec()).await
    }

    /// Everything that bad input might have changed: the room's history and state, account data, profile, devices, rooms.
    async fn everything(&self) -> String {
        let mut all = String::new();
        for path in [
            User::room_path(&self.room, &["messages"]) + "?dir=b&limit=100",
            User::room_path(&self.room, &["state"]),
            "/_matrix/client/v3/joined_rooms".to_owned(),
            "/_matrix/client/v3/user/@alice:localhost/account_data/org.example.test".to_owned(),
            "/_matrix/client/v3/profile/@alice:localhost".to_owned(),
            "/_matrix/client/v3/devices".to_owned(),
            "/_matrix/client/v3/publicRooms".to_owned(),
        ] {
            let (status, mut body) = self.alice.get(&path).await;
            strip(&mut body);
            writeln!(all, "{path}: {status} {body}").unwrap();
        }
        all
    }
}

/// Takes out what changes by itself.
fn strip(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            for key in ["age", "last_seen_ts", "last_seen_ip"] {
                members.remove(key);
            }
            members.values_mut().for_each(strip);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn code(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "an error says what is wrong: {body}");
    (answer.status, body["errcode"].as_str().unwrap_or_default().to_owned())
}
