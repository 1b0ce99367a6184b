//! Events as they were accepted, where they came from, and which of them are redacted.

use crate::{Error, EventNo, FromCell, Read, RoomNo, Row, SnapshotNo, Tx, Value, params, statements, values};

/// How an event stands to its room's graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is part of the graph and passed all checks.
    Accepted,
    /// It is known, mostly as somebody's auth event, without the state at it; it passed the checks that can be made.
    Outlier,
    /// It is part of the graph, but the state that the room had when it arrived forbids it: clients are not shown it.
    SoftFailed,
    /// It is part of the graph and was rejected: it changes nothing.
    Rejected,
    /// An outlier that was rejected.
    RejectedOutlier,
}

impl Standing {
    fn number(self) -> i64 {
        match self {
            Self::Accepted => 0,
            Self::Outlier => 1,
            Self::SoftFailed => 2,
            Self::Rejected => 3,
            Self::RejectedOutlier => 4,
        }
    }

    /// Whether the checks on receipt rejected it.
    #[must_use]
    pub fn is_rejected(self) -> bool {
        matches!(self, Self::Rejected | Self::RejectedOutlier)
    }

    /// Whether the state at it is not known.
    #[must_use]
    pub fn is_outlier(self) -> bool {
        matches!(self, Self::Outlier | Self::RejectedOutlier)
    }
}

impl From<Standing> for Value<'_> {
    fn from(standing: Standing) -> Self {
        Self::Int(standing.number())
    }
}

impl FromCell for Standing {
    const EXPECTED: &'static str = "a standing";

    fn from_cell(cell: crate::Cell<'_>) -> Option<Self> {
        let number = i64::from_cell(cell)?;
        [Self::Accepted, Self::Outlier, Self::SoftFailed, Self::Rejected, Self::RejectedOutlier]
            .into_iter()
            .find(|known| known.number() == number)
    }
}

/// Where an event stands, apart from what it says. Of an outlier it may change once, to that of an event of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its place in the history; `None` when it has none.
    pub idx: Option<i64>,
    /// Its standing.
    pub standing: Standing,
    /// The state before it; `None` for outliers.
    pub before: Option<SnapshotNo>,
    /// The state after it; `None` for outliers.
    pub after: Option<SnapshotNo>,
    /// Whether the state before it is not just what one other event left.
    pub merges: bool,
    /// The state event that it replaced.
    pub replaces: Option<EventNo>,
}

impl Place {
    /// Of an outlier.
    #[must_use]
    pub fn outside(standing: Standing) -> Self {
        Self { idx: None, standing, before: None, after: None, merges: false, replaces: None }
    }

    /// What stands in `after_no`.
    fn anchor(&self) -> Option<SnapshotNo> {
        self.after.filter(|after| self.merges || Some(*after) != self.before)
    }
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its number.
    pub event: EventNo,
    /// Its id.
    pub event_id: String,
    /// Its room.
    pub room: RoomNo,
    /// Where it stands.
    pub place: Place,
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
    /// Where it stands.
    pub place: Place,
    /// The device that sent it with a transaction id.
    pub device: Option<&'a str>,
    /// That transaction id.
    pub txn_id: Option<&'a str>,
    /// The canonical PDU.
    pub json: &'a [u8],
}

/// Where an event of another server came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The server that sent it.
    pub origin: String,
    /// When, in milliseconds since the epoch.
    pub received_at: i64,
    /// Why it was rejected or soft-failed.
    pub reason: Option<String>,
}

statements! {
    BY_ID = "SELECT event_no, event_id, room_no, idx, standing, before_no, after_no, replaces, device, txn_id, json FROM events WHERE event_id = $1";
    BY_NO = "SELECT event_no, event_id, room_no, idx, standing, before_no, after_no, replaces, device, txn_id, json FROM events WHERE event_no = $1";
    MANY = "SELECT event_no, event_id, room_no, idx, standing, before_no, after_no, replaces, device, txn_id, json FROM events WHERE event_no IN ints($1)";
    MANY_BY_ID = "SELECT event_no, event_id, room_no, idx, standing, before_no, after_no, replaces, device, txn_id, json FROM events WHERE event_id IN texts($1)";
    PLACES = "SELECT event_no, event_id, room_no, idx, standing, before_no, after_no, replaces FROM events WHERE event_id IN texts($1)";
    BEFORES = "SELECT event_no, before_no FROM events WHERE event_no IN ints($1) AND before_no IS NOT NULL";
    AFTER = "SELECT coalesce(after_no, before_no) FROM events WHERE event_no = $1";
    OF_ROOM = "SELECT event_no FROM timeline WHERE room_no = $1 UNION ALL SELECT event_no FROM events WHERE room_no = $1 AND idx IS NULL";
    INSERT = "INSERT INTO events (event_no, event_id, room_no, idx, standing, before_no, after_no, replaces, device, txn_id, json)
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    PUT = "UPDATE events SET idx = $2, standing = $3, before_no = $4, after_no = $5, replaces = $6 WHERE event_no = $1 AND idx IS NULL";
    RESTATE = "UPDATE events SET before_no = $2, after_no = $3 WHERE event_no = $1";
    ORIGIN = "SELECT origin, received_at, reason FROM event_origins WHERE event_no = $1";
    SET_ORIGIN = "INSERT INTO event_origins (event_no, origin, received_at, reason) VALUES ($1, $2, $3, $4)
                  ON CONFLICT (event_no) DO UPDATE SET reason = excluded.reason";
    SNAPSHOTS = "SELECT before_no, after_no FROM events WHERE room_no = $1 AND after_no IS NOT NULL";
    REDACTIONS = "SELECT event_no, redaction FROM redactions WHERE event_no IN ints($1)";
    REDACT = "INSERT INTO redactions (event_no, redaction, redacted_at, erased) VALUES ($1, $2, $3, FALSE) ON CONFLICT (event_no) DO NOTHING";
    AWAIT = "INSERT INTO awaited_redactions (room_no, event_id, redaction) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    AWAITED = "SELECT event_id, redaction FROM awaited_redactions WHERE room_no = $1 AND event_id IN texts($2) ORDER BY redaction";
}

fn event(row: &Row<'_>) -> Result<EventRow, Error> {
    Ok(EventRow {
        event: row.get(0)?,
        event_id: row.get(1)?,
        room: row.get(2)?,
        place: place(row)?,
        device: row.get(8)?,
        txn_id: row.get(9)?,
        json: row.get(10)?,
    })
}

fn place(row: &Row<'_>) -> Result<Place, Error> {
    let before: Option<SnapshotNo> = row.get(5)?;
    let after: Option<SnapshotNo> = row.get(6)?;
    Ok(Place {
        idx: row.get(3)?,
        standing: row.get(4)?,
        before,
        after: after.or(before),
        merges: before.is_some() && after == before,
        replaces: row.get(7)?,
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

/// Which of those ids are known in which room, and where they stand, in no order.
pub fn places(read: &Read<'_>, ids: &[&str]) -> Result<Vec<(String, RoomNo, EventNo, Place)>, Error> {
    read.all(PLACES, params![ids], |row| Ok((row.get(1)?, row.get(2)?, row.get(0)?, place(row)?)))
}

/// The states before those events, of those of which one is known.
pub fn befores(read: &Read<'_>, nos: &[EventNo]) -> Result<Vec<(EventNo, SnapshotNo)>, Error> {
    read.all(BEFORES, params![nos], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The state after an event, if one is known.
pub fn after(read: &Read<'_>, no: EventNo) -> Result<Option<SnapshotNo>, Error> {
    Ok(read.one(AFTER, params![no], |row| row.get(0))?.flatten())
}

/// The numbers of all events of a room, in no order.
pub fn of_room(read: &Read<'_>, room: RoomNo) -> Result<Vec<EventNo>, Error> {
    read.all(OF_ROOM, params![room], |row| row.get(0))
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
                event.place.idx,
                event.place.standing,
                event.place.before,
                event.place.anchor(),
                event.place.replaces,
                event.device,
                event.txn_id,
                event.json
            ]
        })
        .collect();
    tx.execute_many(INSERT, &rows)?;
    Ok(())
}

/// Makes outliers part of the graph.
pub fn put(tx: &Tx<'_>, places: &[(EventNo, Place)]) -> Result<(), Error> {
    let rows: Vec<_> = places
        .iter()
        .map(|(no, place)| values![*no, place.idx, place.standing, place.before, place.anchor(), place.replaces])
        .collect();
    tx.execute_many(PUT, &rows)?;
    Ok(())
}

/// Gives events of the graph other states.
pub fn restate(tx: &Tx<'_>, places: &[(EventNo, Place)]) -> Result<(), Error> {
    let rows: Vec<_> = places.iter().map(|(no, place)| values![*no, place.before, place.anchor()]).collect();
    tx.execute_many(RESTATE, &rows)?;
    Ok(())
}

/// Where an event came from; `None` for those made here.
pub fn origin(read: &Read<'_>, no: EventNo) -> Result<Option<Origin>, Error> {
    read.one(ORIGIN, params![no], |row| {
        Ok(Origin { origin: row.get(0)?, received_at: row.get(1)?, reason: row.get(2)? })
    })
}

/// Notes where events came from. Of one that is noted already only the reason changes.
pub fn set_origins(tx: &Tx<'_>, origins: &[(EventNo, &Origin)]) -> Result<(), Error> {
    let rows: Vec<_> = origins
        .iter()
        .map(|(no, origin)| values![*no, origin.origin.as_str(), origin.received_at, origin.reason.as_deref()])
        .collect();
    tx.execute_many(SET_ORIGIN, &rows)?;
    Ok(())
}

/// The snapshots of state that a room's events refer to.
pub fn snapshots(read: &Read<'_>, room: RoomNo) -> Result<std::collections::HashSet<SnapshotNo>, Error> {
    let mut found = std::collections::HashSet::new();
    read.each(SNAPSHOTS, params![room], |row| {
        found.insert(row.get(0)?);
        found.insert(row.get(1)?);
        Ok(true)
    })?;
    Ok(found)
}

/// Those of the events that are redacted: (event, redaction).
pub fn redactions(read: &Read<'_>, nos: &[EventNo]) -> Result<Vec<(EventNo, EventNo)>, Error> {
    read.all(REDACTIONS, params![nos], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Hides an event's content from now on. A second redaction of the same event changes nothing.
pub fn redact(tx: &Tx<'_>, no: EventNo, redaction: EventNo, now: i64) -> Result<(), Error> {
    tx.execute(REDACT, params![no, redaction, now])?;
    Ok(())
}

/// Notes a redaction of an event that is not here.
pub fn await_target(tx: &Tx<'_>, room: RoomNo, event_id: &str, redaction: EventNo) -> Result<(), Error> {
    tx.execute(AWAIT, params![room, event_id, redaction])?;
    Ok(())
}

/// Redactions that came before those events: (event id, redaction), the first to come first.
pub fn awaited(read: &Read<'_>, room: RoomNo, ids: &[&str]) -> Result<Vec<(String, EventNo)>, Error> {
    read.all(AWAITED, params![room, ids], |row| Ok((row.get(0)?, row.get(1)?)))
}
