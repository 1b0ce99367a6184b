//! Group commit: one thread drains the waiting jobs into one transaction.
//!
//! There are no savepoints. A job that refuses before its first change costs nobody anything. A job that fails after it, or
//! panics, or meets a failing statement, has the whole group rolled back, and its jobs run again one by one. Nobody is
//! answered before COMMIT, and when COMMIT fails everybody is told so.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use roost_world::World;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    Error, Position, Read, Tx,
    frontier::{self, Frontier},
    generation,
    transaction::{Group, Session},
};

/// How a job went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Done,
    Refused,
}

/// A write that waits for its answer.
pub(crate) trait Job: Send {
    /// Runs the closure and keeps its result. May be called again.
    fn run(&mut self, tx: &Tx<'_>) -> Ran;
    /// Sends the result.
    fn answer(self: Box<Self>);
    /// Sends this error, whatever the closure said: it may have seen what was undone since.
    fn fail(self: Box<Self>, error: &Error);
    /// Sends the closure's own error, and this one when it has none.
    fn refuse(self: Box<Self>, error: &Error);
}

pub(crate) struct Write<F, T, E> {
    job: F,
    result: Option<Result<T, E>>,
    sender: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Write<F, T, E> {
    pub(crate) fn new(job: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { job, result: None, sender }, receiver)
    }
}

impl<F, T, E> Job for Write<F, T, E>
where
    F: Fn(&Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Ran {
        // What the closure can see after a panic is its own, and the transaction, which the caller rolls back.
        let result =
            catch_unwind(AssertUnwindSafe(|| (self.job)(tx))).unwrap_or_else(|_| Err(E::from(Error::Panicked)));
        let ran = if result.is_ok() { Ran::Done } else { Ran::Refused };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // Whoever has gone away no longer wants the answer.
            drop(self.sender.send(result));
        }
    }

    fn fail(self: Box<Self>, error: &Error) {
        drop(self.sender.send(Err(E::from(error.clone()))));
    }

    fn refuse(self: Box<Self>, error: &Error) {
        match self.result {
            Some(Err(own)) => drop(self.sender.send(Err(own))),
            _ => self.fail(error),
        }
    }
}

/// Jobs that wait for a thread, at most so many.
pub(crate) struct Queue<T> {
    state: Mutex<Waiting<T>>,
    wake: Condvar,
    room: Semaphore,
}

struct Waiting<T> {
    jobs: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(bound: usize) -> Self {
        let room = Semaphore::new(bound.clamp(1, Semaphore::MAX_PERMITS));
        Self { state: Mutex::new(Waiting { jobs: VecDeque::new(), closed: false }), wake: Condvar::new(), room }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room and adds a job.
    pub(crate) async fn push(&self, job: T) -> Result<(), Error> {
        self.room.acquire().await.map_err(|_| Error::Closed)?.forget();
        let mut state = self.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        state.jobs.push_back(job);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Waits for jobs and takes up to `limit`; `None` once the queue is closed and empty.
    pub(crate) fn take(&self, limit: usize) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = state.jobs.len().min(limit.max(1));
        let jobs: Vec<_> = state.jobs.drain(..count).collect();
        drop(state);
        self.room.add_permits(count);
        Some(jobs)
    }

    /// How many wait.
    fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Refuses everything, also what waits: nobody is left to do it.
    pub(crate) fn abandon(&self) {
        self.close();
        self.lock().jobs.clear();
    }

    /// What waits is still done; what comes later is refused.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.wake.notify_all();
    }
}

/// Why a commit did not happen.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The transaction is gone and nothing of it was kept: it may run again.
    Undone(Error),
    /// COMMIT itself failed: everybody is told, and nothing runs again.
    Final(Error),
}

/// What the writer needs of an engine.
pub(crate) trait Engine: Session {
    /// Begins a transaction.
    fn begin(&self) -> Result<(), Error>;
    /// Ends it without keeping anything. Also after a failure that ended it already.
    fn rollback(&self);
    /// Gives the group's changes their positions, runs what waited for that, and commits. Returns the position of the last
    /// change, when there was one.
    fn commit(&self, group: &Group) -> Result<Option<Position>, Failed>;
    /// The error that a statement of this transaction left behind, taken.
    fn fault(&self) -> Option<Error>;
    /// Gets a new connection when the old one is broken, and says whether it did.
    fn repair(&self) -> Result<bool, Error>;
    /// Gives a piece of the space that nothing takes any more back to the disk, and says whether there may be more. Called while nothing
    /// waits to be written, and short.
    fn tidy(&self) -> Result<bool, Error> {
        Ok(false)
    }
}

/// How often a group is tried again that lost against another node or its connection.
const TRIES: u32 = 5;
/// A job, or a commit, that takes longer is worth a line in the log.
pub(crate) const SLOW: Duration = Duration::from_millis(100);

pub(crate) struct Writer<'a, E> {
    pub(crate) engine: &'a E,
    pub(crate) frontier: &'a Frontier,
    pub(crate) world: &'a World,
}

enum Outcome {
    Committed,
    /// Rolled back; the error, unless a job has its own.
    Undone(Option<Error>),
    Failed(Error),
}

impl<E: Engine> Writer<'_, E> {
    /// Writes until the queue is closed.
    pub(crate) fn run(&self, queue: &Queue<Box<dyn Job>>, limit: usize) {
        while let Some(jobs) = queue.take(limit) {
            metrics::histogram!("roost_store_group_size").record(size(jobs.len()));
            metrics::gauge!("roost_store_write_queue").set(size(queue.len()));
            self.serve(jobs);
            self.tidy(queue);
        }
    }

    /// Uses the time in which nobody waits.
    fn tidy(&self, queue: &Queue<Box<dyn Job>>) {
        while queue.len() == 0 {
            match self.engine.tidy() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "free space could not be given back");
                    self.engine.fault();
                    return;
                }
            }
        }
    }

    fn serve(&self, mut jobs: Vec<Box<dyn Job>>) {
        let mut tries = 0;
        loop {
            match self.together(&mut jobs) {
                Outcome::Committed => {
                    for job in jobs {
                        job.answer();
                    }
                    return;
                }
                Outcome::Failed(error) => {
                    tracing::error!(%error, jobs = jobs.len(), "a commit failed");
                    for job in jobs {
                        job.fail(&error);
                    }
                    return;
                }
                Outcome::Undone(Some(error)) if error.is_transient() => {
                    tries += 1;
                    tracing::warn!(%error, jobs = jobs.len(), tries, "a group of writes was undone");
                    if tries == TRIES {
                        for job in jobs {
                            job.fail(&error);
                        }
                        return;
                    }
                    let mut pause =
                        pin!(async { self.world.clock.sleep(Duration::from_millis(5 << (2 * tries))).await });
                    self.world.executor.block_on(pause.as_mut());
                    self.repair();
                }
                Outcome::Undone(error) => {
                    if jobs.len() == 1 {
                        let error = error.unwrap_or(Error::Panicked);
                        for job in jobs {
                            job.refuse(&error);
                        }
                        return;
                    }
                    metrics::counter!("roost_store_groups_undone_total").increment(1);
                    for job in jobs {
                        self.serve(vec![job]);
                    }
                    return;
                }
            }
        }
    }

    /// One transaction for all.
    fn together(&self, jobs: &mut [Box<dyn Job>]) -> Outcome {
        let group = Group::default();
        if let Err(error) = self.engine.begin() {
            self.engine.rollback();
            return Outcome::Undone(Some(self.engine.fault().unwrap_or(error)));
        }
        for job in jobs {
            let mark = group.mark();
            let started = self.world.clock.monotonic();
            let ran = job.run(&Tx::new(self.engine, &group));
            let took = self.world.clock.monotonic().saturating_sub(started);
            if took > SLOW {
                tracing::warn!(milliseconds = took.as_millis(), "a write closure was slow");
            }
            if let Some(error) = self.engine.fault() {
                self.engine.rollback();
                return Outcome::Undone(Some(error));
            }
            if ran == Ran::Refused {
                if group.has_written(mark) {
                    self.engine.rollback();
                    return Outcome::Undone(None);
                }
                group.forget(mark);
            }
        }
        let started = self.world.clock.monotonic();
        let committed = self.engine.commit(&group);
        let took = self.world.clock.monotonic().saturating_sub(started);
        metrics::histogram!("roost_store_commit_seconds").record(took.as_secs_f64());
        match committed {
            Ok(head) => {
                if let Some(head) = head {
                    self.feed(&group, head);
                }
                Outcome::Committed
            }
            Err(Failed::Undone(error)) => {
                self.engine.rollback();
                Outcome::Undone(Some(self.engine.fault().unwrap_or(error)))
            }
            Err(Failed::Final(error)) => {
                self.engine.rollback();
                self.engine.fault();
                self.repair();
                Outcome::Failed(error)
            }
        }
    }

    /// Reconnects if that is needed. A database that was away may have come back with less than it had.
    fn repair(&self) {
        let repaired = self
            .engine
            .repair()
            .and_then(|new| if new { generation::reconcile(self.engine, self.frontier, self.world) } else { Ok(()) });
        if let Err(error) = repaired {
            tracing::warn!(%error, "the database can not be reached");
            self.engine.fault();
        }
    }

    /// Tells the followers, before anybody is answered: a writer finds its own change at the frontier.
    fn feed(&self, group: &Group, head: Position) {
        let entries = group.place(head);
        let before = Position(head.0 - group.count());
        if !self.frontier.feed(before, head, &entries) {
            // Other nodes were there first.
            let caught_up = frontier::catch_up(&Read::new(self.engine), self.frontier);
            if let Err(error) = &caught_up {
                tracing::warn!(%error, "the log could not be read after a commit");
                self.engine.fault();
            }
            if caught_up.is_err() || !self.frontier.feed(before, head, &entries) {
                // Its followers start anew from the tables.
                self.frontier.leap(head);
            }
        }
        metrics::gauge!("roost_store_log_position").set(precisely(head));
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and only looked at by people")]
fn precisely(position: Position) -> f64 {
    position.0 as f64
}

fn size(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests;
