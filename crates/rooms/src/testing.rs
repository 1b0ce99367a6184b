//! What this crate's tests share: an engine on a database of its own, and users in it.

use std::sync::Arc;

use roost_matrix::{
    ids::{OwnedRoomId, OwnedUserId, RoomId, UserId},
    room_version::RoomVersion,
    signing::KeyPair,
};
use roost_store::testing::{Scratch, TestStore, store, world};
use serde_json::{Value, json, value::RawValue};

use crate::{Appended, CreateRoom, Error, Identity, MemberProfile, NewEvent, Options, Preset, Rooms, Transaction};

pub(crate) struct Bed {
    pub(crate) rooms: Rooms,
    pub(crate) store: TestStore,
}

pub(crate) fn identity() -> Identity {
    Identity {
        server_name: "example.org".try_into().expect("a server name"),
        key: Arc::new(KeyPair::from_seed([7; 32], "test")),
    }
}

pub(crate) async fn bed() -> Bed {
    let store = store().await;
    let rooms = Rooms::open((*store).clone(), identity(), Options::default(), world()).await.expect("an engine");
    Bed { rooms, store }
}

/// Another engine on the same database, as on another node.
pub(crate) async fn another(scratch: &Scratch) -> Rooms {
    Rooms::open(scratch.open().await, identity(), Options::default(), world()).await.expect("an engine")
}

pub(crate) fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:example.org")).expect("a user id")
}

pub(crate) fn content(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("JSON")
}

pub(crate) fn text(sender: &UserId, body: &str) -> NewEvent {
    NewEvent::message(sender, "m.room.message", content(&json!({ "msgtype": "m.text", "body": body })), None)
}

pub(crate) fn text_as(sender: &UserId, body: &str, txn_id: &str) -> NewEvent {
    let transaction = Transaction::send("DEVICE".into(), "m.room.message", txn_id);
    NewEvent { transaction: Some(transaction), ..text(sender, body) }
}

pub(crate) fn state(sender: &UserId, kind: &str, state_key: &str, value: &Value) -> NewEvent {
    NewEvent::state(sender, kind, state_key, content(value))
}

impl Bed {
    pub(crate) async fn public_room(&self, creator: &UserId) -> OwnedRoomId {
        let request = CreateRoom { preset: Some(Preset::PublicChat), ..CreateRoom::new(creator) };
        self.rooms.create(request).await.expect("a room")
    }

    pub(crate) async fn room_of(&self, creator: &UserId, version: RoomVersion) -> OwnedRoomId {
        let version = Some(version.as_str().to_owned());
        let request = CreateRoom { preset: Some(Preset::PublicChat), version, ..CreateRoom::new(creator) };
        self.rooms.create(request).await.expect("a room")
    }

    pub(crate) async fn join(&self, room: &RoomId, user: &UserId) -> Result<Appended, Error> {
        self.rooms.join(room, user, &MemberProfile::default(), None).await
    }

    pub(crate) async fn say(&self, room: &RoomId, user: &UserId, body: &str) -> Result<Appended, Error> {
        self.rooms.append(room, text(user, body)).await
    }

    /// The bodies of the messages that a user sees, oldest first.
    pub(crate) async fn bodies(&self, room: &RoomId, user: &UserId) -> Vec<String> {
        let mut bodies: Vec<_> = self
            .events(room, user)
            .await
            .iter()
            .filter_map(|event| Some(event.get("content")?.get("body")?.as_str()?.to_owned()))
            .collect();
        bodies.reverse();
        bodies
    }

    /// Everything that a user sees, newest first.
    pub(crate) async fn events(&self, room: &RoomId, user: &UserId) -> Vec<Value> {
        let query = crate::MessagesQuery {
            from: None,
            to: None,
            direction: crate::Direction::Backwards,
            limit: 1000,
            filter: crate::EventFilter::default(),
        };
        let messages =
            self.rooms.messages(room, user, Some("DEVICE".into()), query, &crate::Nobody).await.expect("messages");
        messages.chunk.iter().map(|event| serde_json::from_slice(&event.json).expect("JSON")).collect()
    }
}

/// Waits in real time.
pub(crate) async fn pause(duration: std::time::Duration) {
    world().clock.sleep(duration).await;
}
