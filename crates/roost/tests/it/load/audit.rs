//! Holding what the server shows against the ledgers.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{
    Connection, Load,
    sender::{Deed, Fate, Kind, escaped},
};

/// An event as `/messages` shows it.
struct Shown {
    id: String,
    kind: String,
    state_key: Option<String>,
    sender: String,
    content: Value,
    redacts: Option<String>,
}

impl Shown {
    fn read(event: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let redacts = text(&event["content"]["redacts"]).or_else(|| text(&event["redacts"]));
        Self {
            id: text(&event["event_id"]).unwrap(),
            kind: text(&event["type"]).unwrap(),
            state_key: text(&event["state_key"]),
            sender: text(&event["sender"]).unwrap(),
            content: event["content"].clone(),
            redacts: redacts.filter(|_| event["type"] == "m.room.redaction"),
        }
    }

    fn mark(&self) -> Option<&str> {
        ["body", "mark", "reason"].iter().find_map(|key| self.content[key].as_str())
    }
}

impl Load {
    /// Reads everything and compares. The server runs, and nobody sends.
    ///
    /// # Panics
    /// With what is not as it must be.
    pub(crate) fn audit(&mut self) -> u64 {
        let mut connection = Connection::new(self.port);
        let histories: Vec<Vec<Shown>> = (0..self.rooms.len()).map(|at| self.history(&mut connection, at)).collect();
        for (at, history) in histories.iter().enumerate() {
            self.audit_room(at, history);
            self.audit_state(&mut connection, at, history);
        }
        self.audit_members(&mut connection, &histories);
        self.audit_sync(&mut connection, &histories);
        self.audit_rest(&mut connection);
        histories.iter().map(|history| history.len() as u64).sum()
    }

    fn get(connection: &mut Connection, path: &str, token: &str) -> Value {
        let (status, answer) = connection.call("GET", path, token, &Value::Null).unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// A room's whole history, oldest first.
    fn history(&self, connection: &mut Connection, at: usize) -> Vec<Shown> {
        let (mut history, mut from) = (Vec::new(), String::new());
        loop {
            let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=1000{from}", escaped(&self.rooms[at]));
            let page = Self::get(connection, &path, &self.observer.token);
            history.extend(page["chunk"].as_array().unwrap().iter().map(Shown::read));
            match page["end"].as_str() {
                Some(end) => from = format!("&from={end}"),
                None => break,
            }
        }
        history.reverse();
        history
    }

    /// Each deed is there as often as its fate says, and those of one sender stand in their order.
    fn audit_room(&self, at: usize, history: &[Shown]) {
        let room = &self.rooms[at];
        let ids: HashMap<&str, &Shown> = history.iter().map(|shown| (&*shown.id, shown)).collect();
        assert_eq!(ids.len(), history.len(), "{room} shows an event twice");
        let mut marks: HashMap<&str, Vec<&Shown>> = HashMap::new();
        for shown in history {
            if let Some(mark) = shown.mark() {
                marks.entry(mark).or_default().push(shown);
            }
        }
        let redacted: HashSet<&str> = history.iter().filter_map(|shown| shown.redacts.as_deref()).collect();
        for id in &redacted {
            let target = ids.get(id).unwrap_or_else(|| panic!("{room}: {id} is redacted and not there"));
            assert_eq!(target.content, serde_json::json!({}), "{room}: {id} is redacted and shows its content");
        }
        let places: HashMap<&str, usize> = history.iter().enumerate().map(|(at, shown)| (&*shown.id, at)).collect();
        for sender in &self.senders {
            let mut last = None;
            for deed in sender.deeds.iter().filter(|deed| deed.room == at && deed.is_event()) {
                let found = marks.remove(&*deed.mark).unwrap_or_default();
                let shown = match (&deed.fate, &deed.made, found.as_slice()) {
                    (Fate::Open | Fate::Unknown | Fate::Refused, None, []) => continue,
                    (Fate::Refused, _, _) => panic!("{room}: {deed:?} was refused, and is there"),
                    (Fate::Open | Fate::Unknown | Fate::Done, None, [one]) => one,
                    (Fate::Done, Some(id), [one]) if one.id == *id => one,
                    // Redacted, it has no mark any more.
                    (Fate::Done, Some(id), []) if redacted.contains(&**id) => ids[&**id],
                    (_, _, []) => panic!("{room}: {deed:?} was answered and is gone"),
                    (_, _, many) => {
                        let ids: Vec<_> = many.iter().map(|shown| &shown.id).collect();
                        panic!("{room}: {deed:?} is there as {ids:?}")
                    }
                };
                let by = if deed.kind == Kind::PuppetJoin { &sender.puppet.id } else { &sender.own.id };
                assert_eq!(shown.sender, *by, "{deed:?}");
                if let Kind::Redact(target) = &deed.kind {
                    assert!(redacted.contains(&**target), "{room}: {deed:?} redacts another event");
                }
                let place = places[&*shown.id];
                assert!(last < Some(place), "{room}: {deed:?} stands before what its sender did earlier");
                last = Some(place);
            }
        }
        let strange: Vec<&str> = marks.keys().copied().filter(|mark| mark.contains('-')).collect();
        assert!(strange.is_empty(), "{room} has what nobody asked for: {strange:?}");
    }

    /// The state is what the history leads to.
    fn audit_state(&self, connection: &mut Connection, at: usize, history: &[Shown]) {
        let mut expected = BTreeMap::new();
        for shown in history {
            if let Some(key) = &shown.state_key {
                expected.insert((shown.kind.clone(), key.clone()), shown.id.clone());
            }
        }
        let path = format!("/_matrix/client/v3/rooms/{}/state", escaped(&self.rooms[at]));
        let state = Self::get(connection, &path, &self.observer.token);
        let state: BTreeMap<_, _> = state
            .as_array()
            .unwrap()
            .iter()
            .map(Shown::read)
            .map(|shown| ((shown.kind, shown.state_key.unwrap()), shown.id))
            .collect();
        assert_eq!(state, expected, "{}: the state is not what the history leads to", self.rooms[at]);
    }

    /// Everybody is in the rooms that the histories say.
    fn audit_members(&self, connection: &mut Connection, histories: &[Vec<Shown>]) {
        for user in self.senders.iter().flat_map(|sender| [&sender.own, &sender.puppet]) {
            let joined = Self::get(connection, "/_matrix/client/v3/joined_rooms", &user.token);
            let joined: HashSet<&str> =
                joined["joined_rooms"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            for (room, history) in self.rooms.iter().zip(histories) {
                let own = |shown: &&Shown| shown.kind == "m.room.member" && shown.state_key.as_ref() == Some(&user.id);
                let last = history.iter().rev().find(own).map(|shown| shown.content["membership"].clone());
                assert_eq!(joined.contains(&**room), last == Some("join".into()), "{} in {room}: {last:?}", user.id);
            }
        }
    }

    /// A client that was away since the last audit hears of everything since, in order.
    fn audit_sync(&mut self, connection: &mut Connection, histories: &[Vec<Shown>]) {
        let answer = self.sync(connection);
        for (at, history) in histories.iter().enumerate() {
            let timeline = &answer["rooms"]["join"][&self.rooms[at]]["timeline"];
            let told: Vec<&str> = timeline["events"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|event| event["event_id"].as_str())
                .collect();
            let mut new: Vec<&str> = history[self.read[at]..].iter().map(|shown| &*shown.id).collect();
            if timeline["limited"] == true {
                assert!(new.len() > told.len(), "{}: the sync is limited without need", self.rooms[at]);
                new.drain(..new.len() - told.len());
            }
            assert!(told == new || self.read[at] == 0, "{}: told {told:?} of {new:?}", self.rooms[at]);
            self.read[at] = history.len();
        }
        answer["next_batch"].as_str().unwrap().clone_into(&mut self.since);
    }

    /// Account data and new rooms.
    fn audit_rest(&self, connection: &mut Connection) {
        for sender in &self.senders {
            let path = format!("/_matrix/client/v3/user/{}/account_data/org.example.crash", escaped(&sender.own.id));
            let (_, found) = connection.call("GET", &path, &sender.own.token, &Value::Null).unwrap();
            let found = found["mark"].as_str();
            let set = |deed: &&Deed| deed.kind == Kind::AccountData && deed.fate != Fate::Refused;
            let mut allowed = Vec::new();
            for deed in sender.deeds.iter().rev().filter(set) {
                allowed.push(Some(&*deed.mark));
                if deed.fate == Fate::Done {
                    break;
                }
            }
            if !sender.deeds.iter().filter(set).any(|deed| deed.fate == Fate::Done) {
                allowed.push(None);
            }
            assert!(allowed.contains(&found), "account data {found:?} and not one of {allowed:?}");
            for deed in sender.deeds.iter().filter(|deed| deed.kind == Kind::CreateRoom && deed.fate == Fate::Done) {
                let room = deed.made.as_deref().unwrap();
                let path = format!("/_matrix/client/v3/rooms/{}/state/m.room.name", escaped(room));
                let name = Self::get(connection, &path, &sender.own.token);
                assert_eq!(name["name"].as_str(), Some(&*deed.mark), "{deed:?}");
            }
        }
    }
}

impl Deed {
    fn is_event(&self) -> bool {
        !matches!(self.kind, Kind::AccountData | Kind::CreateRoom)
    }
}
