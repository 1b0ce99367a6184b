//! What closures are given: a snapshot to read, a group to write in.

use std::{
    borrow::Borrow,
    cell::{Cell, RefCell},
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use crate::{Change, Error, Position, Row, Value, log, value::OwnedValue};

/// Called for each row of a result, until it fails or says that it has seen enough.
pub(crate) type Each<'a> = dyn FnMut(&Row<'_>) -> Result<bool, Error> + 'a;

/// A connection of either engine, as closures need it. A failed statement leaves its error behind for the writer.
pub(crate) trait Session {
    /// A statement that only reads.
    fn query(&self, sql: &'static str, params: &[Value<'_>], each: &mut Each<'_>) -> Result<(), Error>;
    /// A statement that changes rows and answers some; returns how many it changed.
    fn change(&self, sql: &'static str, params: &[Value<'_>], each: &mut Each<'_>) -> Result<u64, Error>;
    /// A statement that changes rows; returns how many.
    fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error>;
    /// The same statement for many rows of parameters; returns how many rows changed.
    fn execute_many(&self, sql: &'static str, rows: &[&[Value<'_>]]) -> Result<u64, Error>;
    /// What the engine itself finds wrong with its pages and indexes, where it can look.
    fn integrity(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

/// One snapshot of the database.
#[derive(Clone, Copy)]
pub struct Read<'a> {
    session: &'a dyn Session,
}

impl fmt::Debug for Read<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Read")
    }
}

impl<'a> Read<'a> {
    pub(crate) fn new(session: &'a dyn Session) -> Self {
        Self { session }
    }

    /// All rows of a result.
    pub fn all<T>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        self.session.query(sql, params, &mut |row| {
            rows.push(map(row)?);
            Ok(true)
        })?;
        Ok(rows)
    }

    /// The first row of a result, if there is one.
    pub fn one<T>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let (mut map, mut found) = (Some(map), None);
        self.session.query(sql, params, &mut |row| {
            found = map.take().map(|map| map(row)).transpose()?;
            Ok(false)
        })?;
        Ok(found)
    }

    /// Whether a result has a row.
    pub fn exists(&self, sql: &'static str, params: &[Value<'_>]) -> Result<bool, Error> {
        Ok(self.one(sql, params, |_| Ok(()))?.is_some())
    }

    /// Looks at row after row without keeping them, until `each` fails or answers `false`.
    pub fn each(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.session.query(sql, params, &mut each)
    }

    /// What the engine itself finds wrong with its pages and indexes; nothing in a sound database. Only SQLite can look.
    pub(crate) fn integrity(&self) -> Result<Vec<String>, Error> {
        self.session.integrity()
    }

    /// The last position that this snapshot holds. Every earlier one is final and visible in it. Inside a write closure
    /// it is the position before the group.
    pub fn frontier(&self) -> Result<Position, Error> {
        Ok(log::head(self)?.0)
    }
}

/// A statement that waits for the end of the group.
#[derive(Debug)]
pub(crate) struct Deferred {
    /// Whose position it wants, by its place in [`Group::log`].
    pub(crate) slot: i64,
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<OwnedValue>,
}

/// What a group collects for its end.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Rows changed so far, or at least whether any.
    writes: Cell<u64>,
    pub(crate) log: RefCell<Vec<(Change, Arc<AtomicI64>)>>,
    pub(crate) deferred: RefCell<Vec<Deferred>>,
}

/// Where a group was before a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    writes: u64,
    log: usize,
    deferred: usize,
}

impl Group {
    pub(crate) fn mark(&self) -> Mark {
        Mark { writes: self.writes.get(), log: self.log.borrow().len(), deferred: self.deferred.borrow().len() }
    }

    /// Whether a row has changed since.
    pub(crate) fn has_written(&self, since: Mark) -> bool {
        self.writes.get() != since.writes
    }

    /// Forgets what a refusing job left for the end of the group.
    pub(crate) fn forget(&self, since: Mark) {
        self.log.borrow_mut().truncate(since.log);
        self.deferred.borrow_mut().truncate(since.deferred);
    }

    /// How many lines of the log it adds.
    pub(crate) fn count(&self) -> i64 {
        number(self.log.borrow().len())
    }

    /// Tells the slots where their changes are. `head` is the position of the group's last change.
    pub(crate) fn place(&self, head: Position) -> Vec<crate::Entry> {
        let log = self.log.borrow();
        (head.0 + 1 - self.count()..)
            .zip(log.iter())
            .map(|(position, (change, slot))| {
                slot.store(position, Ordering::Release);
                crate::Entry { position: Position(position), change: *change }
            })
            .collect()
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A place in the log that becomes known when the group is committed.
#[derive(Clone, Debug)]
pub struct Slot {
    index: usize,
    position: Arc<AtomicI64>,
}

impl Slot {
    /// The position, once [`Store::write`](crate::Store::write) has answered; `None` before.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self.position.load(Ordering::Acquire) {
            0 => None,
            position => Some(Position(position)),
        }
    }
}

/// A job's part of a group of writes. Reads see what the group has written so far.
#[derive(Clone, Copy, Debug)]
pub struct Tx<'a> {
    read: Read<'a>,
    group: &'a Group,
}

impl<'a> Deref for Tx<'a> {
    type Target = Read<'a>;

    fn deref(&self) -> &Self::Target {
        &self.read
    }
}

impl<'a> Tx<'a> {
    pub(crate) fn new(session: &'a dyn Session, group: &'a Group) -> Self {
        Self { read: Read::new(session), group }
    }

    fn wrote(&self, rows: u64) -> u64 {
        self.group.writes.set(self.group.writes.get() + rows);
        rows
    }

    /// Runs a statement that changes rows and returns how many. One that changed none does not count as a write: after
    /// it the closure may still refuse.
    pub fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error> {
        self.read.session.execute(sql, params).map(|rows| self.wrote(rows))
    }

    /// Runs one statement for each row of parameters, and returns how many rows changed in all. On PostgreSQL they are
    /// sent without waiting for each other.
    pub fn execute_many<'v, R: AsRef<[Value<'v>]>>(&self, sql: &'static str, rows: &[R]) -> Result<u64, Error> {
        let rows: Vec<&[Value<'_>]> = rows.iter().map(AsRef::as_ref).collect();
        if rows.is_empty() {
            return Ok(0);
        }
        self.read.session.execute_many(sql, &rows).map(|rows| self.wrote(rows))
    }

    /// Runs a statement that changes rows and answers with some (`… RETURNING …`).
    pub fn returning<T>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        let changed = self.read.session.change(sql, params, &mut |row| {
            found.push(map(row)?);
            Ok(true)
        });
        // Rows may have changed before one of them could not be read.
        self.wrote(*changed.as_ref().unwrap_or(&1));
        changed.map(|_| found)
    }

    /// Logs a change that others must hear of. It gets its position at the end of the group.
    #[must_use = "latest values are written with the position of their change"]
    pub fn log(&self, change: Change) -> Slot {
        let mut log = self.group.log.borrow_mut();
        let slot = Slot { index: log.len(), position: Arc::default() };
        log.push((change, Arc::clone(&slot.position)));
        slot
    }

    /// A statement that runs at the end of the group, when the position of `slot` is known: `position($n)` stands for it,
    /// `$n` being one more than `params` has. Nothing may depend on how many rows it changes.
    pub fn at_position(&self, slot: impl Borrow<Slot>, sql: &'static str, params: &[Value<'_>]) {
        self.group.deferred.borrow_mut().push(Deferred {
            slot: number(slot.borrow().index),
            sql,
            params: params.iter().map(Value::to_owned).collect(),
        });
    }
}
