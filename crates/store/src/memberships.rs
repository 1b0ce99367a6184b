//! Who stands how to which room, now.

use ruma::{OwnedUserId, ServerName};

use crate::{Error, EventNo, Membership, Position, Read, RoomNo, Row, Slot, Tx, UserNo, params, statements};

/// How a user stands to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipRow {
    /// The user.
    pub user: UserNo,
    /// The room.
    pub room: RoomNo,
    /// How.
    pub membership: Membership,
    /// The latest member event.
    pub event: EventNo,
    /// Where in the history this membership began.
    pub idx: i64,
    /// Who sent the latest member event.
    pub sender: UserNo,
    /// The position of the log at which this membership began.
    pub position: Position,
    /// Whether the user has forgotten the room since.
    pub forgotten: bool,
}

statements! {
    ONE = "SELECT user_no, room_no, membership, event_no, idx, sender, position, forgotten FROM memberships WHERE user_no = $1 AND room_no = $2";
    OF_USER = "SELECT user_no, room_no, membership, event_no, idx, sender, position, forgotten FROM memberships WHERE user_no = $1";
    OF_USER_AS = "SELECT user_no, room_no, membership, event_no, idx, sender, position, forgotten FROM memberships WHERE user_no = $1 AND membership = $2";
    OF_ROOM_AS = "SELECT user_no, room_no, membership, event_no, idx, sender, position, forgotten FROM memberships
                  WHERE room_no = $1 AND membership = $2 ORDER BY idx LIMIT $3";
    OF_SERVER = "SELECT u.user_id FROM memberships m JOIN users_no u ON u.user_no = m.user_no
                 WHERE m.room_no = $1 AND m.membership = $2 AND u.user_id LIKE $3 ORDER BY m.idx LIMIT $4";
    FIRST_OF_SERVER = "SELECT CAST(min(m.idx) AS BIGINT) FROM memberships m JOIN users_no u ON u.user_no = m.user_no
                       WHERE m.room_no = $1 AND m.membership = $2 AND u.user_id LIKE $3";
    OF_ROOM = "SELECT user_no, room_no, membership, event_no, idx, sender, position, forgotten FROM memberships WHERE room_no = $1";
    JOINED_IN = "SELECT room_no FROM memberships WHERE user_no = $1 AND membership = $2 AND room_no IN ints($3)";
    SET = "INSERT INTO memberships (user_no, room_no, membership, event_no, idx, sender, forgotten, position) VALUES ($1, $2, $3, $4, $5, $6, $7, position($8))
           ON CONFLICT (user_no, room_no) DO UPDATE SET membership = excluded.membership, event_no = excluded.event_no, idx = excluded.idx,
               sender = excluded.sender, forgotten = excluded.forgotten, position = excluded.position";
    REFRESH = "UPDATE memberships SET event_no = $3, sender = $4 WHERE user_no = $1 AND room_no = $2";
    RENEW = "UPDATE memberships SET position = position($4) WHERE user_no = $1 AND room_no = $2 AND membership = $3";
    FORGET = "UPDATE memberships SET forgotten = $3 WHERE user_no = $1 AND room_no = $2";
}

fn membership(row: &Row<'_>) -> Result<MembershipRow, Error> {
    Ok(MembershipRow {
        user: row.get(0)?,
        room: row.get(1)?,
        membership: row.get(2)?,
        event: row.get(3)?,
        idx: row.get(4)?,
        sender: row.get(5)?,
        position: row.get(6)?,
        forgotten: row.get(7)?,
    })
}

/// How one user stands to one room; `None` when they never had anything to do with each other.
pub fn one(read: &Read<'_>, user: UserNo, room: RoomNo) -> Result<Option<MembershipRow>, Error> {
    read.one(ONE, params![user, room], membership)
}

/// All of a user's memberships, left and forgotten rooms included.
pub fn of_user(read: &Read<'_>, user: UserNo) -> Result<Vec<MembershipRow>, Error> {
    read.all(OF_USER, params![user], membership)
}

/// A user's memberships of one kind.
pub fn of_user_as(read: &Read<'_>, user: UserNo, word: Membership) -> Result<Vec<MembershipRow>, Error> {
    read.all(OF_USER_AS, params![user, word], membership)
}

/// Members of one kind, those first who have been so for the longest.
pub fn of_room_as(read: &Read<'_>, room: RoomNo, word: Membership, limit: i64) -> Result<Vec<MembershipRow>, Error> {
    read.all(OF_ROOM_AS, params![room, word, limit], membership)
}

/// The members of one kind who belong to a server, those first who have been so for the longest.
pub fn of_server(
    read: &Read<'_>,
    room: RoomNo,
    word: Membership,
    server: &ServerName,
    limit: i64,
) -> Result<Vec<OwnedUserId>, Error> {
    // No server name has a wildcard in it.
    let suffix = format!("%:{server}");
    read.all(OF_SERVER, params![room, word, suffix.as_str(), limit], |row| row.get(0))
}

/// Where the first of the present memberships of a server's users began.
pub fn first_of_server(
    read: &Read<'_>,
    room: RoomNo,
    word: Membership,
    server: &ServerName,
) -> Result<Option<i64>, Error> {
    let suffix = format!("%:{server}");
    Ok(read.one(FIRST_OF_SERVER, params![room, word, suffix.as_str()], |row| row.get(0))?.flatten())
}

/// Everybody's membership in a room.
pub fn of_room(read: &Read<'_>, room: RoomNo) -> Result<Vec<MembershipRow>, Error> {
    read.all(OF_ROOM, params![room], membership)
}

/// Those of the rooms that the user is joined to.
pub fn joined_in(read: &Read<'_>, user: UserNo, rooms: &[RoomNo]) -> Result<Vec<RoomNo>, Error> {
    read.all(JOINED_IN, params![user, Membership::Join, rooms], |row| row.get(0))
}

/// Sets a new membership, visible from the position of `slot` on. It un-forgets the room.
#[expect(clippy::too_many_arguments, reason = "one per column")]
pub fn set(
    tx: &Tx<'_>,
    user: UserNo,
    room: RoomNo,
    word: Membership,
    event: EventNo,
    idx: i64,
    sender: UserNo,
    slot: &Slot,
) {
    tx.at_position(slot, SET, params![user, room, word, event, idx, sender, false]);
}

/// Another member event that leaves the membership as it is (a new display name).
pub fn refresh(tx: &Tx<'_>, user: UserNo, room: RoomNo, event: EventNo, sender: UserNo) -> Result<(), Error> {
    tx.execute(REFRESH, params![user, room, event, sender])?;
    Ok(())
}

/// Lets a membership begin anew for those who are told of it, as of the position of `slot`.
pub fn renew(tx: &Tx<'_>, user: UserNo, room: RoomNo, word: Membership, slot: &Slot) {
    tx.at_position(slot, RENEW, params![user, room, word]);
}

/// Forgets a room that the user has left.
pub fn forget(tx: &Tx<'_>, user: UserNo, room: RoomNo) -> Result<(), Error> {
    tx.execute(FORGET, params![user, room, true])?;
    Ok(())
}
