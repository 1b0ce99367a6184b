//! A room's current state: now, and as it was at any place of the history.

use crate::{Error, EventNo, Read, RoomNo, Tx, params, statements, values};

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Event type.
    pub kind: &'a str,
    /// State key.
    pub state_key: &'a str,
    /// Where it stands in the history.
    pub idx: i64,
    /// The state event; `None` when the key is no longer set.
    pub event: Option<EventNo>,
    /// The membership of a member event, the value of `m.room.history_visibility`.
    pub word: Option<&'a str>,
}

statements! {
    CURRENT_KEYS = "SELECT state_key, event_no FROM current_state WHERE room_no = $1 AND kind = $2 AND state_key IN texts($3)";
    CURRENT_KIND = "SELECT state_key, event_no FROM current_state WHERE room_no = $1 AND kind = $2";
    CURRENT_ALL = "SELECT event_no FROM current_state WHERE room_no = $1";
    CURRENT_KEYED = "SELECT kind, state_key, event_no FROM current_state WHERE room_no = $1";
    CURRENT_ROOMS = "SELECT room_no, event_no FROM current_state WHERE room_no IN ints($1) AND kind IN texts($2) AND state_key = ''";
    CURRENT_SET = "INSERT INTO current_state (room_no, kind, state_key, event_no) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (room_no, kind, state_key) DO UPDATE SET event_no = excluded.event_no";
    CHANGE = "INSERT INTO state_changes (room_no, kind, state_key, idx, event_no, word) VALUES ($1, $2, $3, $4, $5, $6)";
    CURRENT_UNSET = "DELETE FROM current_state WHERE room_no = $1 AND kind = $2 AND state_key = $3";
    AMEND = "INSERT INTO state_changes (room_no, kind, state_key, idx, event_no, word) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (room_no, kind, state_key, idx) DO UPDATE SET event_no = excluded.event_no, word = excluded.word";
    ONE_AT = "SELECT event_no FROM state_changes WHERE room_no = $1 AND kind = $2 AND state_key = $3 AND idx <= $4 ORDER BY idx DESC LIMIT 1";
    KEYS_AT = "SELECT s.state_key, s.event_no FROM state_changes s WHERE s.room_no = $1 AND s.kind = $2 AND s.state_key IN texts($3) AND s.idx <= $4 AND s.event_no IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM state_changes n WHERE n.room_no = s.room_no AND n.kind = s.kind AND n.state_key = s.state_key
                               AND n.idx > s.idx AND n.idx <= $4)";
    KIND_AT = "SELECT s.state_key, s.event_no FROM state_changes s WHERE s.room_no = $1 AND s.kind = $2 AND s.idx <= $3 AND s.event_no IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM state_changes n WHERE n.room_no = s.room_no AND n.kind = s.kind AND n.state_key = s.state_key
                               AND n.idx > s.idx AND n.idx <= $3)";
    ALL_AT = "SELECT s.event_no FROM state_changes s WHERE s.room_no = $1 AND s.idx <= $2 AND s.event_no IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM state_changes n WHERE n.room_no = s.room_no AND n.kind = s.kind AND n.state_key = s.state_key
                              AND n.idx > s.idx AND n.idx <= $2)";
    ALL_AT_EXCEPT = "SELECT s.event_no FROM state_changes s WHERE s.room_no = $1 AND s.idx <= $2 AND s.kind <> $3 AND s.event_no IS NOT NULL
                     AND NOT EXISTS (SELECT 1 FROM state_changes n WHERE n.room_no = s.room_no AND n.kind = s.kind AND n.state_key = s.state_key
                                     AND n.idx > s.idx AND n.idx <= $2)";
    DELTA = "SELECT s.event_no FROM state_changes s WHERE s.room_no = $1 AND s.idx > $2 AND s.idx <= $3 AND s.event_no IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM state_changes n WHERE n.room_no = s.room_no AND n.kind = s.kind AND n.state_key = s.state_key
                             AND n.idx > s.idx AND n.idx <= $3)
             ORDER BY s.idx";
    WORDS = "SELECT room_no, idx, word FROM state_changes WHERE room_no IN ints($1) AND kind = $2 AND state_key = $3 ORDER BY room_no, idx";
}

/// The keys of one event type at the head: (state key, event). Keys that are not set are left out.
pub fn current_keys(read: &Read<'_>, room: RoomNo, kind: &str, keys: &[&str]) -> Result<Vec<(String, EventNo)>, Error> {
    read.all(CURRENT_KEYS, params![room, kind, keys], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// All keys of one event type at the head.
pub fn current_kind(read: &Read<'_>, room: RoomNo, kind: &str) -> Result<Vec<(String, EventNo)>, Error> {
    read.all(CURRENT_KIND, params![room, kind], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The whole state at the head.
pub fn current_all(read: &Read<'_>, room: RoomNo) -> Result<Vec<EventNo>, Error> {
    read.all(CURRENT_ALL, params![room], |row| row.get(0))
}

/// The whole state now, with its keys.
pub fn current_keyed(read: &Read<'_>, room: RoomNo) -> Result<Vec<(String, String, EventNo)>, Error> {
    read.all(CURRENT_KEYED, params![room], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

/// Some event types with an empty state key, of many rooms at once, at their heads: (room, event).
pub fn current_rooms(read: &Read<'_>, rooms: &[RoomNo], kinds: &[&str]) -> Result<Vec<(RoomNo, EventNo)>, Error> {
    read.all(CURRENT_ROOMS, params![rooms, kinds], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Writes changes, and the current state with them. In the order of their places; of one key at most once at each place.
pub fn change(tx: &Tx<'_>, room: RoomNo, changes: &[Change<'_>]) -> Result<(), Error> {
    let rows: Vec<_> = changes
        .iter()
        .map(|change| values![room, change.kind, change.state_key, change.idx, change.event, change.word])
        .collect();
    tx.execute_many(CHANGE, &rows)?;
    for change in changes.iter().filter(|change| change.event.is_none()) {
        tx.execute(CURRENT_UNSET, params![room, change.kind, change.state_key])?;
    }
    let rows: Vec<_> =
        changes.iter().filter_map(|change| Some(values![room, change.kind, change.state_key, change.event?])).collect();
    tx.execute_many(CURRENT_SET, &rows)?;
    Ok(())
}

/// Puts changes into the past, where they were missing, without touching the current state.
pub fn amend(tx: &Tx<'_>, room: RoomNo, changes: &[Change<'_>]) -> Result<(), Error> {
    let rows: Vec<_> = changes
        .iter()
        .map(|change| values![room, change.kind, change.state_key, change.idx, change.event, change.word])
        .collect();
    tx.execute_many(AMEND, &rows)?;
    Ok(())
}

/// Sets keys of the current state, of which the past knows already: (type, state key, event).
pub fn set_current(tx: &Tx<'_>, room: RoomNo, keys: &[(&str, &str, Option<EventNo>)]) -> Result<(), Error> {
    for (kind, state_key, _) in keys.iter().filter(|(_, _, event)| event.is_none()) {
        tx.execute(CURRENT_UNSET, params![room, *kind, *state_key])?;
    }
    let rows: Vec<_> =
        keys.iter().filter_map(|(kind, state_key, event)| Some(values![room, *kind, *state_key, (*event)?])).collect();
    tx.execute_many(CURRENT_SET, &rows)?;
    Ok(())
}

/// One key of the state at an index.
pub fn one_at(read: &Read<'_>, room: RoomNo, kind: &str, state_key: &str, idx: i64) -> Result<Option<EventNo>, Error> {
    Ok(read.one(ONE_AT, params![room, kind, state_key, idx], |row| row.get(0))?.flatten())
}

/// Some keys of one event type at an index.
pub fn keys_at(
    read: &Read<'_>,
    room: RoomNo,
    kind: &str,
    keys: &[&str],
    idx: i64,
) -> Result<Vec<(String, EventNo)>, Error> {
    read.all(KEYS_AT, params![room, kind, keys, idx], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// All keys of one event type at an index.
pub fn kind_at(read: &Read<'_>, room: RoomNo, kind: &str, idx: i64) -> Result<Vec<(String, EventNo)>, Error> {
    read.all(KIND_AT, params![room, kind, idx], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The whole state at an index.
pub fn all_at(read: &Read<'_>, room: RoomNo, idx: i64) -> Result<Vec<EventNo>, Error> {
    read.all(ALL_AT, params![room, idx], |row| row.get(0))
}

/// The whole state at an index but for one event type.
pub fn all_at_except(read: &Read<'_>, room: RoomNo, kind: &str, idx: i64) -> Result<Vec<EventNo>, Error> {
    read.all(ALL_AT_EXCEPT, params![room, idx, kind], |row| row.get(0))
}

/// What the state at `to` has that the state at `from` had not, in the order of history.
pub fn delta(read: &Read<'_>, room: RoomNo, from: i64, to: i64) -> Result<Vec<EventNo>, Error> {
    read.all(DELTA, params![room, from, to], |row| row.get(0))
}

/// Every change of one key in many rooms: (room, index, word), in the order of history within each room.
pub fn words(
    read: &Read<'_>,
    rooms: &[RoomNo],
    kind: &str,
    state_key: &str,
) -> Result<Vec<(RoomNo, i64, Option<String>)>, Error> {
    read.all(WORDS, params![rooms, kind, state_key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}
