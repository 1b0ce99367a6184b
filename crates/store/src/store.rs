//! The store as the rest of the server sees it.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use roost_world::{Clock, World};
use tokio::sync::{oneshot, watch};

use crate::{
    Database, Durability, Error, Follower, Generation, Options, Position, Read, Sequence, Tx, copy,
    frontier::Frontier,
    generation, log, params,
    postgres::{self, Postgres},
    sqlite::{self, Sqlite},
    statements, users_no,
    writer::{Engine, Job, Queue, SLOW, Write, Writer},
};

statements! {
    FIRST_BLOCK = "INSERT INTO sequences (name, next) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    NEXT_BLOCK = "UPDATE sequences SET next = next + $2 WHERE name = $1 RETURNING next";
}

/// Numbers that a node takes at once.
const BLOCK: i64 = 1024;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    queue: Arc<Queue<Box<dyn Job>>>,
    frontier: Arc<Frontier>,
    readers: Readers,
    numbers: Mutex<HashMap<Sequence, Range<i64>>>,
    users: users_no::Cache,
    clock: Arc<dyn Clock>,
    /// Tells the threads to end; each holds a receiver until it has.
    stop: watch::Sender<bool>,
}

enum Readers {
    Sqlite(sqlite::Readers),
    Postgres(postgres::Readers),
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close();
        match &self.readers {
            Readers::Sqlite(readers) => readers.close(),
            Readers::Postgres(readers) => readers.close(),
        }
        self.stop.send_replace(true);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store {
    /// Opens the database, brings its schema up to date and starts the writer.
    pub async fn open(options: Options, world: World) -> Result<Self, Error> {
        let queue = Arc::new(Queue::new(options.queue));
        let stop = watch::Sender::new(false);
        let (opened, opening) = oneshot::channel();
        let writer = {
            let (options, queue, running, world) =
                (options.clone(), Arc::clone(&queue), stop.subscribe(), world.clone());
            move || {
                match &options.database {
                    Database::Sqlite(path) => {
                        let engine = Sqlite::writer(path, options.durability)
                            .and_then(|engine| engine.migrate(world.now_ms()).map(|()| engine));
                        drive(engine, &options, &world, &queue, opened);
                    }
                    Database::Postgres(url) => {
                        let engine = Postgres::connect(url, options.durability, &world)
                            .and_then(|engine| engine.migrate(world.now_ms()).map(|()| engine));
                        drive(engine, &options, &world, &queue, opened);
                    }
                }
                drop(running);
            }
        };
        world.executor.spawn_thread("store-writer", Box::new(writer));
        let frontier = opening.await.map_err(|_| Error::Closed)??;
        let readers = match &options.database {
            Database::Sqlite(path) => Readers::Sqlite(sqlite::Readers::new(path.clone(), options.readers)),
            Database::Postgres(url) => {
                let listener = {
                    let (url, world, frontier) = (url.clone(), world.clone(), Arc::clone(&frontier));
                    let running = stop.subscribe();
                    move || postgres::listen(&url, &frontier, &world, running)
                };
                world.executor.spawn_thread("store-listener", Box::new(listener));
                Readers::Postgres(postgres::Readers::start(url, options.readers, options.queue, &world, &stop))
            }
        };
        let (numbers, users, clock) = (Mutex::default(), users_no::Cache::new(), world.clock);
        Ok(Self(Arc::new(Inner { queue, frontier, readers, numbers, users, clock, stop })))
    }

    /// Runs a closure in a group of writes and answers once the group is committed. See the crate's documentation for what
    /// a write closure may do. When the caller goes away before the answer, the write happens all the same.
    pub async fn write<T, E>(&self, job: impl Fn(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (job, answer) = Write::new(job);
        self.0.queue.push(Box::new(job)).await?;
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Closed)))
    }

    /// Runs a closure on one snapshot. The snapshot holds everything up to [`Store::frontier`] as it was before the call.
    pub async fn read<T, E>(&self, job: impl FnOnce(&Read<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let clock = Arc::clone(&self.0.clock);
        let job = move |read: &Read<'_>| {
            let started = clock.monotonic();
            let result = job(read);
            let took = clock.monotonic().saturating_sub(started);
            if took > SLOW {
                tracing::warn!(milliseconds = took.as_millis(), "a read closure was slow");
            }
            result
        };
        match &self.0.readers {
            Readers::Sqlite(readers) => readers.read(job).await,
            Readers::Postgres(readers) => readers.read(job).await,
        }
    }

    /// The life of the log that tokens carry.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.0.frontier.generation()
    }

    /// The last position that is final on this node. Whoever has been answered finds their change at or before it.
    #[must_use]
    pub fn frontier(&self) -> Position {
        self.0.frontier.position()
    }

    /// Tells when the frontier moves.
    #[must_use]
    pub fn frontier_changes(&self) -> watch::Receiver<Position> {
        self.0.frontier.subscribe()
    }

    /// Follows the log after `from`.
    #[must_use]
    pub fn follow(&self, from: Position) -> Follower {
        Follower::new(Arc::clone(&self.0.frontier), from)
    }

    /// Whether `position` has been committed. Waits until this node has heard of it when another one was first.
    pub async fn reach(&self, position: Position) -> Result<bool, Error> {
        if self.frontier() >= position {
            return Ok(true);
        }
        if self.read(log::head).await?.0 < position {
            return Ok(false);
        }
        let mut changes = self.frontier_changes();
        Ok(changes.wait_for(|frontier| *frontier >= position).await.is_ok())
    }

    /// Takes `count` consecutive numbers and returns the first. They are never handed out again, used or not.
    pub async fn take_numbers(&self, sequence: Sequence, count: u32) -> Result<i64, Error> {
        let count = i64::from(count);
        if let Some(first) = self.numbers_at_hand(sequence, count) {
            return Ok(first);
        }
        let block = count.max(BLOCK);
        let name = sequence.as_str();
        let next: i64 = self
            .write(move |tx| {
                let next = tx.returning(NEXT_BLOCK, params![name, block], |row| row.get(0))?;
                match next.first() {
                    Some(next) => Ok(*next),
                    None if tx.execute(FIRST_BLOCK, params![name, block + 1])? == 1 => Ok(block + 1),
                    // Another node was quicker.
                    None => tx
                        .returning(NEXT_BLOCK, params![name, block], |row| row.get(0))?
                        .first()
                        .copied()
                        .ok_or(Error::Inconsistent("a sequence has vanished")),
                }
            })
            .await?;
        let first = next - block;
        let mut numbers = self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two blocks fetched at once the longer rest is kept.
        let rest = first + count..next;
        let kept = numbers.entry(sequence).or_insert(0..0);
        if rest.end - rest.start > kept.end - kept.start {
            *kept = rest;
        }
        Ok(first)
    }

    fn numbers_at_hand(&self, sequence: Sequence, count: i64) -> Option<i64> {
        let mut numbers = self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let block = numbers.get_mut(&sequence)?;
        if block.end - block.start < count {
            return None;
        }
        let first = block.start;
        block.start += count;
        Some(first)
    }

    pub(crate) fn users(&self) -> &users_no::Cache {
        &self.0.users
    }

    /// Finishes what is queued, refuses what comes later, and lets go of the database.
    pub async fn close(&self) {
        self.0.close();
        self.0.stop.closed().await;
    }
}

/// The writer's life, from the opened engine on.
fn drive<E: Engine>(
    engine: Result<E, Error>,
    options: &Options,
    world: &World,
    queue: &Queue<Box<dyn Job>>,
    opened: oneshot::Sender<Result<Arc<Frontier>, Error>>,
) {
    let opening = engine.and_then(|engine| first_frontier(&engine, options, world).map(|frontier| (engine, frontier)));
    let (engine, frontier) = match opening {
        Ok(ready) => ready,
        Err(error) => {
            drop(opened.send(Err(error)));
            return;
        }
    };
    if opened.send(Ok(Arc::clone(&frontier))).is_err() {
        return;
    }
    // However the writer ends, nobody waits for it in vain.
    let _end = End { queue, frontier: &frontier };
    Writer { engine: &engine, frontier: &frontier, world }.run(queue, options.group);
    engine.settle();
}

struct End<'a> {
    queue: &'a Queue<Box<dyn Job>>,
    frontier: &'a Frontier,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.queue.abandon();
        self.frontier.close();
    }
}

fn first_frontier(engine: &impl Engine, options: &Options, world: &World) -> Result<Arc<Frontier>, Error> {
    copy::refuse_unfinished(engine, "the database is an unfinished copy; run `roost db copy` again")?;
    let read = Read::new(engine);
    let (_, generation, _) = log::head(&read)?;
    if generation == Generation(0) {
        generation::leap(engine, generation, generation::next(generation, world), 0)?;
    } else if options.durability == Durability::Process {
        // A power cut may have taken positions that clients know of: those must not come again for other changes.
        generation::leap(engine, generation, generation, generation::LEAP)?;
    }
    let (position, generation, _) = log::head(&read)?;
    Ok(Arc::new(Frontier::new(position, generation, options.ring)))
}

#[cfg(test)]
mod tests;
