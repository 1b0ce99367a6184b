//! Rooms and their heads.

use crate::{Error, EventNo, Read, RoomNo, Row, Tx, params, statements};

/// A room, as of the snapshot it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    /// Its number.
    pub room: RoomNo,
    /// Its id.
    pub room_id: String,
    /// Its version, as in `m.room.create`.
    pub version: String,
    /// Counts the commits that moved the head.
    pub revision: i64,
    /// The head.
    pub head: Head,
    /// Whether the room directory shows it.
    pub published: bool,
}

/// The end of a room's live history, and what is counted along the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The live segment.
    pub segment: i64,
    /// Index of the last event.
    pub idx: i64,
    /// The last event.
    pub event: EventNo,
    /// Its depth.
    pub depth: i64,
    /// Joined members.
    pub joined: i64,
    /// Invited members.
    pub invited: i64,
}

statements! {
    BY_ID = "SELECT room_no, room_id, version, revision, segment, idx, event_no, depth, joined, invited, published
             FROM rooms WHERE room_id = $1";
    BY_NO = "SELECT room_no, room_id, version, revision, segment, idx, event_no, depth, joined, invited, published
             FROM rooms WHERE room_no = $1";
    MANY = "SELECT room_no, room_id, version, revision, segment, idx, event_no, depth, joined, invited, published
            FROM rooms WHERE room_no IN ints($1)";
    INSERT = "INSERT INTO rooms (room_no, room_id, version, revision, segment, idx, event_no, depth, joined, invited, published, created_at)
              VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11)";
    MOVE_HEAD = "UPDATE rooms SET revision = revision + 1, segment = $3, idx = $4, event_no = $5, depth = $6, joined = $7, invited = $8
                 WHERE room_no = $1 AND revision = $2";
    LOCK = "UPDATE rooms SET revision = revision WHERE room_no = $1";
    PUBLISH = "UPDATE rooms SET published = $2 WHERE room_no = $1";
    // Largest first; (joined, room) is the place to go on from.
    PUBLISHED_FROM = "SELECT room_no, room_id, version, revision, segment, idx, event_no, depth, joined, invited, published FROM rooms
                      WHERE published AND (joined < $1 OR (joined = $1 AND room_no < $2)) ORDER BY joined DESC, room_no DESC LIMIT $3";
    PUBLISHED_BEFORE = "SELECT room_no, room_id, version, revision, segment, idx, event_no, depth, joined, invited, published FROM rooms
                        WHERE published AND (joined > $1 OR (joined = $1 AND room_no > $2)) ORDER BY joined, room_no LIMIT $3";
    PUBLISHED_COUNT = "SELECT count(*) FROM rooms WHERE published";
}

fn room(row: &Row<'_>) -> Result<RoomRow, Error> {
    Ok(RoomRow {
        room: row.get(0)?,
        room_id: row.get(1)?,
        version: row.get(2)?,
        revision: row.get(3)?,
        head: Head {
            segment: row.get(4)?,
            idx: row.get(5)?,
            event: row.get(6)?,
            depth: row.get(7)?,
            joined: row.get(8)?,
            invited: row.get(9)?,
        },
        published: row.get(10)?,
    })
}

/// The room of that id.
pub fn by_id(read: &Read<'_>, room_id: &str) -> Result<Option<RoomRow>, Error> {
    read.one(BY_ID, params![room_id], room)
}

/// The room of that number.
pub fn by_no(read: &Read<'_>, no: RoomNo) -> Result<Option<RoomRow>, Error> {
    read.one(BY_NO, params![no], room)
}

/// The rooms of those numbers, in no order.
pub fn many(read: &Read<'_>, nos: &[RoomNo]) -> Result<Vec<RoomRow>, Error> {
    read.all(MANY, params![nos], room)
}

/// Inserts a room with its first head, at revision 1.
pub fn insert(
    tx: &Tx<'_>,
    no: RoomNo,
    room_id: &str,
    version: &str,
    head: &Head,
    published: bool,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        INSERT,
        params![
            no,
            room_id,
            version,
            head.segment,
            head.idx,
            head.event,
            head.depth,
            head.joined,
            head.invited,
            published,
            now
        ],
    )?;
    Ok(())
}

/// Moves the head if the room is still at `revision`; `false` when it is not.
pub fn move_head(tx: &Tx<'_>, no: RoomNo, revision: i64, head: &Head) -> Result<bool, Error> {
    let moved = tx.execute(
        MOVE_HEAD,
        params![no, revision, head.segment, head.idx, head.event, head.depth, head.joined, head.invited],
    )?;
    Ok(moved == 1)
}

/// Keeps others from moving the head until this transaction ends.
pub fn lock(tx: &Tx<'_>, no: RoomNo) -> Result<(), Error> {
    tx.execute(LOCK, params![no])?;
    Ok(())
}

/// Shows the room in the directory, or hides it.
pub fn publish(tx: &Tx<'_>, no: RoomNo, published: bool) -> Result<(), Error> {
    tx.execute(PUBLISH, params![no, published])?;
    Ok(())
}

/// Published rooms after the place `(joined, room)`, largest first.
pub fn published_from(read: &Read<'_>, joined: i64, no: RoomNo, limit: i64) -> Result<Vec<RoomRow>, Error> {
    read.all(PUBLISHED_FROM, params![joined, no, limit], room)
}

/// Published rooms before the place `(joined, room)`, nearest first.
pub fn published_before(read: &Read<'_>, joined: i64, no: RoomNo, limit: i64) -> Result<Vec<RoomRow>, Error> {
    read.all(PUBLISHED_BEFORE, params![joined, no, limit], room)
}

/// How many rooms the directory shows.
pub fn published_count(read: &Read<'_>) -> Result<i64, Error> {
    Ok(read.one(PUBLISHED_COUNT, &[], |row| row.get(0))?.unwrap_or(0))
}
