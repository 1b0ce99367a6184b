//! A server without HTTP.

use std::{sync::Arc, time::Duration};

use roost_matrix::{
    ids::{OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId},
    signing::KeyPair,
};
use roost_rooms::{CreateRoom, Identity, InitialState, MemberProfile, NewEvent, Preset, Rooms};
use roost_store::{UserNo, testing::TestStore};
use roost_sync::{Filter, Options, Sync, SyncRequest};
use roost_users::{HashCost, Users};
use roost_world::Workers;
use serde_json::{Value, json};

pub(crate) struct House {
    pub(crate) store: TestStore,
    pub(crate) rooms: Rooms,
    pub(crate) users: Users,
    pub(crate) sync: Sync,
    pub(crate) workers: Workers,
}

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) no: UserNo,
    pub(crate) id: OwnedUserId,
    pub(crate) device: OwnedDeviceId,
}

/// What a request may say beside who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) since: Option<String>,
    pub(crate) filter: Value,
    pub(crate) timeout: Duration,
    pub(crate) full_state: bool,
    pub(crate) state_after: bool,
}

impl Ask {
    pub(crate) fn since(answer: &Value) -> Self {
        Self { since: answer["next_batch"].as_str().map(ToOwned::to_owned), ..Self::default() }
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(wanted: Options) -> Self {
        let store = roost_store::testing::store().await;
        let world = roost_store::testing::world();
        let workers = Workers::new(world.clone());
        let server_name = roost_matrix::ids::ServerName::parse("example.org").unwrap();
        let key = Arc::new(KeyPair::from_seed([7; 32], "test"));
        let identity = Identity { server_name: server_name.clone(), key };
        let rooms =
            Rooms::open((*store).clone(), identity, roost_rooms::Options::default(), world.clone()).await.unwrap();
        let mut options = roost_users::Options::new(server_name);
        options.hash_cost = HashCost::CHEAPEST;
        let users = Users::open((*store).clone(), rooms.clone(), options, world.clone(), &workers).await.unwrap();
        let sync = Sync::open((*store).clone(), rooms.clone(), users.clone(), wanted, world, &workers);
        Self { store, rooms, users, sync, workers }
    }

    pub(crate) async fn person(&self, name: &str) -> Person {
        let id = UserId::parse(format!("@{name}:example.org")).unwrap();
        let no = self.store.user_no(&id).await.unwrap();
        Person { no, id, device: "DEVICE".into() }
    }

    /// A room that everybody may join.
    pub(crate) async fn room(&self, creator: &Person, visibility: &str) -> OwnedRoomId {
        let content = serde_json::value::to_raw_value(&json!({ "history_visibility": visibility })).unwrap();
        let mut request = CreateRoom::new(&creator.id);
        request.preset = Some(Preset::PublicChat);
        request.initial_state =
            vec![InitialState { kind: "m.room.history_visibility".to_owned(), state_key: String::new(), content }];
        self.rooms.create(request).await.unwrap()
    }

    pub(crate) async fn join(&self, room: &RoomId, person: &Person) -> bool {
        self.rooms.join(room, &person.id, &MemberProfile::default(), None).await.is_ok()
    }

    pub(crate) async fn leave(&self, room: &RoomId, person: &Person) -> bool {
        self.rooms.leave(room, &person.id, None).await.is_ok()
    }

    pub(crate) async fn invite(&self, room: &RoomId, by: &Person, person: &Person) -> bool {
        self.rooms.invite(room, &by.id, &person.id, &MemberProfile::default(), None).await.is_ok()
    }

    pub(crate) async fn say(&self, room: &RoomId, person: &Person, text: &str) -> Option<String> {
        let content = serde_json::value::to_raw_value(&json!({ "msgtype": "m.text", "body": text })).unwrap();
        let event = NewEvent::message(&person.id, "m.room.message", content, None);
        self.rooms.append(room, event).await.ok().map(|appended| appended.event_id.to_string())
    }

    pub(crate) async fn set(&self, room: &RoomId, person: &Person, kind: &str, key: &str, content: Value) -> bool {
        let content = serde_json::value::to_raw_value(&content).unwrap();
        self.rooms.append(room, NewEvent::state(&person.id, kind, key, content)).await.is_ok()
    }

    pub(crate) async fn ask(&self, person: &Person, ask: Ask) -> Value {
        let filter = if ask.filter.is_null() { "{}".to_owned() } else { ask.filter.to_string() };
        let request = SyncRequest {
            user: person.no,
            user_id: person.id.clone(),
            device: person.device.clone(),
            since: ask.since.map(|since| since.parse().unwrap()),
            filter: Filter::parse(&filter).unwrap(),
            timeout: ask.timeout,
            full_state: ask.full_state,
            state_after: ask.state_after.then_some("state_after"),
        };
        serde_json::from_slice(self.sync.sync(request).await.unwrap().as_ref()).unwrap()
    }
}
