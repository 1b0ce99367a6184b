//! Histories: which event stands at which index, and at which position of the log it became visible.

use std::collections::HashMap;

use crate::{Error, EventNo, Position, Read, RoomNo, Row, Slot, Tx, params, statements, values};

/// A place in a room's history with its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The place.
    pub idx: i64,
    /// The event.
    pub event: EventNo,
    /// The position of the log at which it became visible; `None` for what was filled in later.
    pub position: Option<Position>,
    /// Whether who may see it is judged by the state before it, and not by the room's current state as of its place.
    pub aside: bool,
}

statements! {
    INSERT = "INSERT INTO timeline (room_no, idx, event_no, aside, position) VALUES ($1, $2, $3, $4, position($5))";
    BACKWARDS = "SELECT idx, event_no, position, aside FROM timeline WHERE room_no = $1 AND idx <= $2 AND idx > $3 ORDER BY idx DESC LIMIT $4";
    FORWARDS = "SELECT idx, event_no, position, aside FROM timeline WHERE room_no = $1 AND idx > $2 AND idx <= $3 ORDER BY idx LIMIT $4";
    ASIDES_BACKWARDS = "SELECT idx, event_no, position, aside FROM timeline WHERE room_no = $1 AND aside AND idx <= $2 AND idx > $3 ORDER BY idx DESC LIMIT $4";
    ASIDES_FORWARDS = "SELECT idx, event_no, position, aside FROM timeline WHERE room_no = $1 AND aside AND idx > $2 AND idx <= $3 ORDER BY idx LIMIT $4";
    LAST_BELOW = "SELECT idx FROM timeline WHERE room_no = $1 AND idx < $2 ORDER BY idx DESC LIMIT 1";
    FIRST = "SELECT idx FROM timeline WHERE room_no = $1 ORDER BY idx LIMIT 1";
    FILL = "INSERT INTO timeline (room_no, idx, event_no, aside, position) VALUES ($1, $2, $3, TRUE, NULL)";
    INDEX_AT = "SELECT idx FROM timeline WHERE room_no = $1 AND position <= $2 ORDER BY position DESC LIMIT 1";
    LAST_POSITIONS = "SELECT value, (SELECT MAX(position) FROM timeline WHERE room_no = value) FROM ints($1)";
}

fn entry(row: &Row<'_>) -> Result<Entry, Error> {
    Ok(Entry { idx: row.get(0)?, event: row.get(1)?, position: row.get(2)?, aside: row.get(3)? })
}

/// Puts an event into the history, visible from the position of `slot` on.
pub fn insert(tx: &Tx<'_>, room: RoomNo, idx: i64, event: EventNo, aside: bool, slot: &Slot) {
    tx.at_position(slot, INSERT, params![room, idx, event, aside]);
}

/// Puts events into a gap of the history: (place, event). Nobody is told of them; who pages by finds them.
pub fn fill(tx: &Tx<'_>, room: RoomNo, entries: &[(i64, EventNo)]) -> Result<(), Error> {
    let rows: Vec<_> = entries.iter().map(|(idx, event)| values![room, *idx, *event]).collect();
    tx.execute_many(FILL, &rows)?;
    Ok(())
}

/// Events with `after < idx <= from`, newest first.
pub fn backwards(read: &Read<'_>, room: RoomNo, from: i64, after: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    read.all(BACKWARDS, params![room, from, after, limit], entry)
}

/// Events with `after < idx <= to`, oldest first.
pub fn forwards(read: &Read<'_>, room: RoomNo, after: i64, to: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    read.all(FORWARDS, params![room, after, to, limit], entry)
}

/// Those events with `after < idx <= from`, newest first, that stand aside.
pub fn asides_backwards(read: &Read<'_>, room: RoomNo, from: i64, after: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    read.all(ASIDES_BACKWARDS, params![room, from, after, limit], entry)
}

/// Those events with `after < idx <= to`, oldest first, that stand aside.
pub fn asides_forwards(read: &Read<'_>, room: RoomNo, after: i64, to: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    read.all(ASIDES_FORWARDS, params![room, after, to, limit], entry)
}

/// The last place before `idx` that is taken.
pub fn last_below(read: &Read<'_>, room: RoomNo, idx: i64) -> Result<Option<i64>, Error> {
    read.one(LAST_BELOW, params![room, idx], |row| row.get(0))
}

/// The first place of the history.
pub fn first(read: &Read<'_>, room: RoomNo) -> Result<Option<i64>, Error> {
    read.one(FIRST, params![room], |row| row.get(0))
}

/// The index of the last event at or before a position of the log; `None` when there was none yet.
pub fn index_at(read: &Read<'_>, room: RoomNo, position: Position) -> Result<Option<i64>, Error> {
    read.one(INDEX_AT, params![room, position], |row| row.get(0))
}

/// The position of the last event of each room.
pub fn last_positions(read: &Read<'_>, rooms: &[RoomNo]) -> Result<HashMap<RoomNo, Position>, Error> {
    let found = read.all(LAST_POSITIONS, params![rooms], |row| {
        Ok((row.get(0)?, row.get::<Option<Position>>(1)?.unwrap_or(Position::START)))
    })?;
    Ok(found.into_iter().collect())
}
