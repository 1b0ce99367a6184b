//! The store as the rest of the server sees it.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use roost_world::World;
use tokio::sync::{oneshot, watch};

use crate::{
    Database, Durability, Error, Follower, Generation, Options, Position, Read, Sequence, Tx,
    frontier::Frontier,
    log, params, sqlite, statements, users_no,
    writer::{Engine, Queue, Write, Writer},
};

statements! {
    BEGIN_GENERATION = "UPDATE log_head SET generation = $1, position = position + $2";
    LEAP_SEQUENCES = "UPDATE sequences SET next = next + $1";
    FIRST_BLOCK = "INSERT INTO sequences (name, next) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    NEXT_BLOCK = "UPDATE sequences SET next = next + $2 WHERE name = $1 RETURNING next";
}

/// How far positions and numbers leap when some may have been handed out that the database has forgotten.
const LEAP: i64 = 1 << 20;
/// Numbers that a node takes at once.
const BLOCK: i64 = 1024;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    frontier: Arc<Frontier>,
    readers: sqlite::Readers,
    numbers: Mutex<HashMap<Sequence, Range<i64>>>,
    users: users_no::Cache,
    ended: watch::Receiver<bool>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Store {
    /// Opens the database, brings its schema up to date and starts the writer.
    pub async fn open(options: Options, world: World) -> Result<Self, Error> {
        let Database::Sqlite(path) = options.database.clone() else {
            return Err(Error::Unusable("PostgreSQL is not supported yet".into()));
        };
        let (queue, readers) = (Arc::new(Queue::new(options.queue)), options.readers);
        let (opened, opening) = oneshot::channel();
        let (ending, ended) = watch::channel(false);
        let thread = {
            let (queue, world, path) = (Arc::clone(&queue), world.clone(), path.clone());
            move || {
                match start(&path, &options, &world) {
                    Ok((engine, frontier)) => {
                        drop(opened.send(Ok(Arc::clone(&frontier))));
                        Writer { engine: &engine, frontier: &frontier, world: &world }.run(&queue, options.group);
                        frontier.close();
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
                ending.send_replace(true);
            }
        };
        world.executor.spawn_thread("store-writer", Box::new(thread));
        let frontier = opening.await.map_err(|_| Error::Closed)??;
        Ok(Self(Arc::new(Inner {
            queue,
            frontier,
            readers: sqlite::Readers::new(path, readers),
            numbers: Mutex::default(),
            users: users_no::Cache::new(),
            ended,
        })))
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
        self.0.readers.read(job).await
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
        if self.read(|read| read.frontier()).await? < position {
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
        self.0.queue.close();
        let mut ended = self.0.ended.clone();
        // An error means that the thread is gone altogether.
        let _ = ended.wait_for(|ended| *ended).await;
        self.0.readers.close();
    }
}

fn start(path: &std::path::Path, options: &Options, world: &World) -> Result<(sqlite::Sqlite, Arc<Frontier>), Error> {
    let engine = sqlite::Sqlite::writer(path, options.durability)?;
    engine.migrate(world.now_ms())?;
    let read = Read::new(&engine);
    let (_, generation, _) = log::head(&read)?;
    if generation == Generation(0) {
        leap(&engine, next_generation(generation, world), 0)?;
    } else if options.durability == Durability::Process {
        // A power cut may have taken positions that clients know of: those must not come again for other changes.
        leap(&engine, generation, LEAP)?;
    }
    let (position, generation, _) = log::head(&read)?;
    let frontier = Arc::new(Frontier::new(position, generation, options.ring));
    Ok((engine, frontier))
}

/// The next life of the log. Its number comes from the clock, since two copies of one backup must not begin the same one.
fn next_generation(last: Generation, world: &World) -> Generation {
    let seconds = i64::try_from(world.now_ms() / 1000).unwrap_or(0);
    Generation(seconds.max(last.0 + 1))
}

fn leap(engine: &impl Engine, generation: Generation, by: i64) -> Result<(), Error> {
    engine.execute(BEGIN_GENERATION, params![generation, by])?;
    engine.execute(LEAP_SEQUENCES, params![by])?;
    Ok(())
}

#[cfg(test)]
mod tests;
