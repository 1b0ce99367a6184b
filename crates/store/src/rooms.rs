//! Rooms and their heads.

use crate::{Error, EventNo, Read, RoomNo, Row, SnapshotNo, Tx, params, statements};

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

/// The end of a room's graph, and what is counted along the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last place of the history.
    pub idx: i64,
    /// The depth of the deepest tip.
    pub depth: i64,
    /// The forward extremities, in order: events that no other event here follows.
    pub tips: Vec<EventNo>,
    /// The state that they make together.
    pub state: SnapshotNo,
    /// Joined members.
    pub joined: i64,
    /// Invited members.
    pub invited: i64,
    /// Whether members are missing from the state.
    pub partial: bool,
}

impl Head {
    /// Of a room whose first event is still to come.
    pub const EMPTY: Self =
        Self { idx: 0, depth: 0, tips: Vec::new(), state: SnapshotNo(0), joined: 0, invited: 0, partial: false };
}

statements! {
    BY_ID = "SELECT room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published
             FROM rooms WHERE room_id = $1";
    BY_NO = "SELECT room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published
             FROM rooms WHERE room_no = $1";
    MANY = "SELECT room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published
            FROM rooms WHERE room_no IN ints($1)";
    INSERT = "INSERT INTO rooms (room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published, created_at)
              VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    MOVE_HEAD = "UPDATE rooms SET revision = revision + 1, idx = $3, depth = $4, tips = $5, state_no = $6, joined = $7, invited = $8, partial = $9
                 WHERE room_no = $1 AND revision = $2";
    LOCK = "UPDATE rooms SET revision = revision WHERE room_no = $1";
    PUBLISH = "UPDATE rooms SET published = $2 WHERE room_no = $1";
    // Largest first; (joined, room) is the place to go on from.
    PUBLISHED_FROM = "SELECT room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published FROM rooms
                      WHERE published AND (joined < $1 OR (joined = $1 AND room_no < $2)) ORDER BY joined DESC, room_no DESC LIMIT $3";
    PUBLISHED_BEFORE = "SELECT room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published FROM rooms
                        WHERE published AND (joined > $1 OR (joined = $1 AND room_no > $2)) ORDER BY joined, room_no LIMIT $3";
    AFTER = "SELECT room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published
             FROM rooms WHERE room_no > $1 ORDER BY room_no LIMIT $2";
    PUBLISHED_COUNT = "SELECT count(*) FROM rooms WHERE published";
}

fn encode_tips(tips: &[EventNo]) -> Vec<u8> {
    tips.iter().flat_map(|tip| tip.0.to_be_bytes()).collect()
}

fn decode_tips(bytes: &[u8]) -> Result<Vec<EventNo>, Error> {
    let (tips, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Error::Inconsistent("the tips of a room are no list of events"));
    }
    Ok(tips.iter().map(|tip| EventNo(i64::from_be_bytes(*tip))).collect())
}

fn room(row: &Row<'_>) -> Result<RoomRow, Error> {
    Ok(RoomRow {
        room: row.get(0)?,
        room_id: row.get(1)?,
        version: row.get(2)?,
        revision: row.get(3)?,
        head: Head {
            idx: row.get(4)?,
            depth: row.get(5)?,
            tips: decode_tips(row.bytes(6)?)?,
            state: row.get(7)?,
            joined: row.get(8)?,
            invited: row.get(9)?,
            partial: row.get(10)?,
        },
        published: row.get(11)?,
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

/// Rooms in the order of their numbers, from after `no` on.
pub fn after(read: &Read<'_>, no: RoomNo, limit: i64) -> Result<Vec<RoomRow>, Error> {
    read.all(AFTER, params![no, limit], room)
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
            head.idx,
            head.depth,
            encode_tips(&head.tips).as_slice(),
            head.state,
            head.joined,
            head.invited,
            head.partial,
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
        params![
            no,
            revision,
            head.idx,
            head.depth,
            encode_tips(&head.tips).as_slice(),
            head.state,
            head.joined,
            head.invited,
            head.partial
        ],
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
