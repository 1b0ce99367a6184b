//! The end of the log in memory: how far it is final, and its last entries for those who follow it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use tokio::sync::watch;

use crate::{Change, Error, Generation, Position, Read, log};

/// A line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub position: Position,
    /// What.
    pub change: Change,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<Entry>,
    /// `entries` holds everything after this position.
    start: i64,
}

/// Shared by the writer, which feeds it, and the followers.
#[derive(Debug)]
pub(crate) struct Frontier {
    ring: Mutex<Ring>,
    bound: usize,
    position: watch::Sender<Position>,
    generation: AtomicI64,
    closed: AtomicBool,
}

impl Frontier {
    pub(crate) fn new(position: Position, generation: Generation, bound: usize) -> Self {
        Self {
            ring: Mutex::new(Ring { entries: VecDeque::new(), start: position.0 }),
            bound: bound.max(1),
            position: watch::Sender::new(position),
            generation: AtomicI64::new(generation.0),
            closed: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn position(&self) -> Position {
        *self.position.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    pub(crate) fn set_generation(&self, generation: Generation) {
        self.generation.store(generation.0, Ordering::Release);
    }

    /// Takes what the log holds after `from` up to and including `to`. `false` when `from` lies beyond the end of the
    /// ring, so that entries would be missing: then nothing is taken, and the caller fetches them first.
    pub(crate) fn feed(&self, from: Position, to: Position, entries: &[Entry]) -> bool {
        let mut ring = self.lock();
        let end = self.position();
        if from > end {
            return false;
        }
        if to > end {
            ring.entries.extend(entries.iter().filter(|entry| entry.position > end));
            while ring.entries.len() > self.bound {
                if let Some(gone) = ring.entries.pop_front() {
                    ring.start = gone.position.0;
                }
            }
            // Told while the ring is locked: whoever sees the position finds the entries.
            self.position.send_replace(to);
        }
        true
    }

    /// Gives up what is in the ring: more has happened than it could hold.
    pub(crate) fn leap(&self, to: Position) {
        let mut ring = self.lock();
        if to > self.position() {
            ring.entries.clear();
            ring.start = to.0;
            self.position.send_replace(to);
        }
    }

    /// Tells the followers that nothing more will come.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.position.send_modify(|_| ());
    }

    fn after(&self, position: Position) -> Step {
        let ring = self.lock();
        if position.0 < ring.start {
            return Step::Lost;
        }
        let first = ring.entries.partition_point(|entry| entry.position <= position);
        Step::Advanced {
            entries: ring.entries.range(first..).copied().collect(),
            position: self.position().max(position),
        }
    }
}

/// Entries fetched at once.
const PAGE: u32 = 1000;

/// Feeds the ring from the table with whatever it lacks. Needs no snapshot: the log grows at its end only, without gaps
/// that are filled later.
pub(crate) fn catch_up(read: &Read<'_>, frontier: &Frontier) -> Result<(), Error> {
    loop {
        let from = frontier.position();
        let (head, generation, horizon) = log::head(read)?;
        if generation != frontier.generation() {
            // Whoever began it may have taken back what had been told.
            frontier.set_generation(generation);
            frontier.leap(head);
            return Ok(());
        }
        if head <= from {
            return Ok(());
        }
        if from < horizon {
            frontier.leap(head);
            return Ok(());
        }
        let entries = log::page(read, from, PAGE)?;
        let last = entries.last().map_or(head, |entry| entry.position);
        let complete = entries.len() < PAGE as usize;
        frontier.feed(from, if complete { last.max(head) } else { last }, &entries);
        if complete {
            return Ok(());
        }
    }
}

/// What a follower learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The changes since the step before, in order, each exactly once; everything up to `position` has now been told.
    Advanced {
        /// The changes. Possibly none.
        entries: Vec<Entry>,
        /// How far the follower is: the frontier.
        position: Position,
    },
    /// The follower fell so far behind that changes were dropped. It stays lost until [`Follower::seek`]: read the tables
    /// in one snapshot and seek to that snapshot's frontier.
    Lost,
}

/// Follows the log in memory. No query is made.
#[derive(Debug)]
pub struct Follower {
    frontier: Arc<Frontier>,
    watch: watch::Receiver<Position>,
    at: Position,
}

impl Follower {
    pub(crate) fn new(frontier: Arc<Frontier>, from: Position) -> Self {
        let watch = frontier.subscribe();
        Self { frontier, watch, at: from }
    }

    /// How far it is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// Goes on after `position`.
    pub fn seek(&mut self, position: Position) {
        self.at = position;
    }

    /// Everything up to the frontier, without waiting.
    pub fn drain(&mut self) -> Step {
        if *self.watch.borrow_and_update() <= self.at {
            return Step::Advanced { entries: Vec::new(), position: self.at };
        }
        let step = self.frontier.after(self.at);
        if let Step::Advanced { position, .. } = &step {
            self.at = *position;
        }
        step
    }

    /// Waits until there is something to tell; `None` once the store is closed and everything has been told.
    pub async fn next(&mut self) -> Option<Step> {
        loop {
            if *self.watch.borrow_and_update() > self.at {
                return Some(self.drain());
            }
            if self.frontier.closed.load(Ordering::Acquire) || self.watch.changed().await.is_err() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
