//! Room state as persistent maps.
//!
//! A snapshot maps the keys of a room's state to events. Snapshots share what they have in common: one more costs about what
//! it changes, one key is read without the rest, and two are compared for the price of their difference. How: a tree of
//! immutable blocks (`docs/decisions/0401-state-map.md`).
//!
//! # Reading
//!
//! [`StateMaps::snapshot`] finds a snapshot, [`get`](StateMaps::get),
//! [`get_many`](StateMaps::get_many), [`each`](StateMaps::each),
//! [`of_kind`](StateMaps::of_kind) and [`diff`](StateMaps::diff) read it, all inside a read closure. A [`Snapshot`] is good for the closure in
//! which it was found. Who needs one for longer takes it with [`StateMaps::pin`].
//!
//! # Writing
//!
//! Blocks are built outside of write closures: a [`Planner`] works on a read snapshot, [`Planner::finish`] numbers what it made, and
//! [`Plan::write`] only inserts rows. The closure that calls it must also write what refers to the snapshots (an event's row):
//! a snapshot that nothing refers to is garbage.
//!
//! # Reclaiming
//!
//! A [`Reclaimer`] deletes the snapshots that nothing refers to and the blocks that no snapshot needs any more. See there why
//! it never takes what somebody uses.

use std::{collections::BTreeMap, fmt, sync::Arc};

use roost_world::World;

use crate::{Error, EventNo, Read, RoomNo, Row, SnapshotNo, StateKeyNo, Store, params, statements};

mod block;
pub(crate) mod cache;
pub(crate) mod keys;
mod pins;
pub(crate) mod plan;
pub(crate) mod reclaim;
pub(crate) mod set_hash;
mod tree;
pub(crate) mod used;

pub use keys::{find as find_keys, names as key_names};
pub use pins::Pinned;
pub use plan::{Numbers, Plan, Planner};
pub use reclaim::{Live, Reclaimed, Reclaimer};

use block::Changes;
use cache::{Cache, Source};
use set_hash::SetHash;

statements! {
    SNAPSHOT = "SELECT snapshot_no, room_no, root, hash_low, hash_high, size, changes FROM state_snapshots WHERE room_no = $1 AND snapshot_no = $2";
    EQUAL = "SELECT snapshot_no, room_no, root, hash_low, hash_high, size, changes FROM state_snapshots WHERE room_no = $1 AND hash_low = $2 AND hash_high = $3 AND size = $4 ORDER BY snapshot_no LIMIT 1";
    KIND = "SELECT state_key_no, state_key FROM state_keys WHERE kind = $1 AND state_key_no IN ints($2)";
}

/// Keys that are asked about at once.
const BATCH: usize = 1000;

/// A room's state at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its number. One that a [`Planner`] has not finished yet has a negative one, for that planner only.
    pub no: SnapshotNo,
    /// Its room.
    pub room: RoomNo,
    /// How many keys are set.
    pub size: u64,
    root: i64,
    hash: u128,
    changes: Arc<Changes>,
}

impl Snapshot {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            no: row.get(0)?,
            room: row.get(1)?,
            root: row.get(2)?,
            hash: set_hash::join(row.get(3)?, row.get(4)?),
            size: row.get(5)?,
            changes: Arc::new(block::decode_changes(row.bytes(6)?)?),
        })
    }

    /// Its own word on a key: `None` when its blocks have to be asked.
    #[expect(clippy::option_option, reason = "it may say nothing, that the key is not set, or what it is")]
    fn changed(&self, key: i64) -> Option<Option<i64>> {
        let at = self.changes.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.changes.get(at).map(|(_, value)| *value)
    }
}

/// A key whose event differs between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: StateKeyNo,
    /// Its event in the first.
    pub left: Option<EventNo>,
    /// Its event in the second.
    pub right: Option<EventNo>,
}

/// The state maps of a store: cached blocks and keys, and who is reading. One for each open store; cheap to clone.
#[derive(Clone)]
pub struct StateMaps(Arc<Inner>);

struct Inner {
    store: Store,
    blocks: Cache,
    keys: keys::Cache,
    hash: SetHash,
    pins: pins::Pins,
}

impl fmt::Debug for StateMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateMaps")
    }
}

impl StateMaps {
    /// Opens the maps of a store, with at most so many bytes of cached blocks.
    pub async fn open(store: &Store, world: &World, cache_bytes: u64) -> Result<Self, Error> {
        let hash = SetHash::open(store, world).await?;
        let (blocks, keys, pins) = (Cache::new(cache_bytes), keys::Cache::new(), pins::Pins::default());
        Ok(Self(Arc::new(Inner { store: store.clone(), blocks, keys, hash, pins })))
    }

    /// The bytes that cached blocks take, about.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.0.blocks.bytes()
    }

    fn source<'a>(&'a self, read: &'a Read<'a>, room: RoomNo) -> Source<'a> {
        Source::new(read, room, &self.0.blocks)
    }

    /// A snapshot of a room.
    pub fn snapshot(&self, read: &Read<'_>, room: RoomNo, no: SnapshotNo) -> Result<Option<Snapshot>, Error> {
        read.one(SNAPSHOT, params![room, no], Snapshot::from_row)
    }

    /// One key.
    pub fn get(&self, read: &Read<'_>, snapshot: &Snapshot, key: StateKeyNo) -> Result<Option<EventNo>, Error> {
        Ok(self.get_many(read, snapshot, &[key])?.into_iter().next().flatten())
    }

    /// Some keys: their events, in the order of the keys.
    pub fn get_many(
        &self,
        read: &Read<'_>,
        snapshot: &Snapshot,
        keys: &[StateKeyNo],
    ) -> Result<Vec<Option<EventNo>>, Error> {
        let numbers: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let found = values(&self.source(read, snapshot.room), snapshot, &numbers)?;
        Ok(numbers.iter().map(|key| found.get(key).copied().flatten().map(EventNo)).collect())
    }

    /// Shows every key with its event, in the order of the keys' numbers, until `each` answers `false`. Holds a few
    /// blocks at a time.
    pub fn each(
        &self,
        read: &Read<'_>,
        snapshot: &Snapshot,
        each: impl FnMut(StateKeyNo, EventNo) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        walk(&self.source(read, snapshot.room), snapshot, each)
    }

    /// Every key with its event, in the order of the keys' numbers.
    pub fn all(&self, read: &Read<'_>, snapshot: &Snapshot) -> Result<Vec<(StateKeyNo, EventNo)>, Error> {
        let mut all = Vec::new();
        self.each(read, snapshot, |key, event| {
            all.push((key, event));
            Ok(true)
        })?;
        Ok(all)
    }

    /// The state keys of one event type with their events, in no order.
    pub fn of_kind(&self, read: &Read<'_>, snapshot: &Snapshot, kind: &str) -> Result<Vec<(String, EventNo)>, Error> {
        let (mut found, mut batch) = (Vec::new(), BTreeMap::new());
        let ask = |batch: &mut BTreeMap<i64, EventNo>, found: &mut Vec<_>| {
            let numbers: Vec<i64> = batch.keys().copied().collect();
            read.each(KIND, params![kind, &numbers], |row| {
                if let Some(event) = batch.get(&row.get(0)?) {
                    found.push((row.get(1)?, *event));
                }
                Ok(true)
            })?;
            batch.clear();
            Ok::<_, Error>(())
        };
        self.each(read, snapshot, |key, event| {
            batch.insert(key.0, event);
            if batch.len() == BATCH {
                ask(&mut batch, &mut found)?;
            }
            Ok(true)
        })?;
        ask(&mut batch, &mut found)?;
        Ok(found)
    }

    /// The keys whose events differ between two snapshots of a room, in the order of their numbers. What two snapshots share
    /// costs nothing, so it is cheap when one came from the other, or both from a third.
    pub fn diff(&self, read: &Read<'_>, left: &Snapshot, right: &Snapshot) -> Result<Vec<Difference>, Error> {
        differences(&self.source(read, left.room), left, right)
    }

    /// Begins to plan snapshots of a room.
    #[must_use]
    pub fn planner(&self, room: RoomNo) -> Planner {
        Planner::new(self.clone(), room)
    }

    /// Takes a snapshot for longer than one closure: until the answer is dropped it is not reclaimed by this process, and another
    /// node's reclaimer leaves it alone for as long as something refers to it, and one round more. `None` when there is none.
    pub async fn pin(&self, room: RoomNo, no: SnapshotNo) -> Result<Option<Pinned>, Error> {
        let Some(pin) = pins::Pin::new(self, no) else { return Ok(None) };
        let maps = self.clone();
        let found = self.0.store.read(move |read| maps.snapshot(read, room, no)).await?;
        Ok(found.map(|snapshot| Pinned::new(snapshot, pin)))
    }
}

/// Shows every key with its event, in the order of the keys' numbers, until `each` answers `false`.
fn walk(
    blocks: &impl tree::Blocks,
    snapshot: &Snapshot,
    mut each: impl FnMut(StateKeyNo, EventNo) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut own = snapshot.changes.iter().copied().peekable();
    let mut more = true;
    tree::walk(blocks, snapshot.root, &mut |items| {
        for (key, value) in items {
            while let Some((before, changed)) = own.next_if(|(own, _)| own < key) {
                if let Some(changed) = changed {
                    more = more && each(StateKeyNo(before), EventNo(changed))?;
                }
            }
            let value = own.next_if(|(own, _)| own == key).map_or(Some(*value), |(_, changed)| changed);
            if let Some(value) = value {
                more = more && each(StateKeyNo(*key), EventNo(value))?;
            }
            if !more {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    for (key, value) in own {
        let Some(value) = value else { continue };
        more = more && each(StateKeyNo(key), EventNo(value))?;
    }
    Ok(())
}

/// A snapshot with the same pairs, by their hash.
fn find_equal(read: &Read<'_>, room: RoomNo, hash: u128, size: u64) -> Result<Option<Snapshot>, Error> {
    let (low, high) = set_hash::split(hash);
    read.one(EQUAL, params![room, low, high, size], Snapshot::from_row)
}

/// The values of some keys, in any order.
fn values(blocks: &impl tree::Blocks, snapshot: &Snapshot, keys: &[i64]) -> Result<BTreeMap<i64, Option<i64>>, Error> {
    let mut found: BTreeMap<i64, Option<i64>> =
        keys.iter().filter_map(|key| Some((*key, snapshot.changed(*key)?))).collect();
    let mut rest: Vec<i64> = keys.iter().copied().filter(|key| !found.contains_key(key)).collect();
    rest.sort_unstable();
    rest.dedup();
    let beneath = tree::get(blocks, snapshot.root, &rest)?;
    found.extend(rest.into_iter().zip(beneath));
    Ok(found)
}

/// The keys whose events differ, in the order of their numbers.
fn differences(blocks: &impl tree::Blocks, left: &Snapshot, right: &Snapshot) -> Result<Vec<Difference>, Error> {
    if left.room != right.room {
        return Err(Error::Inconsistent("snapshots of different rooms are compared"));
    }
    let mut values: BTreeMap<i64, (Option<i64>, Option<i64>)> =
        tree::diff(blocks, left.root, right.root)?.into_iter().map(|(key, left, right)| (key, (left, right))).collect();
    // Where the blocks agree, the snapshots' own changes may not.
    let own = left.changes.iter().chain(right.changes.iter()).map(|(key, _)| *key);
    let mut own: Vec<i64> = own.filter(|key| !values.contains_key(key)).collect();
    own.sort_unstable();
    own.dedup();
    let beneath = tree::get(blocks, left.root, &own)?;
    values.extend(own.into_iter().zip(beneath.into_iter().map(|value| (value, value))));
    let changed = values.into_iter().map(|(key, (beneath_left, beneath_right))| Difference {
        key: StateKeyNo(key),
        left: left.changed(key).unwrap_or(beneath_left).map(EventNo),
        right: right.changed(key).unwrap_or(beneath_right).map(EventNo),
    });
    Ok(changed.filter(|difference| difference.left != difference.right).collect())
}

#[cfg(test)]
mod tests;
