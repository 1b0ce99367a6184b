//! Evidence of resolutions that lost state without a reason.

use crate::{Error, Read, RoomNo, Tx, params, statements};

statements! {
    INSERT = "INSERT INTO state_resets (reset_no, room_no, happened_at, evidence) VALUES ($1, $2, $3, $4)";
    TRIM = "DELETE FROM state_resets WHERE room_no = $1 AND reset_no NOT IN (SELECT reset_no FROM state_resets WHERE room_no = $1 ORDER BY reset_no DESC LIMIT 20)";
    OF_ROOM = "SELECT happened_at, evidence FROM state_resets WHERE room_no = $1 ORDER BY reset_no";
}

/// Keeps what is known about one; of each room the last twenty.
pub fn insert(tx: &Tx<'_>, reset: i64, room: RoomNo, now: i64, evidence: &str) -> Result<(), Error> {
    tx.execute(INSERT, params![reset, room, now, evidence])?;
    tx.execute(TRIM, params![room])?;
    Ok(())
}

/// Those of a room, oldest first: when, and what is known.
pub fn of_room(read: &Read<'_>, room: RoomNo) -> Result<Vec<(i64, String)>, Error> {
    read.all(OF_ROOM, params![room], |row| Ok((row.get(0)?, row.get(1)?)))
}
