//! Rooms made of events that nobody signed: material for tests of the rules and of state resolution, and for benches.

use std::collections::BTreeMap;

use roost_matrix::{
    auth::auth_types,
    event::Pdu,
    ids::{OwnedEventId, OwnedRoomId, UserId},
    room_version::{EventIds, RoomVersion, Rules},
};
use serde_json::{Value, json};

/// A room state.
pub(crate) type State = BTreeMap<(String, String), OwnedEventId>;

/// What an event says; the rest follows from where it is put.
#[derive(Debug, Clone)]
pub(crate) struct Said<'a> {
    pub(crate) sender: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) state_key: Option<&'a str>,
    pub(crate) content: Value,
}

/// The events of one room.
#[derive(Debug, Clone)]
pub(crate) struct Dag {
    pub(crate) rules: &'static Rules,
    pub(crate) room_id: Option<OwnedRoomId>,
    pub(crate) events: BTreeMap<OwnedEventId, Pdu>,
    /// Where the time of the next event starts from.
    pub(crate) now: u64,
    made: u64,
}

impl Dag {
    /// A room that does not even have its create event.
    pub(crate) fn empty(version: RoomVersion) -> Self {
        let rules = version.rules();
        let room_id = rules.auth.create_is_auth_event.then(|| OwnedRoomId::try_from("!room:a.example").unwrap());
        Self { rules, room_id, events: BTreeMap::new(), now: 1_000, made: 0 }
    }

    /// A room with the create event of `@creator:a.example`.
    pub(crate) fn new(version: RoomVersion) -> (Self, State) {
        Self::created(version, json!({}))
    }

    /// The same with some content in the create event.
    pub(crate) fn created(version: RoomVersion, mut content: Value) -> (Self, State) {
        let mut dag = Self::empty(version);
        content["room_version"] = version.as_str().into();
        if dag.rules.auth.creator_in_content {
            content["creator"] = "@creator:a.example".into();
        }
        let said = Said { sender: "@creator:a.example", kind: "m.room.create", state_key: Some(""), content };
        let create = dag.put(&said, &[], &[]);
        dag.room_id = Some(create.room_id().to_owned());
        let state = State::from([(("m.room.create".to_owned(), String::new()), create.event_id().to_owned())]);
        (dag, state)
    }

    pub(crate) fn get(&self, state: &State, kind: &str, state_key: &str) -> Option<Pdu> {
        let id = state.get(&(kind.to_owned(), state_key.to_owned()))?;
        self.events.get(id).cloned()
    }

    /// The auth events that an event of this shape has in a state.
    pub(crate) fn auth_events(&self, said: &Said<'_>, state: &State) -> Vec<OwnedEventId> {
        let sender = <&UserId>::try_from(said.sender).unwrap();
        auth_types(self.rules, said.kind, sender, said.state_key, &said.content.to_string())
            .into_iter()
            .filter_map(|key| state.get(&key).cloned())
            .collect()
    }

    /// Makes an event with these links, without asking whether it is allowed.
    pub(crate) fn put(&mut self, said: &Said<'_>, prev: &[OwnedEventId], auth: &[OwnedEventId]) -> Pdu {
        let json = self.json(said, prev, auth);
        let pdu = Pdu::parse(json.to_string().as_bytes(), self.rules).unwrap_or_else(|error| panic!("{error}: {json}"));
        self.events.insert(pdu.event_id().to_owned(), pdu.clone());
        pdu
    }

    /// The same, as bytes for other implementations.
    pub(crate) fn json(&mut self, said: &Said<'_>, prev: &[OwnedEventId], auth: &[OwnedEventId]) -> Value {
        self.made += 1;
        self.now += 1;
        let server = said.sender.split_once(':').map_or("", |(_, server)| server);
        let references = |ids: &[OwnedEventId]| -> Vec<Value> {
            let reference = |id: &OwnedEventId| match self.rules.event_ids {
                EventIds::Chosen => json!([id, {"sha256": "hash"}]),
                EventIds::Hash | EventIds::UrlSafeHash => json!(id),
            };
            ids.iter().map(reference).collect()
        };
        let depth = prev.iter().filter_map(|id| self.events.get(id)).map(Pdu::depth).max().map_or(1, |depth| depth + 1);
        let mut event = json!({
            "type": said.kind,
            "sender": said.sender,
            "content": said.content,
            "prev_events": references(prev),
            "auth_events": references(auth),
            "depth": depth,
            "origin_server_ts": self.now,
            "hashes": {"sha256": format!("{}", self.made)},
            "signatures": {server: {"ed25519:1": "signature"}},
        });
        if let Some(key) = said.state_key {
            event["state_key"] = key.into();
        }
        if said.kind != "m.room.create" || self.rules.auth.create_is_auth_event {
            event["room_id"] = self.room_id.as_ref().unwrap().as_str().into();
        }
        if self.rules.event_ids == EventIds::Chosen {
            event["event_id"] = format!("${}:{server}", self.made).into();
        }
        event
    }

    /// Makes an event on a state, citing what it should, and puts it into the state.
    pub(crate) fn say(&mut self, said: &Said<'_>, prev: &[OwnedEventId], state: &mut State) -> Pdu {
        let auth = self.auth_events(said, state);
        let pdu = self.put(said, prev, &auth);
        if let Some(key) = said.state_key {
            state.insert((said.kind.to_owned(), key.to_owned()), pdu.event_id().to_owned());
        }
        pdu
    }
}

/// A state event's words.
pub(crate) fn state_event<'a>(sender: &'a str, kind: &'a str, state_key: &'a str, content: Value) -> Said<'a> {
    Said { sender, kind, state_key: Some(state_key), content }
}

/// A membership event's words.
pub(crate) fn member<'a>(sender: &'a str, target: &'a str, membership: &str) -> Said<'a> {
    state_event(sender, "m.room.member", target, json!({"membership": membership}))
}
