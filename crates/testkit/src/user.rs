//! A user of a server, logged in on one device.

use http::Method;
use serde_json::{Value, json};

use crate::{Client, Server, segment};

/// A user of a server, logged in on one device. It survives [`Server::restart`].
#[derive(Clone, Debug)]
pub struct User {
    /// The user id.
    pub id: String,
    /// The access token.
    pub token: String,
    /// The device id.
    pub device_id: String,
    /// The password.
    pub password: String,
    client: Client,
}

impl Server {
    /// Registers a user through the Client-Server API. The password is "password of NAME".
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn register(&self, name: &str) -> User {
        let password = format!("password of {name}");
        let body = json!({ "username": name, "password": password, "auth": { "type": "m.login.dummy" } });
        let (status, body) = self.post("/_matrix/client/v3/register", &body).await;
        assert_eq!(status, 200, "registering {name}: {body}");
        User::from(self, &body, password)
    }

    /// Logs a user in on another device.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn log_in(&self, user: &User) -> User {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user.id },
            "password": user.password,
        });
        let (status, body) = self.post("/_matrix/client/v3/login", &body).await;
        assert_eq!(status, 200, "logging in {}: {body}", user.id);
        User::from(self, &body, user.password.clone())
    }
}

impl User {
    fn from(server: &Server, body: &Value, password: String) -> Self {
        let text = |key: &str| body[key].as_str().unwrap_or_else(|| panic!("no {key} in {body}")).to_owned();
        Self {
            id: text("user_id"),
            token: text("access_token"),
            device_id: text("device_id"),
            password,
            client: server.client().clone(),
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.client.call(Method::GET, path, &self.token, None).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.client.call(Method::PUT, path, &self.token, Some(body)).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.client.call(Method::POST, path, &self.token, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.client.call(Method::DELETE, path, &self.token, None).await
    }

    /// Any request with the access token.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.client.call(method, path, &self.token, body).await
    }

    /// The path of something below a room, each part percent-encoded: `room_path(&room, &["state", "m.room.name", ""])`.
    #[must_use]
    pub fn room_path(room: &str, below: &[&str]) -> String {
        let mut path = format!("/_matrix/client/v3/rooms/{}", segment(room));
        for part in below {
            path.push('/');
            path.push_str(&segment(part));
        }
        path
    }

    /// Creates a room; its id.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn create_room(&self, body: &Value) -> String {
        let (status, answer) = self.post("/_matrix/client/v3/createRoom", body).await;
        assert_eq!(status, 200, "createRoom {body}: {answer}");
        answer["room_id"].as_str().expect("a room id").to_owned()
    }

    /// Invites a user.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn invite(&self, room: &str, user: &User) {
        let (status, answer) = self.post(&Self::room_path(room, &["invite"]), &json!({ "user_id": user.id })).await;
        assert_eq!(status, 200, "inviting {}: {answer}", user.id);
    }

    /// Joins a room.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn join(&self, room: &str) {
        let (status, answer) = self.post(&Self::room_path(room, &["join"]), &json!({})).await;
        assert_eq!(status, 200, "{} joining {room}: {answer}", self.id);
    }

    /// Leaves a room.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn leave(&self, room: &str) {
        let (status, answer) = self.post(&Self::room_path(room, &["leave"]), &json!({})).await;
        assert_eq!(status, 200, "{} leaving {room}: {answer}", self.id);
    }

    /// Sends a text message, which is also its transaction id; the event's id.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn send(&self, room: &str, text: &str) -> String {
        let content = json!({ "msgtype": "m.text", "body": text });
        self.send_event(room, "m.room.message", text, &content).await
    }

    /// Sends an event; its id.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn send_event(&self, room: &str, kind: &str, transaction: &str, content: &Value) -> String {
        let (status, answer) = self.put(&Self::room_path(room, &["send", kind, transaction]), content).await;
        assert_eq!(status, 200, "{} sending to {room}: {answer}", self.id);
        answer["event_id"].as_str().expect("an event id").to_owned()
    }

    /// Sends a state event; its id.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn set_state(&self, room: &str, kind: &str, state_key: &str, content: &Value) -> String {
        let (status, answer) = self.put(&Self::room_path(room, &["state", kind, state_key]), content).await;
        assert_eq!(status, 200, "{} setting {kind} in {room}: {answer}", self.id);
        answer["event_id"].as_str().expect("an event id").to_owned()
    }

    /// Syncs without waiting, from a token or from the beginning.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn sync(&self, since: Option<&str>) -> Value {
        self.sync_with(&since.map(|since| format!("since={}", segment(since))).unwrap_or_default()).await
    }

    /// Syncs with a query.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn sync_with(&self, query: &str) -> Value {
        let (status, answer) = self.get(&format!("/_matrix/client/v3/sync?{query}")).await;
        assert_eq!(status, 200, "{} syncing with {query}: {answer}", self.id);
        answer
    }
}
