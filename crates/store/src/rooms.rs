//! Rooms and their heads.

use crate::{Error, EventNo, Position, Read, RoomNo, Row, Slot, SnapshotNo, Tx, params, statements};

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
    /// How many members there are.
    pub members: Known<Counts>,
}

/// Counted members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Joined.
    pub joined: i64,
    /// Invited.
    pub invited: i64,
}

/// What depends on all members of a room, where some may not be known yet: a room of another server can be used before its
/// members have all arrived. Who reads it says what they want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// All members are known.
    Whole(T),
    /// This is how far it is known.
    Partial(T),
}

impl<T> Known<T> {
    /// It, if all members are known.
    pub fn whole(self) -> Option<T> {
        match self {
            Self::Whole(known) => Some(known),
            Self::Partial(_) => None,
        }
    }

    /// As far as it is known, for those to whom that is enough.
    pub fn so_far(self) -> T {
        match self {
            Self::Whole(known) | Self::Partial(known) => known,
        }
    }

    /// The same, to be changed as members come and go.
    pub fn so_far_mut(&mut self) -> &mut T {
        match self {
            Self::Whole(known) | Self::Partial(known) => known,
        }
    }

    /// Whether some members are not known yet.
    pub fn is_partial(&self) -> bool {
        matches!(self, Self::Partial(_))
    }
}

impl Head {
    /// Of a room whose first event is still to come.
    pub const EMPTY: Self = Self {
        idx: 0,
        depth: 0,
        tips: Vec::new(),
        state: SnapshotNo(0),
        members: Known::Whole(Counts { joined: 0, invited: 0 }),
    };
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
    JOIN_PARTIALLY = "INSERT INTO partial_rooms (room_no, event_no, servers, since) VALUES ($1, $2, $3, $4)
                      ON CONFLICT (room_no) DO UPDATE SET event_no = excluded.event_no, servers = excluded.servers, since = excluded.since, whole_at = NULL";
    PARTIAL = "SELECT room_no, event_no, servers FROM partial_rooms WHERE room_no > $1 AND whole_at IS NULL ORDER BY room_no LIMIT $2";
    PARTIAL_ONE = "SELECT room_no, event_no, servers FROM partial_rooms WHERE room_no = $1 AND whole_at IS NULL";
    COMPLETE = "UPDATE partial_rooms SET whole_at = position($2) WHERE room_no = $1";
    WHOLE_AT = "SELECT room_no, whole_at FROM partial_rooms WHERE room_no IN ints($1) AND whole_at IS NOT NULL";
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
            members: {
                let counts = Counts { joined: row.get(8)?, invited: row.get(9)? };
                if row.get(10)? { Known::Partial(counts) } else { Known::Whole(counts) }
            },
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

/// A room of which some members are not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialRoom {
    /// The room.
    pub room: RoomNo,
    /// The join with which it was taken in, before which the state is not whole.
    pub event: EventNo,
    /// Servers that know the rest, as a JSON list.
    pub servers: String,
}

fn partial(row: &Row<'_>) -> Result<PartialRoom, Error> {
    Ok(PartialRoom { room: row.get(0)?, event: row.get(1)?, servers: row.get(2)? })
}

/// Notes that members of a room are still to come.
pub fn join_partially(tx: &Tx<'_>, room: &PartialRoom, now: i64) -> Result<(), Error> {
    tx.execute(JOIN_PARTIALLY, params![room.room, room.event, room.servers.as_str(), now])?;
    Ok(())
}

/// Rooms of which some members are not known yet, in the order of their numbers, from after `no` on.
pub fn partial_after(read: &Read<'_>, no: RoomNo, limit: i64) -> Result<Vec<PartialRoom>, Error> {
    read.all(PARTIAL, params![no, limit], partial)
}

/// That room, if some of its members are not known yet.
pub fn partial_one(read: &Read<'_>, no: RoomNo) -> Result<Option<PartialRoom>, Error> {
    read.one(PARTIAL_ONE, params![no], partial)
}

/// All members of a room are known as of the position of `slot`.
pub fn complete(tx: &Tx<'_>, no: RoomNo, slot: &Slot) {
    tx.at_position(slot, COMPLETE, params![no]);
}

/// When all members of the rooms came to be known, of those that were usable before.
pub fn whole_at(read: &Read<'_>, rooms: &[RoomNo]) -> Result<Vec<(RoomNo, Position)>, Error> {
    read.all(WHOLE_AT, params![rooms], |row| Ok((row.get(0)?, row.get(1)?)))
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
            head.members.so_far().joined,
            head.members.so_far().invited,
            head.members.is_partial(),
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
            head.members.so_far().joined,
            head.members.so_far().invited,
            head.members.is_partial(),
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
