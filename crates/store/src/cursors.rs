//! Where those that follow the log across restarts are. A cursor moves by compare-and-swap, so that two nodes never go on
//! from the same place as one.

use crate::{Error, Generation, Position, Read, Tx, params, statements};

statements! {
    LOAD = "SELECT generation, position FROM cursors WHERE name = $1";
    FIRST = "INSERT INTO cursors (name, generation, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    MOVE = "UPDATE cursors SET generation = $2, position = $3 WHERE name = $1 AND generation = $4 AND position = $5";
}

/// A place in the log, and in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The life of the log.
    pub generation: Generation,
    /// Everything up to here is done.
    pub position: Position,
}

/// Where the follower of that name is; `None` when it has never started.
pub fn load(read: &Read<'_>, name: &str) -> Result<Option<Cursor>, Error> {
    read.one(LOAD, params![name], |row| Ok(Cursor { generation: row.get(0)?, position: row.get(1)? }))
}

/// Moves a cursor. `false`, and nothing has changed, when it is no longer at `from`.
pub fn advance(tx: &Tx<'_>, name: &str, from: Option<Cursor>, to: Cursor) -> Result<bool, Error> {
    let moved = match from {
        None => tx.execute(FIRST, params![name, to.generation, to.position])?,
        Some(from) => tx.execute(MOVE, params![name, to.generation, to.position, from.generation, from.position])?,
    };
    Ok(moved == 1)
}

#[cfg(test)]
mod tests;
