//! `roost check`: a sound database has no fault, and each kind of damage is told.

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use roost_store::{Database, Error, Options, Store, testing};

use crate::{
    load::{Load, Trial},
    process::{Place, err, out},
};

/// A place with a database in which something has happened; no server runs.
fn lived_in() -> Place {
    let place = Place::new();
    let mut command = place.roost(&["serve"]);
    command.env("ROOST_REGISTRATION__MODE", "open").env("ROOST_RATE_LIMITS__ENABLED", "false");
    let running = place.serve_with(command);
    let mut load = Load::prepare(place.port, 7);
    load.run_for(Trial::Killed, Duration::from_millis(400));
    assert_eq!(running.end("-TERM", Duration::from_secs(5)).and_then(|status| status.code()), Some(0));
    place
}

fn check(place: &Place, data_dir: &Path) -> Output {
    place.roost(&["check"]).env("ROOST_DATA_DIR", data_dir).output().unwrap()
}

/// Runs a statement on a copy of the database; the copy's folder.
fn damaged(place: &Place, sql: &'static str) -> PathBuf {
    let copy = place.path().join("copy");
    drop(std::fs::remove_dir_all(&copy));
    std::fs::create_dir(&copy).unwrap();
    // The server has ended: all is in one file.
    std::fs::copy(place.path().join("roost-data/roost.db"), copy.join("roost.db")).unwrap();
    damage(&copy.join("roost.db"), sql);
    copy
}

/// Runs a statement on a database that no server has open.
pub(crate) fn damage(file: &Path, sql: &'static str) {
    let options = Options::new(Database::Sqlite(file.to_owned()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(options, testing::world()).await.unwrap();
        let changed = store.write(move |tx| tx.execute(sql, &[])).await;
        let changed = changed.unwrap_or_else(|error: Error| panic!("{sql}: {error}"));
        assert!(changed > 0, "{sql} damages nothing");
        store.close().await;
    });
}

/// What is done to a sound database, and what must be told.
const DAMAGES: &[(&str, &str)] = &[
    (
        "INSERT INTO timeline (room_no, idx, event_no, position, aside) SELECT room_no, idx + 1000000, event_no, NULL, FALSE FROM timeline LIMIT 1",
        "has two places in the history",
    ),
    (
        "UPDATE events SET room_no = (SELECT max(room_no) FROM rooms) WHERE event_no = (SELECT event_no FROM timeline ORDER BY room_no LIMIT 1)",
        "is in the history of another room",
    ),
    (
        "UPDATE events SET event_id = '$' || substr(replace(event_id, 'A', 'B'), 2, 42) || 'X' WHERE event_no = (SELECT max(event_no) FROM events)",
        "is stored as",
    ),
    ("UPDATE events SET json = x'7b7d' WHERE event_no = (SELECT max(event_no) FROM events)", "it can not be checked"),
    (
        "DELETE FROM events WHERE event_no IN (SELECT event_no FROM current_state WHERE kind = 'm.room.power_levels')",
        "which is not there",
    ),
    (
        "INSERT INTO missing_events (room_no, event_id, cited_by, idx, tries, next_try) \
         SELECT a.room_no, a.event_id, b.event_no, b.idx, 0, 0 FROM events a JOIN events b ON b.room_no = a.room_no AND b.idx = a.idx + 1 LIMIT 1",
        "which is noted as missing",
    ),
    ("UPDATE events SET standing = 1 WHERE event_no = (SELECT max(event_no) FROM events)", "has a state or a place"),
    (
        "UPDATE events SET before_no = (SELECT min(s.snapshot_no) FROM state_snapshots s WHERE s.room_no = events.room_no) \
         WHERE event_no = (SELECT max(c.event_no) FROM current_state c WHERE c.kind = 'org.example.crash')",
        "is not what the events before it lead to",
    ),
    (
        "UPDATE events SET after_no = before_no WHERE event_no = (SELECT max(c.event_no) FROM current_state c WHERE c.kind = 'org.example.crash')",
        "does not differ by it from the state before it",
    ),
    (
        "UPDATE events SET after_no = (SELECT min(s.snapshot_no) FROM state_snapshots s WHERE s.room_no = events.room_no) \
         WHERE event_no = (SELECT max(event_no) FROM events WHERE after_no IS NULL)",
        "changes nothing, and the state after it is another one",
    ),
    (
        "DELETE FROM state_snapshots WHERE snapshot_no = (SELECT max(before_no) FROM events WHERE after_no IS NOT NULL)",
        "is gone",
    ),
    (
        "UPDATE events SET standing = 2 WHERE event_no IN (SELECT max(event_no) FROM timeline GROUP BY room_no)",
        "is a tip of the graph and was not accepted",
    ),
    ("UPDATE rooms SET tips = x'7fffffffffffffff'", "is not there"),
    (
        "UPDATE rooms SET tips = CAST(unhex(printf('%016x', (SELECT t.event_no FROM timeline t WHERE t.room_no = rooms.room_no AND t.idx = rooms.idx - 1))) || tips AS BLOB)",
        "is a tip, and another tip follows it",
    ),
    (
        "UPDATE rooms SET state_no = (SELECT min(s.snapshot_no) FROM state_snapshots s WHERE s.room_no = rooms.room_no)",
        "the current state is not what the tips lead to",
    ),
    ("DELETE FROM current_state WHERE kind = 'm.room.name'", "the table of the current state is not the current state"),
    (
        "DELETE FROM state_changes WHERE kind = 'm.room.name'",
        "the changes along the history do not lead to the current state",
    ),
    ("UPDATE rooms SET joined = joined + 1", "joined and 0 invited are counted as"),
    ("UPDATE memberships SET membership = 5 WHERE membership = 2", "is join and noted as ban"),
    ("DELETE FROM memberships WHERE membership = 2", "is join and not noted at all"),
    (
        "UPDATE events SET idx = idx + 1000000 WHERE event_no = (SELECT max(event_no) FROM events)",
        "does not stand where it says",
    ),
    ("UPDATE rooms SET idx = idx + 1", "the history ends at"),
    ("UPDATE rooms SET version = 'none such'", "can not be listed"),
    ("DELETE FROM transactions", "database: event"),
    ("DELETE FROM log WHERE kind = 1", "has no line in the log"),
    ("DELETE FROM users_no WHERE user_no IN (SELECT user_no FROM accounts)", "database: the account of user"),
];

#[test]
fn a_sound_database_has_no_fault_and_each_damage_is_told() {
    let place = lived_in();
    let sound = check(&place, &place.path().join("roost-data"));
    assert_eq!(sound.status.code(), Some(0), "{}{}", out(&sound), err(&sound));
    let lines = out(&sound);
    let [rooms, "rooms,", events, "events,", "0", "faults"] = lines.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{lines}")
    };
    assert!(rooms.parse::<u32>().unwrap() >= 5 && events.parse::<u32>().unwrap() > 100, "{lines}");
    let mut missed = Vec::new();
    for (sql, expected) in DAMAGES {
        let copy = damaged(&place, sql);
        let found = check(&place, &copy);
        let told = out(&found);
        if found.status.code() != Some(1) || !told.contains(expected) || told.contains(" 0 faults") {
            missed.push(format!("{sql}: {:?}\n{told}{}", found.status, err(&found)));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn a_page_that_was_overwritten_is_told() {
    let place = lived_in();
    let file = place.path().join("roost-data/roost.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let (page, pages) = (4096, bytes.len() / 4096);
    // Not the first pages, without which it would be no database at all.
    for at in (pages / 2..pages).step_by(7) {
        bytes[at * page..at * page + 64].fill(0xa5);
    }
    std::fs::write(&file, bytes).unwrap();
    let found = check(&place, &place.path().join("roost-data"));
    assert_eq!(found.status.code(), Some(1), "{}{}", out(&found), err(&found));
    assert!(out(&found).contains("database: "), "{}", out(&found));
}

#[test]
fn a_copied_database_is_as_sound_as_the_first() {
    let place = lived_in();
    let copied = place.run(&["db", "copy", "sqlite:roost.db", "sqlite:other.db"]);
    assert_eq!(copied.status.code(), Some(0), "{}", err(&copied));
    let found = place.roost(&["check"]).env("ROOST_DATABASE__URL", "sqlite:other.db").output().unwrap();
    assert_eq!(found.status.code(), Some(0), "{}{}", out(&found), err(&found));
}

#[test]
fn a_running_servers_database_is_not_checked() {
    let place = Place::new();
    let _running = place.serve(&["serve"]);
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("in use"), "{}", err(&output));
}

#[test]
fn what_is_not_there_is_not_made_by_a_check() {
    let place = Place::new();
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("there is no"), "{}", err(&output));
    std::fs::create_dir(place.path().join("roost-data")).unwrap();
    assert_eq!(place.run(&["check"]).status.code(), Some(1));
    assert!(!place.path().join("roost-data/roost.db").exists());
}
