//! The peppers of hashed lookups, and how one replaces another.
//!
//! Associations are written and removed under [`lock`], and so is a new pepper begun: whoever binds an address either sees the
//! new pepper and hashes with it, or is done before the hashing of the whole table begins.

use crate::{Error, Read, Row, Tx, params, statements};

statements! {
    LIST = "SELECT pepper_no, pepper, phase, since, filled_medium, filled_address FROM identity_peppers ORDER BY pepper_no";
    FIRST_LOCK = "UPDATE log_head SET position = position";
    LOCK = "UPDATE identity_peppers SET since = since";
    INSERT = "INSERT INTO identity_peppers (pepper_no, pepper, phase, since, filled_medium, filled_address) \
        VALUES ($1, $2, $3, $4, '', '')";
    FILLED = "UPDATE identity_peppers SET filled_medium = $2, filled_address = $3 WHERE pepper_no = $1";
    TURN = "UPDATE identity_peppers SET phase = $2, since = $3 WHERE pepper_no = $1";
    DELETE = "DELETE FROM identity_peppers WHERE pepper_no = $1";
}

/// What a pepper is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The associations are still being hashed with it.
    Filling,
    /// It is handed out.
    Current,
    /// It was handed out until lately, and is still accepted.
    Previous,
    /// Its hashes are being removed.
    Leaving,
}

impl Phase {
    fn number(self) -> i64 {
        match self {
            Self::Filling => 0,
            Self::Current => 1,
            Self::Previous => 2,
            Self::Leaving => 3,
        }
    }
}

/// A pepper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pepper {
    /// Its number; a later one has a higher number.
    pub number: i64,
    /// How it reads.
    pub pepper: String,
    /// What it is good for.
    pub phase: Phase,
    /// Since when.
    pub since: u64,
    /// The last association hashed with it, by medium and address.
    pub filled: (String, String),
}

impl Pepper {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        let phase = match row.get::<i64>(2)? {
            0 => Phase::Filling,
            1 => Phase::Current,
            2 => Phase::Previous,
            3 => Phase::Leaving,
            _ => return Err(Error::Column { column: 2, expected: "a phase" }),
        };
        Ok(Self {
            number: row.get(0)?,
            pepper: row.get(1)?,
            phase,
            since: row.get(3)?,
            filled: (row.get(4)?, row.get(5)?),
        })
    }
}

/// Makes `pepper` the first one, unless there is one: several nodes may start at once.
pub fn first(tx: &Tx<'_>, pepper: &str, now_ms: u64) -> Result<(), Error> {
    if !list(tx)?.is_empty() {
        return Ok(());
    }
    tx.execute(FIRST_LOCK, params![])?;
    if list(tx)?.is_empty() {
        insert(tx, 1, pepper, Phase::Current, now_ms)?;
    }
    Ok(())
}

/// Every pepper, oldest first.
pub fn list(read: &Read<'_>) -> Result<Vec<Pepper>, Error> {
    read.all(LIST, params![], Pepper::from_row)
}

/// Keeps other nodes from changing associations and peppers until this group is committed: all lock the rows that are there,
/// and one of them stays. Refuse before you lock.
pub fn lock(tx: &Tx<'_>) -> Result<(), Error> {
    tx.execute(LOCK, params![])?;
    Ok(())
}

/// The peppers that associations have to be hashed with.
pub fn in_use(read: &Read<'_>) -> Result<Vec<Pepper>, Error> {
    let mut all = list(read)?;
    all.retain(|pepper| pepper.phase != Phase::Leaving);
    Ok(all)
}

/// Adds a pepper.
pub fn insert(tx: &Tx<'_>, number: i64, pepper: &str, phase: Phase, now_ms: u64) -> Result<(), Error> {
    tx.execute(INSERT, params![number, pepper, phase.number(), now_ms])?;
    Ok(())
}

/// Notes how far the hashing with a pepper has come.
pub fn filled(tx: &Tx<'_>, number: i64, medium: &str, address: &str) -> Result<(), Error> {
    tx.execute(FILLED, params![number, medium, address])?;
    Ok(())
}

/// Brings a pepper into a phase.
pub fn turn(tx: &Tx<'_>, number: i64, phase: Phase, now_ms: u64) -> Result<(), Error> {
    tx.execute(TURN, params![number, phase.number(), now_ms])?;
    Ok(())
}

/// Removes a pepper, whose hashes are gone.
pub fn delete(tx: &Tx<'_>, number: i64) -> Result<(), Error> {
    tx.execute(DELETE, params![number])?;
    Ok(())
}
