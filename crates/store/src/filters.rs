//! Filters that clients have stored for /sync and /messages.

use crate::{Error, Read, Tx, UserNo, params, statements};

statements! {
    GET = "SELECT definition FROM filters WHERE user_no = $1 AND filter_no = $2";
    FIND = "SELECT filter_no FROM filters WHERE user_no = $1 AND hash = $2";
    LAST = "SELECT filter_no FROM filters WHERE user_no = $1 ORDER BY filter_no DESC LIMIT 1";
    INSERT = "INSERT INTO filters (user_no, filter_no, hash, definition) VALUES ($1, $2, $3, $4)";
    DELETE_OLD = "DELETE FROM filters WHERE user_no = $1 AND filter_no <= $2";
    DELETE_ALL = "DELETE FROM filters WHERE user_no = $1";
}

/// How many filters a user can have; more push out the oldest. Clients ask whether theirs is still there.
const MAX_FILTERS: i64 = 500;

/// A filter's definition as JSON.
pub fn get(read: &Read<'_>, user: UserNo, filter_no: i64) -> Result<Option<String>, Error> {
    read.one(GET, params![user, filter_no], |row| row.get(0))
}

/// The filter whose definition has this hash.
pub fn find(read: &Read<'_>, user: UserNo, hash: &[u8; 32]) -> Result<Option<i64>, Error> {
    read.one(FIND, params![user, hash], |row| row.get(0))
}

/// Stores a definition, or finds the filter that already has it. `hash` is that of the definition.
pub fn put(tx: &Tx<'_>, user: UserNo, hash: &[u8; 32], definition: &str) -> Result<i64, Error> {
    if let Some(known) = find(tx, user, hash)? {
        return Ok(known);
    }
    let filter_no = tx.one(LAST, params![user], |row| row.get::<i64>(0))?.unwrap_or(0) + 1;
    tx.execute(INSERT, params![user, filter_no, hash, definition])?;
    if filter_no > MAX_FILTERS {
        tx.execute(DELETE_OLD, params![user, filter_no - MAX_FILTERS])?;
    }
    Ok(filter_no)
}

/// Removes all that a user has.
pub fn delete_all(tx: &Tx<'_>, user: UserNo) -> Result<(), Error> {
    tx.execute(DELETE_ALL, params![user])?;
    Ok(())
}
