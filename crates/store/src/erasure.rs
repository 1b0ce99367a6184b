//! Erasing what redactions hide: the stored bytes of a redacted event become those that the redaction leaves.

use crate::{Change, Error, EventNo, Read, RoomNo, Tx, params, statements};

statements! {
    DUE = "SELECT event_no FROM redactions WHERE NOT erased AND redacted_at <= $1 ORDER BY redacted_at LIMIT $2";
    ERASE = "UPDATE events SET json = $2 WHERE event_no = $1";
    DONE = "UPDATE redactions SET erased = TRUE WHERE event_no = $1";
    ADVANCE = "UPDATE rooms SET revision = revision + 1 WHERE room_no IN ints($1)";
}

/// An event with the bytes that are left of it.
#[derive(Clone, Debug)]
pub struct Erased {
    /// The event.
    pub event: EventNo,
    /// Its room.
    pub room: RoomNo,
    /// What its redaction leaves.
    pub json: Box<[u8]>,
}

/// Events that were redacted at or before a moment (in milliseconds since the epoch) and still have their bytes, the longest
/// redacted first.
pub fn due(read: &Read<'_>, until: i64, limit: i64) -> Result<Vec<EventNo>, Error> {
    read.all(DUE, params![until, limit], |row| row.get(0))
}

/// Puts what the redactions leave in the place of the events' bytes. Whoever keeps the heads of their rooms, or the events, in memory is
/// told. `gone` are events of which there is nothing to erase, since they are not here.
pub fn erase(tx: &Tx<'_>, erased: &[Erased], gone: &[EventNo]) -> Result<(), Error> {
    let rows: Vec<_> = erased.iter().map(|erased| crate::values![erased.event, &*erased.json]).collect();
    tx.execute_many(ERASE, &rows)?;
    let done = erased.iter().map(|erased| erased.event).chain(gone.iter().copied());
    let rows: Vec<_> = done.map(|event| crate::values![event]).collect();
    tx.execute_many(DONE, &rows)?;
    let mut rooms: Vec<RoomNo> = erased.iter().map(|erased| erased.room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    tx.execute(ADVANCE, params![&rooms])?;
    for erased in erased {
        let _ = tx.log(Change::Removed { room: erased.room, event: Some(erased.event) });
    }
    Ok(())
}
