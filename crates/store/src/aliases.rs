//! Local room aliases.

use crate::{Error, Read, RoomNo, Tx, UserNo, params, statements};

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasRow {
    /// The room.
    pub room: RoomNo,
    /// Its id.
    pub room_id: String,
    /// Who made the alias.
    pub creator: UserNo,
}

statements! {
    RESOLVE = "SELECT a.room_no, r.room_id, a.creator FROM aliases a JOIN rooms r ON r.room_no = a.room_no WHERE a.alias = $1";
    OF_ROOM = "SELECT alias FROM aliases WHERE room_no = $1 ORDER BY alias";
    INSERT = "INSERT INTO aliases (alias, room_no, creator, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (alias) DO NOTHING";
    DELETE = "DELETE FROM aliases WHERE alias = $1";
    MOVE = "UPDATE aliases SET room_no = $2 WHERE room_no = $1";
}

/// The room behind an alias.
pub fn resolve(read: &Read<'_>, alias: &str) -> Result<Option<AliasRow>, Error> {
    read.one(RESOLVE, params![alias], |row| {
        Ok(AliasRow { room: row.get(0)?, room_id: row.get(1)?, creator: row.get(2)? })
    })
}

/// A room's aliases, sorted.
pub fn of_room(read: &Read<'_>, room: RoomNo) -> Result<Vec<String>, Error> {
    read.all(OF_ROOM, params![room], |row| row.get(0))
}

/// Makes an alias; `false` when it exists already.
pub fn insert(tx: &Tx<'_>, alias: &str, room: RoomNo, creator: UserNo, now: i64) -> Result<bool, Error> {
    Ok(tx.execute(INSERT, params![alias, room, creator, now])? == 1)
}

/// Removes an alias; `false` when there was none.
pub fn delete(tx: &Tx<'_>, alias: &str) -> Result<bool, Error> {
    Ok(tx.execute(DELETE, params![alias])? == 1)
}

/// Moves all of a room's aliases to another room.
pub fn move_all(tx: &Tx<'_>, from: RoomNo, to: RoomNo) -> Result<(), Error> {
    tx.execute(MOVE, params![from, to])?;
    Ok(())
}
