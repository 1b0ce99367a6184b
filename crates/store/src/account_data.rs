//! Account data: what clients keep here for their users, globally or per room. Tags and read markers are kinds of it.

use crate::{Change, Error, Position, Read, RoomNo, Row, Tx, UserNo, params, statements};

statements! {
    GET = "SELECT content FROM account_data WHERE user_no = $1 AND room_no = $2 AND kind = $3";
    CHANGED = "SELECT room_no, kind, content, position FROM account_data \
        WHERE user_no = $1 AND position > $2 AND position <= $3 ORDER BY position, room_no, kind";
    LAST_POSITION = "SELECT MAX(position) FROM account_data WHERE user_no = $1";
    SIZE = "SELECT COUNT(*) FROM account_data WHERE user_no = $1";
    BYTES = "SELECT SUM(LENGTH(content)) FROM account_data WHERE user_no = $1";
    SET = "INSERT INTO account_data (user_no, room_no, kind, content, position) VALUES ($1, $2, $3, $4, 0) \
        ON CONFLICT (user_no, room_no, kind) DO UPDATE SET content = excluded.content";
    MOVE = "UPDATE account_data SET position = position($4) WHERE user_no = $1 AND room_no = $2 AND kind = $3";
    INSERT = "INSERT INTO account_data (user_no, room_no, kind, content, position) VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING";
    SWAP = "UPDATE account_data SET content = $5 WHERE user_no = $1 AND room_no = $2 AND kind = $3 AND content = $4";
    DELETE_ALL = "DELETE FROM account_data WHERE user_no = $1";
}

/// The room number of what is not about a room.
const GLOBAL: RoomNo = RoomNo(0);

/// One piece of account data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountData {
    /// The room that it is about, if it is about one.
    pub room: Option<RoomNo>,
    /// Its type.
    pub kind: String,
    /// Its content, a JSON object.
    pub content: String,
    /// When it was set.
    pub position: Position,
}

impl AccountData {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        let room: RoomNo = row.get(0)?;
        Ok(Self {
            room: (room != GLOBAL).then_some(room),
            kind: row.get(1)?,
            content: row.get(2)?,
            position: row.get(3)?,
        })
    }
}

/// The content of one piece, a JSON object.
pub fn get(read: &Read<'_>, user: UserNo, room: Option<RoomNo>, kind: &str) -> Result<Option<String>, Error> {
    read.one(GET, params![user, room.unwrap_or(GLOBAL), kind], |row| row.get(0))
}

/// What was set after `after` and not after `up_to`, global and of all rooms, in the order in which it was set.
pub fn changed(read: &Read<'_>, user: UserNo, after: Position, up_to: Position) -> Result<Vec<AccountData>, Error> {
    read.all(CHANGED, params![user, after, up_to], AccountData::from_row)
}

/// How many pieces a user has.
pub fn count(read: &Read<'_>, user: UserNo) -> Result<u64, Error> {
    Ok(read.one(SIZE, params![user], |row| row.get(0))?.unwrap_or(0))
}

/// How long all that a user has is together, in characters.
pub fn length(read: &Read<'_>, user: UserNo) -> Result<u64, Error> {
    Ok(read.one(BYTES, params![user], |row| row.get::<Option<u64>>(0))?.flatten().unwrap_or(0))
}

/// Sets one piece to a JSON object.
pub fn set(tx: &Tx<'_>, user: UserNo, room: Option<RoomNo>, kind: &str, content: &str) -> Result<(), Error> {
    let room_no = room.unwrap_or(GLOBAL);
    // At once, and only the position at the end of the group: the group's next job may change the same tags.
    tx.execute(SET, params![user, room_no, kind, content])?;
    let slot = tx.log(Change::AccountData { user, room });
    tx.at_position(slot, MOVE, params![user, room_no, kind]);
    Ok(())
}

/// Sets one piece if it still is what it was read as (`None`: not there); `false`, and nothing has changed, when another
/// node was faster.
pub fn swap(
    tx: &Tx<'_>,
    user: UserNo,
    room: Option<RoomNo>,
    kind: &str,
    before: Option<&str>,
    content: &str,
) -> Result<bool, Error> {
    let room_no = room.unwrap_or(GLOBAL);
    let changed = match before {
        Some(before) => tx.execute(SWAP, params![user, room_no, kind, before, content])?,
        None => tx.execute(INSERT, params![user, room_no, kind, content])?,
    };
    if changed > 0 {
        let slot = tx.log(Change::AccountData { user, room });
        tx.at_position(slot, MOVE, params![user, room_no, kind]);
    }
    Ok(changed > 0)
}

/// Removes all that a user has.
pub fn delete_all(tx: &Tx<'_>, user: UserNo) -> Result<(), Error> {
    tx.execute(DELETE_ALL, params![user])?;
    Ok(())
}

/// The position of the last change of a user's account data.
pub fn last_position(read: &Read<'_>, user: UserNo) -> Result<Position, Error> {
    let last = read.one(LAST_POSITION, params![user], |row| row.get::<Option<Position>>(0))?;
    Ok(last.flatten().unwrap_or(Position::START))
}
