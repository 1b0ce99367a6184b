//! The store's part of `roost check`: whether rows name what is there, and whether the log and the histories tell the same.
//!
//! What a room's tables say about its events is the room engine's to judge. Here is what needs no event to be understood.

use crate::{Error, Read, params, statements};

statements! {
    TRANSACTIONS = "SELECT t.room_no, t.event_no FROM transactions t LEFT JOIN events e ON e.event_no = t.event_no \
                    WHERE e.event_no IS NULL OR e.room_no <> t.room_no OR e.txn_id IS NULL LIMIT $1";
    UNTRACKED = "SELECT e.room_no, e.event_no FROM events e LEFT JOIN transactions t ON t.event_no = e.event_no \
                 WHERE e.txn_id IS NOT NULL AND t.event_no IS NULL LIMIT $1";
    HOMELESS = "SELECT e.room_no, e.event_no FROM events e LEFT JOIN rooms r ON r.room_no = e.room_no \
                WHERE r.room_no IS NULL LIMIT $1";
    PLACES = "SELECT t.room_no, t.event_no FROM timeline t LEFT JOIN events e ON e.event_no = t.event_no \
              WHERE e.event_no IS NULL OR e.room_no <> t.room_no OR e.idx IS NULL OR e.idx <> t.idx LIMIT $1";
    MISPLACED = "SELECT e.room_no, e.event_no FROM events e LEFT JOIN timeline t ON t.room_no = e.room_no AND t.idx = e.idx \
                 WHERE e.idx IS NOT NULL AND (t.event_no IS NULL OR t.event_no <> e.event_no) LIMIT $1";
    UNLOGGED = "SELECT t.room_no, t.event_no FROM timeline t LEFT JOIN log l ON l.position = t.position \
                WHERE t.position > (SELECT horizon FROM log_head) \
                AND (l.position IS NULL OR l.kind <> 1 OR l.room_no <> t.room_no OR l.item_no <> t.event_no) LIMIT $1";
    LOGGED = "SELECT l.position, l.item_no FROM log l LEFT JOIN timeline t ON t.room_no = l.room_no AND t.position = l.position \
              WHERE l.kind = 1 AND (t.event_no IS NULL OR t.event_no <> l.item_no) LIMIT $1";
    AHEAD_LOG = "SELECT position, kind FROM log WHERE position > (SELECT position FROM log_head) LIMIT $1";
    AHEAD_TIMELINE = "SELECT room_no, event_no FROM timeline WHERE position > (SELECT position FROM log_head) LIMIT $1";
    AHEAD_MEMBERSHIPS = "SELECT room_no, user_no FROM memberships WHERE position > (SELECT position FROM log_head) LIMIT $1";
    MEMBERSHIPS = "SELECT m.room_no, m.user_no FROM memberships m LEFT JOIN users_no u ON u.user_no = m.user_no \
                   LEFT JOIN users_no s ON s.user_no = m.sender LEFT JOIN rooms r ON r.room_no = m.room_no \
                   LEFT JOIN events e ON e.event_no = m.event_no \
                   WHERE u.user_no IS NULL OR s.user_no IS NULL OR r.room_no IS NULL \
                   OR e.event_no IS NULL OR e.room_no <> m.room_no LIMIT $1";
    ACCOUNTS = "SELECT a.user_no, a.created_at FROM accounts a LEFT JOIN users_no u ON u.user_no = a.user_no \
                WHERE u.user_no IS NULL LIMIT $1";
    DEVICES = "SELECT d.user_no, d.created_at FROM devices d LEFT JOIN accounts a ON a.user_no = d.user_no \
               WHERE a.user_no IS NULL LIMIT $1";
    SESSIONS = "SELECT s.user_no, s.created_at FROM sessions s LEFT JOIN accounts a ON a.user_no = s.user_no \
                WHERE a.user_no IS NULL LIMIT $1";
    REDACTIONS = "SELECT r.redaction, r.event_no FROM redactions r LEFT JOIN events e ON e.event_no = r.event_no \
                  LEFT JOIN events b ON b.event_no = r.redaction WHERE e.event_no IS NULL OR b.event_no IS NULL LIMIT $1";
    STATE_CHANGES = "SELECT c.room_no, c.event_no FROM state_changes c LEFT JOIN events e ON e.event_no = c.event_no \
                     WHERE c.event_no IS NOT NULL AND (e.event_no IS NULL OR e.room_no <> c.room_no) LIMIT $1";
    ORIGINS = "SELECT o.event_no, o.received_at FROM event_origins o LEFT JOIN events e ON e.event_no = o.event_no \
               WHERE e.event_no IS NULL LIMIT $1";
    ALIASES = "SELECT a.room_no, a.creator FROM aliases a LEFT JOIN rooms r ON r.room_no = a.room_no \
               LEFT JOIN users_no u ON u.user_no = a.creator WHERE r.room_no IS NULL OR u.user_no IS NULL LIMIT $1";
    SEQUENCE_USER = "SELECT max(user_no), (SELECT next FROM sequences WHERE name = 'user') FROM users_no \
                     HAVING max(user_no) >= coalesce((SELECT next FROM sequences WHERE name = 'user'), 0) LIMIT $1";
    SEQUENCE_ROOM = "SELECT max(room_no), (SELECT next FROM sequences WHERE name = 'room') FROM rooms \
                     HAVING max(room_no) >= coalesce((SELECT next FROM sequences WHERE name = 'room'), 0) LIMIT $1";
    SEQUENCE_EVENT = "SELECT max(event_no), (SELECT next FROM sequences WHERE name = 'event') FROM events \
                      HAVING max(event_no) >= coalesce((SELECT next FROM sequences WHERE name = 'event'), 0) LIMIT $1";
    SEQUENCE_STATE_KEY = "SELECT max(state_key_no), (SELECT next FROM sequences WHERE name = 'state_key') FROM state_keys \
                          HAVING max(state_key_no) >= coalesce((SELECT next FROM sequences WHERE name = 'state_key'), 0) LIMIT $1";
    SEQUENCE_BLOCK = "SELECT max(block_no), (SELECT next FROM sequences WHERE name = 'state_block') FROM state_blocks \
                      HAVING max(block_no) >= coalesce((SELECT next FROM sequences WHERE name = 'state_block'), 0) LIMIT $1";
    SEQUENCE_SNAPSHOT = "SELECT max(snapshot_no), (SELECT next FROM sequences WHERE name = 'snapshot') FROM state_snapshots \
                         HAVING max(snapshot_no) >= coalesce((SELECT next FROM sequences WHERE name = 'snapshot'), 0) LIMIT $1";
}

/// Each look for rows that should not be, and how one is told: `{0}` and `{1}` are its two columns.
const LOOKS: &[(&str, &str)] = &[
    (TRANSACTIONS, "transaction ids of room {0} name event {1}, which is not there or was sent without one"),
    (UNTRACKED, "event {1} of room {0} was sent with a transaction id that would not be known again"),
    (HOMELESS, "event {1} is of room {0}, which is not there"),
    (PLACES, "the history of room {0} has event {1} where it does not stand"),
    (MISPLACED, "event {1} says that it has a place in the history of room {0}, where it is not"),
    (UNLOGGED, "event {1} in the history of room {0} has no line in the log"),
    (LOGGED, "line {0} of the log tells of event {1}, which is not in its history at that position"),
    (AHEAD_LOG, "line {0} of the log is beyond the log's end"),
    (AHEAD_TIMELINE, "event {1} of room {0} is beyond the log's end"),
    (AHEAD_MEMBERSHIPS, "the membership of user {1} in room {0} is beyond the log's end"),
    (MEMBERSHIPS, "the membership of user {1} in room {0} names a user, room or event that is not there"),
    (ACCOUNTS, "the account of user {0} has no user id"),
    (DEVICES, "a device of user {0} belongs to no account"),
    (SESSIONS, "a session of user {0} belongs to no account"),
    (REDACTIONS, "redaction {0} of event {1}: one of them is not there"),
    (STATE_CHANGES, "the changes of the state of room {0} name event {1}, which is not there"),
    (ORIGINS, "event {0} has an origin and is not there"),
    (ALIASES, "an alias of user {1} names room {0}: one of them is not there"),
    (SEQUENCE_USER, "user {0} was made and the next one is {1}"),
    (SEQUENCE_ROOM, "room {0} was made and the next one is {1}"),
    (SEQUENCE_EVENT, "event {0} was made and the next one is {1}"),
    (SEQUENCE_STATE_KEY, "state key {0} was made and the next one is {1}"),
    (SEQUENCE_BLOCK, "block {0} of a state was made and the next one is {1}"),
    (SEQUENCE_SNAPSHOT, "snapshot {0} of a state was made and the next one is {1}"),
];

/// Faults of one kind that are told at most.
const MAX_FAULTS: i64 = 20;

/// What is not as it should be: a text for each, nothing in a sound database. All is read in one snapshot, and nothing is
/// changed.
pub fn faults(read: &Read<'_>) -> Result<Vec<String>, Error> {
    let mut faults = read.integrity()?;
    for (sql, text) in LOOKS {
        // NULL where there is no such number at all.
        let told = |number: Option<i64>| number.map_or_else(|| "(none)".to_owned(), |number| number.to_string());
        let found = read.all(sql, params![MAX_FAULTS + 1], |row| {
            Ok(text.replace("{0}", &told(row.get(0)?)).replace("{1}", &told(row.get(1)?)))
        })?;
        // One more than is told says that there are more.
        for (text, told) in found.into_iter().zip(1..) {
            faults.push(if told > MAX_FAULTS { "and more of the kind".to_owned() } else { text });
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests;
