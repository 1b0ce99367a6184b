//! Events as they were accepted, and which of them are redacted.

use crate::{Error, EventNo, Read, RoomNo, Row, Tx, params, statements, values};

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its number.
    pub event: EventNo,
    /// Its id.
    pub event_id: String,
    /// Its room.
    pub room: RoomNo,
    /// The segment of the room's history that it is in.
    pub segment: i64,
    /// Its index there.
    pub idx: i64,
    /// The state event that it replaced.
    pub replaces: Option<EventNo>,
    /// The device that sent it with a transaction id.
    pub device: Option<Box<str>>,
    /// That transaction id.
    pub txn_id: Option<Box<str>>,
    /// The canonical PDU.
    pub json: Box<[u8]>,
}

/// An event to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewRow<'a> {
    /// Its number.
    pub event: EventNo,
    /// Its id.
    pub event_id: &'a str,
    /// Its room.
    pub room: RoomNo,
    /// The segment of the room's history that it is in.
    pub segment: i64,
    /// Its index there.
    pub idx: i64,
    /// The state event that it replaces.
    pub replaces: Option<EventNo>,
    /// The device that sent it with a transaction id.
    pub device: Option<&'a str>,
    /// That transaction id.
    pub txn_id: Option<&'a str>,
    /// The canonical PDU.
    pub json: &'a [u8],
}

statements! {
    BY_ID = "SELECT event_no, event_id, room_no, segment, idx, replaces, device, txn_id, json FROM events WHERE event_id = $1";
    BY_NO = "SELECT event_no, event_id, room_no, segment, idx, replaces, device, txn_id, json FROM events WHERE event_no = $1";
    MANY = "SELECT event_no, event_id, room_no, segment, idx, replaces, device, txn_id, json FROM events WHERE event_no IN ints($1)";
    MANY_BY_ID = "SELECT event_no, event_id, room_no, segment, idx, replaces, device, txn_id, json FROM events WHERE event_id IN texts($1)";
    INSERT = "INSERT INTO events (event_no, event_id, room_no, segment, idx, replaces, device, txn_id, json) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    REDACTIONS = "SELECT event_no, redaction FROM redactions WHERE event_no IN ints($1)";
    REDACT = "INSERT INTO redactions (event_no, redaction) VALUES ($1, $2) ON CONFLICT (event_no) DO NOTHING";
}

fn event(row: &Row<'_>) -> Result<EventRow, Error> {
    Ok(EventRow {
        event: row.get(0)?,
        event_id: row.get(1)?,
        room: row.get(2)?,
        segment: row.get(3)?,
        idx: row.get(4)?,
        replaces: row.get(5)?,
        device: row.get(6)?,
        txn_id: row.get(7)?,
        json: row.get(8)?,
    })
}

/// The event of that id.
pub fn by_id(read: &Read<'_>, event_id: &str) -> Result<Option<EventRow>, Error> {
    read.one(BY_ID, params![event_id], event)
}

/// The event of that number.
pub fn by_no(read: &Read<'_>, no: EventNo) -> Result<Option<EventRow>, Error> {
    read.one(BY_NO, params![no], event)
}

/// The events of those numbers, in no order.
pub fn many(read: &Read<'_>, nos: &[EventNo]) -> Result<Vec<EventRow>, Error> {
    read.all(MANY, params![nos], event)
}

/// The events of those ids, in no order.
pub fn many_by_id(read: &Read<'_>, ids: &[&str]) -> Result<Vec<EventRow>, Error> {
    read.all(MANY_BY_ID, params![ids], event)
}

/// Stores events.
pub fn insert(tx: &Tx<'_>, events: &[NewRow<'_>]) -> Result<(), Error> {
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            values![
                event.event,
                event.event_id,
                event.room,
                event.segment,
                event.idx,
                event.replaces,
                event.device,
                event.txn_id,
                event.json
            ]
        })
        .collect();
    tx.execute_many(INSERT, &rows)?;
    Ok(())
}

/// Those of the events that are redacted: (event, redaction).
pub fn redactions(read: &Read<'_>, nos: &[EventNo]) -> Result<Vec<(EventNo, EventNo)>, Error> {
    read.all(REDACTIONS, params![nos], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Hides an event's content from now on. A second redaction of the same event changes nothing.
pub fn redact(tx: &Tx<'_>, no: EventNo, redaction: EventNo) -> Result<(), Error> {
    tx.execute(REDACT, params![no, redaction])?;
    Ok(())
}
