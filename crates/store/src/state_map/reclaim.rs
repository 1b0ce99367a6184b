//! Deleting snapshots that nothing refers to, and blocks that no snapshot needs any more.
//!
//! Why nothing is taken that somebody uses:
//!
//! * Everybody who adds snapshots to a room ([`Plan::write`](super::Plan::write)), and the sweep, first take the lock of the room's row. Under it
//!   the sweep asks again what is referred to and which snapshots have come since it looked, and spares what those need. Whoever
//!   comes later finds that a snapshot that they build upon, or found to be equal, is gone, and plans again.
//! * A snapshot that nothing refers to is spared in the first round that sees it so, the epoch. One that is taken up again
//!   meanwhile is spared by the question above.
//! * What is pinned in this process is spared. Once the sweep has chosen, it can not be pinned any more.
//! * Readers see one state of the database in each closure, in which a snapshot is there with all its blocks.
//! * Blocks go after the snapshots, in a transaction of their own: no snapshot has them, so no plan can come to share them.
//!   An interruption in between leaves blocks that a later sweep of the room deletes.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use roost_world::{Stop, World};

use super::{
    StateMaps, plan,
    tree::{Blocks, NOTHING},
};
use crate::{Error, Read, RoomNo, SnapshotNo, params, statements};

statements! {
    NEXT_ROOM = "SELECT MIN(room_no) FROM state_snapshots WHERE room_no > $1";
    SNAPSHOTS = "SELECT snapshot_no, root FROM state_snapshots WHERE room_no = $1";
    BLOCKS = "SELECT block_no FROM state_blocks WHERE room_no = $1";
    DELETE_SNAPSHOTS = "DELETE FROM state_snapshots WHERE room_no = $1 AND snapshot_no IN ints($2)";
    DELETE_BLOCKS = "DELETE FROM state_blocks WHERE room_no = $1 AND block_no IN ints($2)";
}

/// Blocks that are deleted in one transaction.
const BATCH: usize = 500;

/// Which snapshots of a room something refers to. Asked on a read snapshot, and again inside the transaction that deletes.
pub type Live = Arc<dyn Fn(&Read<'_>, RoomNo) -> Result<HashSet<SnapshotNo>, Error> + Send + Sync>;

/// What a round has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Snapshots.
    pub snapshots: u64,
    /// Blocks.
    pub blocks: u64,
}

/// Reclaims what is no longer used, room by room.
pub struct Reclaimer {
    maps: StateMaps,
    live: Live,
    /// What nothing referred to in the last round.
    idle: HashMap<RoomNo, HashSet<SnapshotNo>>,
}

impl fmt::Debug for Reclaimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reclaimer")
    }
}

/// What a room has that nobody needs, as of one state of the database.
struct Found {
    snapshots: HashSet<SnapshotNo>,
    kept: HashSet<i64>,
    garbage: HashSet<i64>,
}

fn roots(read: &Read<'_>, room: RoomNo) -> Result<HashMap<SnapshotNo, i64>, Error> {
    Ok(read.all(SNAPSHOTS, params![room], |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}

/// Takes everything that hangs under `roots` out of `garbage`. What is in `kept` is known to need no garbage.
fn spare(
    blocks: &impl Blocks,
    roots: impl IntoIterator<Item = i64>,
    kept: &mut HashSet<i64>,
    garbage: &mut HashSet<i64>,
) -> Result<(), Error> {
    let mut open: Vec<i64> = roots.into_iter().filter(|root| *root != NOTHING).collect();
    while let Some(number) = open.pop() {
        if !kept.insert(number) {
            continue;
        }
        garbage.remove(&number);
        for block in blocks.load(&[number])? {
            match block.level {
                0 => {}
                // Leaves need not be looked at.
                1 => {
                    for (_, leaf) in &block.items {
                        kept.insert(*leaf);
                        garbage.remove(leaf);
                    }
                }
                _ => open.extend(block.items.iter().map(|(_, child)| *child)),
            }
        }
    }
    Ok(())
}

impl Reclaimer {
    /// Has not seen anything yet, so the first round only looks.
    #[must_use]
    pub fn new(maps: StateMaps, live: Live) -> Self {
        Self { maps, live, idle: HashMap::new() }
    }

    /// Goes over all rooms every so often, until it is told to stop. Start it as a worker.
    pub async fn run(mut self, world: World, every: Duration, mut stop: Stop) {
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => return,
                () = world.clock.sleep(every) => {}
            }
            if let Err(error) = self.round(&stop).await {
                tracing::warn!(%error, "room state could not be reclaimed");
            }
        }
    }

    /// Goes over all rooms once, or until it is told to stop.
    pub async fn round(&mut self, stop: &Stop) -> Result<Reclaimed, Error> {
        let (mut sum, mut last) = (Reclaimed::default(), i64::MIN);
        let mut rooms = HashSet::new();
        while !stop.is_set() {
            let next = self.maps.0.store.read(move |read| read.one(NEXT_ROOM, params![last], |row| row.get(0))).await?;
            let Some(room) = next.flatten() else { break };
            last = room;
            rooms.insert(RoomNo(room));
            let found = self.room(RoomNo(room)).await?;
            sum.snapshots += found.snapshots;
            sum.blocks += found.blocks;
        }
        // Rooms that are gone, or, when stopped, not reached: those are looked at anew.
        self.idle.retain(|room, _| rooms.contains(room));
        Ok(sum)
    }

    /// One round of one room.
    pub async fn room(&mut self, room: RoomNo) -> Result<Reclaimed, Error> {
        let store = self.maps.0.store.clone();
        let live = Arc::clone(&self.live);
        let idle: HashSet<SnapshotNo> = store
            .read(move |read| {
                let live = live(read, room)?;
                Ok::<_, Error>(roots(read, room)?.into_keys().filter(|no| !live.contains(no)).collect())
            })
            .await?;
        let before = self.idle.remove(&room).unwrap_or_default();
        let chosen: HashSet<SnapshotNo> = idle.intersection(&before).copied().collect();
        if !idle.is_empty() {
            self.idle.insert(room, idle);
        }
        if chosen.is_empty() {
            return Ok(Reclaimed::default());
        }
        let chosen = self.maps.0.pins.condemn(&chosen);
        let result = self.sweep(room, chosen.clone()).await;
        self.maps.0.pins.settle(&chosen);
        let done = result?;
        metrics::counter!("roost_state_reclaimed_snapshots_total").increment(done.snapshots);
        metrics::counter!("roost_state_reclaimed_blocks_total").increment(done.blocks);
        Ok(done)
    }

    async fn sweep(&self, room: RoomNo, chosen: HashSet<SnapshotNo>) -> Result<Reclaimed, Error> {
        let (store, maps) = (&self.maps.0.store, self.maps.clone());
        let found = store
            .read(move |read| {
                let all = roots(read, room)?;
                let mut garbage: HashSet<i64> =
                    read.all(BLOCKS, params![room], |row| row.get(0))?.into_iter().collect();
                let mut kept = HashSet::new();
                let needed = all.iter().filter(|(no, _)| !chosen.contains(no)).map(|(_, root)| *root);
                spare(&maps.source(read, room).passing(), needed, &mut kept, &mut garbage)?;
                let snapshots = all.into_keys().collect();
                Ok::<_, Error>((Found { snapshots, kept, garbage }, chosen))
            })
            .await?;
        let (maps, live) = (self.maps.clone(), Arc::clone(&self.live));
        let (snapshots, garbage) = store
            .write(move |tx| {
                let (found, chosen) = &found;
                plan::lock(tx, room)?;
                let live = live(tx, room)?;
                let dead: Vec<SnapshotNo> = chosen.difference(&live).copied().collect();
                let now = roots(tx, room)?;
                let needed = now
                    .iter()
                    .filter(|(no, _)| !found.snapshots.contains(no) || chosen.contains(no) && live.contains(no))
                    .map(|(_, root)| *root);
                let (mut kept, mut garbage) = (found.kept.clone(), found.garbage.clone());
                spare(&maps.source(tx, room).passing(), needed, &mut kept, &mut garbage)?;
                let deleted = tx.execute(DELETE_SNAPSHOTS, params![room, &dead])?;
                Ok::<_, Error>((deleted, garbage))
            })
            .await?;
        let mut garbage: Vec<i64> = garbage.into_iter().collect();
        garbage.sort_unstable();
        let mut blocks = 0;
        for batch in garbage.chunks(BATCH) {
            let batch = batch.to_vec();
            blocks += store.write(move |tx| tx.execute(DELETE_BLOCKS, params![room, &batch])).await?;
        }
        Ok(Reclaimed { snapshots, blocks })
    }
}
