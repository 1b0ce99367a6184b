//! The lives of the log. A new one begins when positions may have been told that the database has forgotten: after a
//! restore, an import or a copy, or when a server comes back from a failover with less than it had.

use roost_world::World;

use crate::{
    Error, Generation, Read,
    frontier::{self, Frontier},
    log, params, statements,
    transaction::Session,
};

statements! {
    BEGIN = "UPDATE log_head SET generation = $1, position = position + $2 WHERE generation = $3";
    LEAP_SEQUENCES = "UPDATE sequences SET next = next + $1";
}

/// How far positions and numbers leap: further than any that were handed out and then lost.
pub(crate) const LEAP: i64 = 1 << 20;

/// The life after `last`. Its number comes from the clock, since two copies of one backup must not begin the same one.
pub(crate) fn next(last: Generation, world: &World) -> Generation {
    let seconds = i64::try_from(world.now_ms() / 1000).unwrap_or(0);
    Generation(seconds.max(last.0 + 1))
}

/// Turns the life `from` into `to` (which may be the same) and leaps over positions and numbers. Does nothing when
/// another node did.
pub(crate) fn leap(session: &dyn Session, from: Generation, to: Generation, by: i64) -> Result<(), Error> {
    if session.execute(BEGIN, params![to, by, from])? == 1 && by > 0 {
        session.execute(LEAP_SEQUENCES, params![by])?;
    }
    Ok(())
}

/// Compares the database with what this node has told: one that has less has lost commits, and begins a new life. Then
/// catches up.
pub(crate) fn reconcile(session: &dyn Session, frontier: &Frontier, world: &World) -> Result<(), Error> {
    // Looked at first: meanwhile the writer goes on, and the head with it.
    let told = frontier.position();
    let read = Read::new(session);
    let (head, generation, _) = log::head(&read)?;
    if generation == frontier.generation() && head < told {
        tracing::error!(%head, %told, "the database has lost commits; its log begins a new generation");
        leap(session, generation, next(generation, world), told.0 - head.0 + LEAP)?;
    }
    frontier::catch_up(&read, frontier)
}

#[cfg(test)]
mod tests;
