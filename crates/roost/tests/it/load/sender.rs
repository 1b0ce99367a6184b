//! One sender: what it does next, and what it remembers of what it did.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use serde_json::{Value, json};

use super::{Chance, Connection, Tally, Trial, User};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    /// Of the event with this id.
    Redact(String),
    State,
    Join,
    Leave,
    PuppetJoin,
    /// Of the puppet.
    Kick,
    /// A message into a room that the sender is not in.
    Intrusion,
    AccountData,
    CreateRoom,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was never answered, so it happened once or not at all.
    Open,
    /// It was answered, or a later answer shows that it happened.
    Done,
    /// It was refused, or failed, and must not have happened.
    Refused,
    /// It was cut off, and there is no asking again for the same.
    Unknown,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) kind: Kind,
    /// Where: one of the rooms, by its place in the list.
    pub(super) room: usize,
    /// What is found in the event that it makes, and nowhere else.
    pub(super) mark: String,
    pub(super) fate: Fate,
    /// The event's id, or the new room's, once it was answered.
    pub(super) made: Option<String>,
    method: &'static str,
    path: String,
    body: Value,
    /// How often it was sent, and whether one of those times it was cut off.
    times: u64,
    was_cut: bool,
}

pub(super) struct Sender {
    at: usize,
    pub(super) own: User,
    pub(super) puppet: User,
    /// All requests, in order; only the last one can be open.
    pub(super) deeds: Vec<Deed>,
    /// The rooms in which it acts, and whether it is in them.
    joined: HashMap<usize, bool>,
    puppet_is_in: bool,
    chance: Chance,
}

fn rooms_path(room: &str, below: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{below}", escaped(room))
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('!', "%21").replace(':', "%3A").replace('$', "%24").replace('@', "%40")
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Sender {
    pub(super) fn new(at: usize, own: User, puppet: User, rooms: &[String], seed: u64) -> Self {
        // Two rooms of its own choice; it starts outside of both, and never enters the one after.
        let joined = [(at % rooms.len(), false), ((at + 1) % rooms.len(), false)].into();
        let chance = Chance::new(seed ^ ((at as u64 + 1) << 32));
        Self { at, own, puppet, deeds: Vec::new(), joined, puppet_is_in: false, chance }
    }

    pub(super) fn has_open(&self) -> bool {
        self.deeds.last().is_some_and(|deed| deed.fate == Fate::Open)
    }

    /// Sends one request after the other until `done`, or until the server is gone.
    pub(super) fn run(&mut self, port: u16, rooms: &[String], trial: Trial, tally: &Tally, done: &AtomicBool) {
        let mut connection = Connection::new(port);
        // The answer to the last message may have been lost by the client: it asks again.
        let mut repeat = true;
        while !done.load(Ordering::Relaxed) {
            if !self.has_open() {
                if std::mem::take(&mut repeat) && self.repeat(&mut connection, trial, tally).is_err() {
                    return;
                }
                let deed = self.next(rooms);
                self.deeds.push(deed);
                repeat = self.chance.below(12) == 0;
            }
            if self.attempt(&mut connection, trial, tally).is_err() {
                return;
            }
        }
    }

    fn next(&mut self, rooms: &[String]) -> Deed {
        let mark = format!("{}-{}", self.at, self.deeds.len());
        let first = self.at % rooms.len();
        let room = if self.chance.below(2) == 0 { first } else { (self.at + 1) % rooms.len() };
        let path = |below: &str| rooms_path(&rooms[room], below);
        let reason = json!({ "reason": mark });
        let deed = |kind, room, method, path, body| {
            let (mark, fate) = (mark.clone(), Fate::Open);
            Deed { kind, room, mark, fate, made: None, method, path, body, times: 0, was_cut: false }
        };
        let text = json!({ "msgtype": "m.text", "body": mark });
        if !self.joined[&room] {
            return deed(Kind::Join, room, "POST", path("join"), reason);
        }
        match self.chance.below(100) {
            0..12 => {
                let state = format!("state/org.example.crash/{}", escaped(&self.own.id));
                deed(Kind::State, room, "PUT", path(&state), json!({ "mark": mark }))
            }
            12..18 => deed(Kind::Leave, room, "POST", path("leave"), reason),
            18..28 if room == first && self.puppet_is_in => {
                deed(Kind::Kick, room, "POST", path("kick"), json!({ "user_id": self.puppet.id, "reason": mark }))
            }
            18..28 if room == first => deed(Kind::PuppetJoin, room, "POST", path("join"), reason),
            26..34 => {
                let said = self.deeds.iter().rev().filter(|deed| deed.kind == Kind::Message && deed.room == room);
                let target = said.take(20).nth(self.chance.index(20)).and_then(|deed| deed.made.clone());
                match target {
                    Some(event) => {
                        let below = format!("redact/{}/{mark}", escaped(&event));
                        deed(Kind::Redact(event), room, "PUT", path(&below), reason)
                    }
                    None => deed(Kind::Message, room, "PUT", path(&format!("send/m.room.message/{mark}")), text),
                }
            }
            34..38 => {
                let outside = (self.at + 2) % rooms.len();
                let path = rooms_path(&rooms[outside], &format!("send/m.room.message/{mark}"));
                deed(Kind::Intrusion, outside, "PUT", path, text)
            }
            38..42 => {
                let path = format!("/_matrix/client/v3/user/{}/account_data/org.example.crash", escaped(&self.own.id));
                deed(Kind::AccountData, room, "PUT", path, json!({ "mark": mark }))
            }
            42 => {
                let body = json!({ "preset": "public_chat", "name": mark });
                deed(Kind::CreateRoom, room, "POST", "/_matrix/client/v3/createRoom".to_owned(), body)
            }
            _ => deed(Kind::Message, room, "PUT", path(&format!("send/m.room.message/{mark}")), text),
        }
    }

    /// Sends the last message again, which must not make another one.
    fn repeat(&mut self, connection: &mut Connection, trial: Trial, tally: &Tally) -> std::io::Result<()> {
        let is_repeatable =
            |deed: &&Deed| matches!(deed.kind, Kind::Message | Kind::Redact(_)) && deed.fate == Fate::Done;
        let Some(deed) = self.deeds.iter().rev().take(30).find(is_repeatable) else { return Ok(()) };
        if !self.joined[&deed.room] {
            return Ok(());
        }
        add(&tally.repeated);
        let (status, answer) = connection.call(deed.method, &deed.path, &self.own.token, &deed.body)?;
        if status >= 500 && trial == Trial::Failing {
            return Ok(());
        }
        assert_eq!(status, 200, "{deed:?} once more: {answer}");
        assert_eq!(answer["event_id"].as_str(), deed.made.as_deref(), "{deed:?} once more is another event");
        Ok(())
    }

    /// Sends the open request.
    fn attempt(&mut self, connection: &mut Connection, trial: Trial, tally: &Tally) -> std::io::Result<()> {
        let Some(deed) = self.deeds.last_mut() else { return Ok(()) };
        deed.times += 1;
        if deed.times > 1 && matches!(deed.kind, Kind::Message | Kind::Redact(_)) {
            add(&tally.repeated);
        }
        let token = if deed.kind == Kind::PuppetJoin { &self.puppet.token } else { &self.own.token };
        let (status, answer) = match connection.call(deed.method, &deed.path, token, &deed.body) {
            Ok(answer) => answer,
            Err(error) => {
                deed.was_cut = true;
                if deed.kind == Kind::CreateRoom {
                    deed.fate = Fate::Unknown;
                }
                add(&tally.cut);
                return Err(error);
            }
        };
        match status {
            200 => {
                assert_ne!(deed.kind, Kind::Intrusion, "{deed:?} was let in");
                let key = if deed.kind == Kind::CreateRoom { "room_id" } else { "event_id" };
                deed.made = answer[key].as_str().map(str::to_owned);
                deed.fate = Fate::Done;
            }
            403 if deed.kind == Kind::Intrusion => deed.fate = Fate::Refused,
            // It is done already: the first time did it.
            403 if deed.kind == Kind::Kick && deed.was_cut => deed.fate = Fate::Done,
            500.. if trial == Trial::Failing => {
                add(&tally.failed);
                // Some give up, and some ask again. Who was cut off once can not know, and asks.
                if !deed.was_cut && self.chance.below(2) == 0 {
                    deed.fate = Fate::Refused;
                }
                return Ok(());
            }
            _ => panic!("{deed:?}: {status} {answer}"),
        }
        add(&tally.answered);
        if deed.fate == Fate::Done {
            match deed.kind {
                Kind::Join => drop(self.joined.insert(deed.room, true)),
                Kind::Leave => drop(self.joined.insert(deed.room, false)),
                Kind::PuppetJoin => self.puppet_is_in = true,
                Kind::Kick => self.puppet_is_in = false,
                _ => {}
            }
        }
        Ok(())
    }
}
