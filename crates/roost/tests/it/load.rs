//! Senders who keep a ledger of what they asked for and what was answered, and a reader who holds a server's rooms against it.
//!
//! Whatever happens to the server meanwhile: what was answered is there once, in the order of its sender; what was refused or
//! failed is not there; what is still open is there once or not at all, and asking again with the same words ends it.

mod audit;
mod connection;
mod sender;

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

pub(crate) use connection::Connection;
use sender::Sender;

/// Chance from a seed: the same seed, the same choices.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }
}

/// Someone with an access token.
#[derive(Clone, Debug)]
pub(crate) struct User {
    id: String,
    token: String,
}

impl User {
    fn register(connection: &mut Connection, name: &str) -> Self {
        let body = json!({ "username": name, "password": "a long secret", "auth": { "type": "m.login.dummy" } });
        let (status, answer) = connection.call("POST", "/_matrix/client/v3/register", "", &body).unwrap();
        assert_eq!(status, 200, "{answer}");
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        Self { id: text("user_id"), token: text("access_token") }
    }
}

/// How often what came up, over the whole life of a load.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: AtomicU64,
    /// Requests that ended without an answer.
    pub(crate) cut: AtomicU64,
    /// Requests with a transaction id that were sent again after they had been cut off or answered.
    pub(crate) repeated: AtomicU64,
    /// Answers of 500 and more.
    pub(crate) failed: AtomicU64,
}

/// What the server is being put through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// It may vanish, but while it is there it does what it is asked.
    Killed,
    /// Its disk may fail, and then it may say so.
    Failing,
}

/// Rooms, senders in them, and what they have asked for so far.
pub(crate) struct Load {
    port: u16,
    /// Joined to every room, and never removed.
    observer: User,
    rooms: Vec<String>,
    senders: Vec<Sender>,
    /// How far each room was read, and the sync token from then.
    read: Vec<usize>,
    since: String,
    pub(crate) tally: Tally,
}

/// Of the senders.
const SENDERS: usize = 20;
const ROOMS: usize = 5;

impl Load {
    /// Makes the users and rooms on a server that runs, with open registration and without rate limits.
    pub(crate) fn prepare(port: u16, seed: u64) -> Self {
        let mut connection = Connection::new(port);
        let observer = User::register(&mut connection, "observer");
        // Whoever kicks needs more power than whom they kick.
        let puppets: serde_json::Map<String, Value> =
            (0..SENDERS).map(|at| (format!("@puppet{at}:localhost"), 0.into())).collect();
        let rooms: Vec<String> = (0..ROOMS)
            .map(|at| {
                let body = json!({
                    "preset": "public_chat",
                    "name": format!("room {at}"),
                    "power_level_content_override":
                        { "state_default": 0, "kick": 0, "redact": 0, "users_default": 1, "users": puppets },
                });
                let (status, answer) =
                    connection.call("POST", "/_matrix/client/v3/createRoom", &observer.token, &body).unwrap();
                assert_eq!(status, 200, "{answer}");
                answer["room_id"].as_str().unwrap().to_owned()
            })
            .collect();
        let senders = (0..SENDERS)
            .map(|at| {
                let own = User::register(&mut connection, &format!("sender{at}"));
                let puppet = User::register(&mut connection, &format!("puppet{at}"));
                Sender::new(at, own, puppet, &rooms, seed)
            })
            .collect();
        let read = vec![0; ROOMS];
        let mut load = Self { port, observer, rooms, senders, read, since: String::new(), tally: Tally::default() };
        // Which also gets the first sync token.
        load.audit();
        load
    }

    /// Lets all send until `done` is set, or until the server is gone. What was cut off is asked again first.
    pub(crate) fn run(&mut self, trial: Trial, done: &AtomicBool) {
        let (port, tally, rooms) = (self.port, &self.tally, &self.rooms);
        std::thread::scope(|scope| {
            let running: Vec<_> = self
                .senders
                .iter_mut()
                .map(|sender| scope.spawn(|| sender.run(port, rooms, trial, tally, done)))
                .collect();
            for sender in running {
                sender.join().unwrap();
            }
        });
    }

    /// The same for so long.
    pub(crate) fn run_for(&mut self, trial: Trial, time: Duration) {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(time);
                done.store(true, Ordering::Relaxed);
            });
            self.run(trial, &done);
        });
    }

    fn sync(&self, connection: &mut Connection) -> Value {
        let filter = "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A1000%7D%7D%7D";
        let since = if self.since.is_empty() { String::new() } else { format!("&since={}", self.since) };
        let path = format!("/_matrix/client/v3/sync?filter={filter}{since}");
        let (status, answer) = connection.call("GET", &path, &self.observer.token, &Value::Null).unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// How many requests are open.
    pub(crate) fn open(&self) -> usize {
        self.senders.iter().filter(|sender| sender.has_open()).count()
    }
}

mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{check::damage, crash::Kept, process::Place};

    /// Whether the audit, and then more load, notice what is done to the database behind the server's back.
    fn is_noticed(sql: &'static str) -> bool {
        let kept = Kept::new(Place::new(), None, 11);
        let running = kept.place.serve_with(kept.roost(&["serve"]));
        let mut load = Load::prepare(kept.place.port, 11);
        load.run_for(Trial::Killed, Duration::from_millis(400));
        load.audit();
        assert!(running.end("-TERM", Duration::from_secs(5)).is_some());
        damage(&kept.place.path().join("roost-data/roost.db"), sql);
        let _running = kept.place.serve_with(kept.roost(&["serve"]));
        let noticing = AssertUnwindSafe(|| {
            load.audit();
            load.run_for(Trial::Killed, Duration::from_millis(400));
        });
        catch_unwind(noticing).is_err()
    }

    #[test]
    fn an_event_that_was_answered_and_is_gone_is_noticed() {
        assert!(is_noticed(
            "DELETE FROM timeline WHERE event_no = (SELECT max(event_no) FROM events WHERE txn_id IS NOT NULL)"
        ));
    }

    #[test]
    fn a_transaction_id_that_is_forgotten_is_noticed() {
        assert!(is_noticed("DELETE FROM transactions"));
    }

    #[test]
    fn a_membership_that_fell_behind_is_noticed() {
        assert!(is_noticed("UPDATE memberships SET membership = 4 WHERE membership = 2"));
    }
}
