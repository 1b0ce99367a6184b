use super::*;
use crate::{
    Durability, Tx, on_both_engines,
    sqlite::Sqlite,
    testing::{self, TestStore},
    transaction::Session as _,
};

on_both_engines![a_sound_database_has_no_fault_and_each_damage_is_told];

/// One row of each kind, as the server would leave them.
const SOUND: &[&str] = &[
    "INSERT INTO sequences (name, next) VALUES ('user', 9), ('room', 9), ('event', 9), ('state_key', 9), ('state_block', 9), ('snapshot', 9)",
    "INSERT INTO users_no (user_no, user_id) VALUES (1, '@a:example.org')",
    "INSERT INTO accounts (user_no, password, admin, locked, suspended, created_at, deactivated_at, erased, departing) \
     VALUES (1, NULL, FALSE, FALSE, FALSE, 5, NULL, FALSE, FALSE)",
    "INSERT INTO devices (user_no, device_id, display_name, created_at, last_seen_at, last_seen_ip) VALUES (1, 'D', NULL, 5, NULL, NULL)",
    "INSERT INTO sessions (access_hash, refresh_hash, user_no, device_id, created_at, expires_at, replaces) VALUES ('h', NULL, 1, 'D', 5, NULL, NULL)",
    "INSERT INTO rooms (room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published, created_at) \
     VALUES (1, '!r', '12', 1, 1, 1, '', 1, 1, 0, FALSE, FALSE, 5)",
    "INSERT INTO events (event_no, event_id, room_no, idx, standing, before_no, after_no, replaces, device, txn_id, json) \
     VALUES (1, '$one', 1, 1, 0, NULL, NULL, NULL, NULL, NULL, ''), (2, '$two', 1, 2, 0, NULL, NULL, NULL, 'D', 't', '')",
    "INSERT INTO event_origins (event_no, origin, received_at, reason) VALUES (2, 'example.org', 5, NULL)",
    "INSERT INTO timeline (room_no, idx, event_no, position, aside) VALUES (1, 1, 1, 1, FALSE), (1, 2, 2, 2, FALSE)",
    "INSERT INTO log (position, kind, room_no, user_no, item_no, detail) VALUES (1, 1, 1, 1, 1, 2), (2, 1, 1, NULL, 2, NULL), (3, 4, NULL, 1, NULL, NULL)",
    "UPDATE log_head SET position = 3",
    "INSERT INTO transactions (room_no, digest, event_no) VALUES (1, 7, 2)",
    "INSERT INTO memberships (user_no, room_no, membership, event_no, idx, sender, position, forgotten) VALUES (1, 1, 2, 1, 1, 1, 1, FALSE)",
    "INSERT INTO redactions (event_no, redaction, redacted_at, erased) VALUES (1, 2, 5, FALSE)",
    "INSERT INTO state_changes (room_no, kind, state_key, idx, event_no, word) VALUES (1, 'm.room.member', '@a:example.org', 1, 1, 'join'), (1, 'm.room.topic', '', 2, NULL, NULL)",
    "INSERT INTO aliases (alias, room_no, creator, created_at) VALUES ('#a:example.org', 1, 1, 5)",
    "INSERT INTO state_keys (state_key_no, kind, state_key) VALUES (1, 'm.room.topic', '')",
    "INSERT INTO state_blocks (room_no, block_no, body) VALUES (1, 1, '')",
    "INSERT INTO state_snapshots (room_no, snapshot_no, root, hash_low, hash_high, size, changes) VALUES (1, 1, 1, 0, 0, 1, '')",
];

/// What is done to it, and what must be told.
const DAMAGES: &[(&str, &str)] = &[
    ("UPDATE transactions SET event_no = 3", "transaction ids of room 1 name event 3, which is not there"),
    (
        "UPDATE transactions SET event_no = 1",
        "transaction ids of room 1 name event 1, which is not there or was sent without",
    ),
    ("DELETE FROM transactions", "event 2 of room 1 was sent with a transaction id that would not be known"),
    ("DELETE FROM rooms", "event 1 is of room 1, which is not there"),
    ("DELETE FROM events WHERE event_no = 2", "the history of room 1 has event 2 where it does not stand"),
    ("UPDATE events SET idx = NULL WHERE event_no = 2", "the history of room 1 has event 2 where it does not stand"),
    ("DELETE FROM timeline WHERE idx = 2", "event 2 says that it has a place in the history of room 1"),
    ("UPDATE timeline SET event_no = 1 WHERE idx = 2", "event 2 says that it has a place in the history of room 1"),
    ("DELETE FROM log WHERE position = 2", "event 2 in the history of room 1 has no line in the log"),
    ("UPDATE log SET item_no = 1 WHERE position = 2", "event 2 in the history of room 1 has no line in the log"),
    (
        "UPDATE timeline SET position = NULL WHERE idx = 2",
        "line 2 of the log tells of event 2, which is not in its history",
    ),
    ("UPDATE log_head SET position = 2", "line 3 of the log is beyond the log's end"),
    ("UPDATE timeline SET position = 4 WHERE idx = 2", "event 2 of room 1 is beyond the log's end"),
    ("UPDATE memberships SET position = 4", "the membership of user 1 in room 1 is beyond the log's end"),
    ("UPDATE memberships SET sender = 2", "the membership of user 1 in room 1 names a user, room or event"),
    ("UPDATE memberships SET event_no = 3", "the membership of user 1 in room 1 names a user, room or event"),
    ("DELETE FROM users_no", "the account of user 1 has no user id"),
    ("DELETE FROM users_no", "the membership of user 1 in room 1 names a user, room or event"),
    ("DELETE FROM accounts", "a device of user 1 belongs to no account"),
    ("DELETE FROM accounts", "a session of user 1 belongs to no account"),
    ("UPDATE redactions SET redaction = 3", "redaction 3 of event 1: one of them is not there"),
    ("UPDATE state_changes SET event_no = 3 WHERE idx = 1", "the changes of the state of room 1 name event 3"),
    ("UPDATE event_origins SET event_no = 3", "event 3 has an origin and is not there"),
    ("UPDATE aliases SET room_no = 2", "an alias of user 1 names room 2: one of them is not there"),
    ("UPDATE aliases SET creator = 2", "an alias of user 2 names room 1: one of them is not there"),
    ("UPDATE sequences SET next = 1 WHERE name = 'user'", "user 1 was made and the next one is 1"),
    ("UPDATE sequences SET next = 1 WHERE name = 'room'", "room 1 was made and the next one is 1"),
    ("UPDATE sequences SET next = 2 WHERE name = 'event'", "event 2 was made and the next one is 2"),
    ("UPDATE sequences SET next = 1 WHERE name = 'state_key'", "state key 1 was made and the next one is 1"),
    ("UPDATE sequences SET next = 1 WHERE name = 'state_block'", "block 1 of a state was made and the next one is 1"),
    ("DELETE FROM sequences WHERE name = 'snapshot'", "snapshot 1 of a state was made and the next one is (none)"),
];

/// Carries what was found out of a write that is undone.
enum Undo {
    Found(Vec<String>),
    Error(Error),
}

impl From<Error> for Undo {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

async fn a_sound_database_has_no_fault_and_each_damage_is_told(store: TestStore) {
    for sql in SOUND {
        store.write(move |tx| tx.execute(sql, params![])).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert_eq!(store.read(faults).await.unwrap(), Vec::<String>::new());
    for (sql, expected) in DAMAGES {
        let damage = move |tx: &Tx<'_>| {
            assert!(tx.execute(sql, params![])? > 0, "{sql} damages nothing");
            Err::<(), _>(Undo::Found(faults(tx)?))
        };
        let found = match store.write(damage).await {
            Err(Undo::Found(found)) => found,
            Err(Undo::Error(error)) => panic!("{sql}: {error}"),
            Ok(()) => unreachable!("the closure fails"),
        };
        assert!(found.iter().any(|text| text.starts_with(expected)), "{sql}: {found:?}");
    }
    assert_eq!(store.read(faults).await.unwrap(), Vec::<String>::new(), "the damages were undone");
    for (sql, _) in LOOKS {
        assert!(STATEMENTS.iter().any(|(_, known)| known == sql), "{sql}");
    }
    let told: Vec<&str> = DAMAGES.iter().map(|(_, expected)| *expected).collect();
    for (_, text) in LOOKS {
        // Each kind of fault is among those that were seen told: its text up to the first number is.
        let (words, numbered) = text.split_once('{').unwrap();
        let rest = numbered.get(2..).unwrap().split('{').next().unwrap();
        let like = |told: &str| told.starts_with(words) && told.contains(rest.get(..rest.len().min(9)).unwrap());
        assert!(told.iter().any(|told| like(told)), "no damage shows {text:?}");
    }
}

#[tokio::test]
async fn what_was_compacted_from_the_log_is_not_missed() {
    let store = testing::TestStore::sqlite().await;
    for sql in SOUND {
        store.write(move |tx| tx.execute(sql, params![])).await.unwrap();
    }
    for sql in ["DELETE FROM log WHERE position <= 2", "UPDATE log_head SET horizon = 2"] {
        store.write(move |tx| tx.execute(sql, params![])).await.unwrap();
    }
    assert_eq!(store.read(faults).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn faults_of_one_kind_do_not_fill_the_screen() {
    let store = testing::TestStore::sqlite().await;
    let many = "INSERT INTO event_origins (event_no, origin, received_at, reason) VALUES ($1, 'example.org', 0, NULL)";
    for no in 0..100_i64 {
        store.write(move |tx| tx.execute(many, params![no])).await.unwrap();
    }
    let found = store.read(faults).await.unwrap();
    assert_eq!(found.len(), 21);
    assert_eq!(found.last().map(String::as_str), Some("and more of the kind"));
}

#[test]
fn an_index_that_lacks_a_row_is_told_by_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roost.db");
    let open = || Sqlite::writer(&path, Durability::Full).unwrap();
    let engine = open();
    engine.migrate(0).unwrap();
    for sql in SOUND {
        engine.connection().execute_batch(sql).unwrap();
    }
    assert_eq!(engine.integrity().unwrap(), Vec::<String>::new());
    // The index is said to hold other rooms than it does.
    let lie = "PRAGMA writable_schema = ON;
               UPDATE sqlite_schema SET sql = replace(sql, 'WHERE published', 'WHERE NOT published') WHERE name = 'rooms_published'";
    engine.connection().execute_batch(lie).unwrap();
    drop(engine);
    let found = open().integrity().unwrap();
    assert!(found.iter().any(|text| text.contains("rooms_published")), "{found:?}");
}
