//! Who is reading which snapshot, in this process.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::Deref,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Snapshot, StateMaps};
use crate::SnapshotNo;

#[derive(Default)]
pub(super) struct Pins(Mutex<Known>);

#[derive(Default)]
struct Known {
    pinned: HashMap<SnapshotNo, u32>,
    /// About to be deleted: nobody can pin them any more.
    condemned: HashSet<SnapshotNo>,
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Condemns those that nobody has pinned, and answers which.
    pub(super) fn condemn(&self, snapshots: &HashSet<SnapshotNo>) -> HashSet<SnapshotNo> {
        let mut known = self.lock();
        let free: HashSet<_> = snapshots.iter().copied().filter(|no| !known.pinned.contains_key(no)).collect();
        known.condemned.extend(&free);
        free
    }

    /// Whatever became of them: they are deleted, or kept after all.
    pub(super) fn settle(&self, snapshots: &HashSet<SnapshotNo>) {
        self.lock().condemned.retain(|no| !snapshots.contains(no));
    }
}

/// Keeps a snapshot from being reclaimed.
pub(super) struct Pin {
    maps: StateMaps,
    no: SnapshotNo,
}

impl Pin {
    pub(super) fn new(maps: &StateMaps, no: SnapshotNo) -> Option<Self> {
        let mut known = maps.0.pins.lock();
        if known.condemned.contains(&no) {
            return None;
        }
        *known.pinned.entry(no).or_default() += 1;
        Some(Self { maps: maps.clone(), no })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut known = self.maps.0.pins.lock();
        if let Some(count) = known.pinned.get_mut(&self.no) {
            *count -= 1;
            if *count == 0 {
                known.pinned.remove(&self.no);
            }
        }
    }
}

/// A snapshot that is not reclaimed while this lives.
pub struct Pinned {
    snapshot: Snapshot,
    _pin: Pin,
}

impl Pinned {
    pub(super) fn new(snapshot: Snapshot, pin: Pin) -> Self {
        Self { snapshot, _pin: pin }
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot.fmt(f)
    }
}

impl Deref for Pinned {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}
