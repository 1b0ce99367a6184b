//! Edges into the unknown: events that others cite as `prev_events` and that are not here. Where the citing event has a place
//! in the history there is a gap before it.

use crate::{Error, EventNo, Read, RoomNo, Tx, params, statements, values};

/// An event that is not here, as one of those that cite it knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its id.
    pub event_id: String,
    /// The event that cites it.
    pub cited_by: EventNo,
    /// The place of that one.
    pub idx: Option<i64>,
    /// How often it was looked for in vain.
    pub tries: i64,
    /// When to look again, in milliseconds since the epoch.
    pub next_try: i64,
}

statements! {
    CITED = "SELECT event_id, cited_by, idx, tries, next_try FROM missing_events WHERE room_no = $1 AND event_id IN texts($2)";
    BELOW = "SELECT event_id, cited_by, idx, tries, next_try FROM missing_events WHERE room_no = $1
             AND idx = (SELECT max(idx) FROM missing_events WHERE room_no = $1 AND idx <= $2)";
    ALL = "SELECT event_id, cited_by, idx, tries, next_try FROM missing_events WHERE room_no = $1 ORDER BY idx, event_id";
    INSERT = "INSERT INTO missing_events (room_no, event_id, cited_by, idx, tries, next_try) VALUES ($1, $2, $3, $4, 0, 0) ON CONFLICT DO NOTHING";
    FOUND = "DELETE FROM missing_events WHERE room_no = $1 AND event_id IN texts($2)";
    TRIED = "UPDATE missing_events SET tries = tries + 1, next_try = $3 WHERE room_no = $1 AND event_id IN texts($2)";
}

fn missing(row: &crate::Row<'_>) -> Result<Missing, Error> {
    Ok(Missing {
        event_id: row.get(0)?,
        cited_by: row.get(1)?,
        idx: row.get(2)?,
        tries: row.get(3)?,
        next_try: row.get(4)?,
    })
}

/// Those of the ids that events here cite.
pub fn cited(read: &Read<'_>, room: RoomNo, ids: &[&str]) -> Result<Vec<Missing>, Error> {
    read.all(CITED, params![room, ids], missing)
}

/// What is missing at the nearest gap at or before a place of the history.
pub fn below(read: &Read<'_>, room: RoomNo, idx: i64) -> Result<Vec<Missing>, Error> {
    read.all(BELOW, params![room, idx], missing)
}

/// All that is missing of a room.
pub fn all(read: &Read<'_>, room: RoomNo) -> Result<Vec<Missing>, Error> {
    read.all(ALL, params![room], missing)
}

/// Notes edges: (the missing event's id, the event that cites it, its place).
pub fn insert(tx: &Tx<'_>, room: RoomNo, edges: &[(&str, EventNo, Option<i64>)]) -> Result<(), Error> {
    let rows: Vec<_> = edges.iter().map(|(id, cited_by, idx)| values![room, *id, *cited_by, *idx]).collect();
    tx.execute_many(INSERT, &rows)?;
    Ok(())
}

/// They are here now.
pub fn found(tx: &Tx<'_>, room: RoomNo, ids: &[&str]) -> Result<(), Error> {
    tx.execute(FOUND, params![room, ids])?;
    Ok(())
}

/// They were looked for in vain; not again before `next_try`.
pub fn tried(tx: &Tx<'_>, room: RoomNo, ids: &[&str], next_try: i64) -> Result<(), Error> {
    tx.execute(TRIED, params![room, ids, next_try])?;
    Ok(())
}
