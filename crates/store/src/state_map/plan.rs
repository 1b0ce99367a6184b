//! Making snapshots: worked out on a read snapshot, numbered, and written as rows.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Difference, Snapshot, StateMaps,
    block::{self, Block},
    cache::Source,
    differences, find_equal, set_hash,
    tree::{self, Blocks, Draft, NOTHING},
    values, walk,
};
use crate::{
    Error, EventNo, Read, RoomNo, Sequence, SnapshotNo, StateKeyNo, Store, Tx, params, statements, values as row,
};

statements! {
    LOCK = "UPDATE rooms SET revision = revision WHERE room_no = $1";
    EXISTING = "SELECT snapshot_no FROM state_snapshots WHERE room_no = $1 AND snapshot_no IN ints($2)";
    BLOCK = "INSERT INTO state_blocks (room_no, block_no, body) VALUES ($1, $2, $3)";
    INSERT = "INSERT INTO state_snapshots (room_no, snapshot_no, root, hash_low, hash_high, size, changes) VALUES ($1, $2, $3, $4, $5, $6, $7)";
}

/// So many changes a snapshot keeps to itself before its blocks are rewritten: they then share the upper blocks.
const OWN: usize = 8;

/// Holds the room still until the end of the transaction, whoever else adds or reclaims snapshots of it.
pub(super) fn lock(tx: &Tx<'_>, room: RoomNo) -> Result<bool, Error> {
    Ok(tx.execute(LOCK, params![room])? == 1)
}

/// Works out new snapshots of a room, each from one that exists or that it has made itself.
#[derive(Debug)]
pub struct Planner {
    maps: StateMaps,
    room: RoomNo,
    /// New blocks: the first has the number -1, the next -2, …
    blocks: Vec<Arc<Block>>,
    /// New snapshots, numbered likewise.
    snapshots: Vec<Snapshot>,
    /// Blocks that were looked at, and those of plans that are not committed yet.
    known: RefCell<HashMap<i64, Arc<Block>>>,
    /// Committed snapshots that the new ones build upon or that were found instead.
    used: BTreeSet<SnapshotNo>,
}

/// The number of the new thing at an index, and back.
fn provisional(index: usize) -> i64 {
    -1 - i64::try_from(index).unwrap_or(i64::MAX - 1)
}

fn index(number: i64) -> Option<usize> {
    usize::try_from(-1 - number).ok()
}

struct Work<'a> {
    source: Source<'a>,
    blocks: &'a mut Vec<Arc<Block>>,
    known: &'a RefCell<HashMap<i64, Arc<Block>>>,
}

impl Blocks for Work<'_> {
    fn load(&self, numbers: &[i64]) -> Result<Vec<Arc<Block>>, Error> {
        let mut known = self.known.borrow_mut();
        let mut missing: Vec<i64> =
            numbers.iter().copied().filter(|number| *number > 0 && !known.contains_key(number)).collect();
        missing.sort_unstable();
        missing.dedup();
        let loaded = self.source.load(&missing)?;
        known.extend(missing.into_iter().zip(loaded));
        let block = |number: &i64| match index(*number) {
            Some(index) => self.blocks.get(index).cloned(),
            None => known.get(number).cloned(),
        };
        numbers.iter().map(block).collect::<Option<_>>().ok_or(Error::Inconsistent("a block of a plan is missing"))
    }
}

impl Draft for Work<'_> {
    fn add(&mut self, block: Block) -> i64 {
        self.blocks.push(Arc::new(block));
        provisional(self.blocks.len() - 1)
    }
}

impl Planner {
    pub(super) fn new(maps: StateMaps, room: RoomNo) -> Self {
        Self { maps, room, blocks: Vec::new(), snapshots: Vec::new(), known: RefCell::default(), used: BTreeSet::new() }
    }

    /// Lets it build upon the snapshots of a plan that may not be committed yet. It has to be by the time that this one is.
    pub fn build_upon(&mut self, plan: &Plan) {
        self.known.get_mut().extend(plan.blocks.iter().map(|(number, block)| (*number, Arc::clone(block))));
    }

    /// The snapshot after some changes of another one, or of no state at all; `None` removes a key, and of several changes of one key the last
    /// counts. When the room has a snapshot with just these pairs, that one.
    pub fn apply(
        &mut self,
        read: &Read<'_>,
        base: Option<&Snapshot>,
        changes: &[(StateKeyNo, Option<EventNo>)],
    ) -> Result<Snapshot, Error> {
        let base = match base {
            Some(base) if base.room == self.room => base.clone(),
            Some(_) => return Err(Error::Inconsistent("a snapshot of another room is built upon")),
            None => self.empty(),
        };
        let changes: BTreeMap<i64, Option<i64>> =
            changes.iter().map(|(key, event)| (key.0, event.map(|event| event.0))).collect();
        let mut work = Work { source: self.maps.source(read, self.room), blocks: &mut self.blocks, known: &self.known };
        let old = values(&work, &base, &changes.keys().copied().collect::<Vec<_>>())?;
        let (mut hash, mut size, mut own) = (base.hash, base.size, BTreeMap::new());
        for (key, new) in &changes {
            let old = old.get(key).copied().flatten();
            if old == *new {
                continue;
            }
            hash = self.maps.0.hash.change(hash, *key, old, *new);
            size = size + u64::from(new.is_some()) - u64::from(old.is_some());
            own.insert(*key, *new);
        }
        if own.is_empty() && base.no.0 != NOTHING {
            self.found(&base);
            return Ok(base);
        }
        let same = |known: &&Snapshot| known.hash == hash && known.size == size;
        if let Some(known) = self.snapshots.iter().find(same) {
            return Ok(known.clone());
        }
        if let Some(known) = find_equal(read, self.room, hash, size)? {
            self.found(&known);
            return Ok(known);
        }
        for (key, value) in base.changes.iter() {
            own.entry(*key).or_insert(*value);
        }
        let mut own: block::Changes = own.into_iter().collect();
        let mut root = base.root;
        if own.len() > OWN {
            root = tree::edit(&mut work, root, &own)?;
            own.clear();
        }
        self.found(&base);
        let no = SnapshotNo(provisional(self.snapshots.len()));
        let snapshot = Snapshot { no, room: self.room, size, root, hash, changes: Arc::new(own) };
        self.snapshots.push(snapshot.clone());
        Ok(snapshot)
    }

    /// Some keys of a snapshot, one of its own or another: their events, in the order of the keys.
    pub fn get_many(
        &mut self,
        read: &Read<'_>,
        snapshot: &Snapshot,
        keys: &[StateKeyNo],
    ) -> Result<Vec<Option<EventNo>>, Error> {
        let work = Work { source: self.maps.source(read, self.room), blocks: &mut self.blocks, known: &self.known };
        let numbers: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let found = values(&work, snapshot, &numbers)?;
        Ok(numbers.iter().map(|key| found.get(key).copied().flatten().map(EventNo)).collect())
    }

    /// The keys whose events differ between two snapshots, its own ones or others, in the order of their numbers.
    pub fn diff(&mut self, read: &Read<'_>, left: &Snapshot, right: &Snapshot) -> Result<Vec<Difference>, Error> {
        let work = Work { source: self.maps.source(read, self.room), blocks: &mut self.blocks, known: &self.known };
        differences(&work, left, right)
    }

    /// Every key of a snapshot with its event, one of its own or another.
    pub fn all(&mut self, read: &Read<'_>, snapshot: &Snapshot) -> Result<Vec<(StateKeyNo, EventNo)>, Error> {
        let work = Work { source: self.maps.source(read, self.room), blocks: &mut self.blocks, known: &self.known };
        let mut all = Vec::new();
        walk(&work, snapshot, |key, event| {
            all.push((key, event));
            Ok(true)
        })?;
        Ok(all)
    }

    /// The snapshot of no state at all, from which others can be made.
    #[must_use]
    pub fn empty(&self) -> Snapshot {
        let (no, changes) = (SnapshotNo(NOTHING), Arc::default());
        Snapshot { no, room: self.room, size: 0, root: NOTHING, hash: 0, changes }
    }

    fn found(&mut self, snapshot: &Snapshot) {
        if snapshot.no.0 > 0 {
            self.used.insert(snapshot.no);
        }
    }

    /// Gives what it has made its numbers.
    pub async fn finish(self) -> Result<Plan, Error> {
        let (blocks, snapshots) = (self.wanted()?.len(), self.snapshots.len());
        let numbers = Numbers::take(&self.maps.0.store, blocks, snapshots).await?;
        self.finish_with(numbers)
    }

    /// The same with numbers that were taken before, in a closure for one.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] when they do not suffice.
    pub fn finish_with(self, numbers: Numbers) -> Result<Plan, Error> {
        let missing = Error::Inconsistent("a block of a plan is missing");
        let wanted = self.wanted()?;
        if numbers.blocks < wanted.len() || numbers.snapshots < self.snapshots.len() {
            return Err(Error::Inconsistent("a plan has too few numbers"));
        }
        let given: HashMap<i64, i64> = wanted.iter().map(|at| provisional(*at)).zip(numbers.first_block..).collect();
        let number = |old: i64| given.get(&old).copied().unwrap_or(old);
        let mut blocks = Vec::with_capacity(wanted.len());
        for at in &wanted {
            let mut block = Block::clone(self.blocks.get(*at).ok_or_else(|| missing.clone())?);
            if block.level > 0 {
                for (_, child) in &mut block.items {
                    *child = number(*child);
                }
            }
            let block = (number(provisional(*at)), Arc::new(block));
            self.maps.0.blocks.keep(block.0, &block.1);
            blocks.push(block);
        }
        let mut snapshots = self.snapshots;
        for (snapshot, no) in snapshots.iter_mut().zip(numbers.first_snapshot..) {
            snapshot.no = SnapshotNo(no);
            snapshot.root = number(snapshot.root);
        }
        Ok(Plan { room: self.room, blocks, snapshots, used: self.used.into_iter().collect() })
    }

    /// The blocks that its snapshots need; those that only an intermediate step had are left out.
    fn wanted(&self) -> Result<BTreeSet<usize>, Error> {
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<usize> = self.snapshots.iter().filter_map(|snapshot| index(snapshot.root)).collect();
        while let Some(at) = open.pop() {
            let block = self.blocks.get(at).ok_or(Error::Inconsistent("a block of a plan is missing"))?;
            if wanted.insert(at) && block.level > 0 {
                open.extend(block.items.iter().filter_map(|(_, child)| index(*child)));
            }
        }
        Ok(wanted)
    }
}

/// Numbers for the blocks and snapshots of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    first_block: i64,
    blocks: usize,
    first_snapshot: i64,
    snapshots: usize,
}

impl Numbers {
    /// Takes so many.
    pub async fn take(store: &Store, blocks: usize, snapshots: usize) -> Result<Self, Error> {
        let take = async |sequence: Sequence, count: usize| match u32::try_from(count) {
            Ok(0) => Ok(0),
            Ok(count) => store.take_numbers(sequence, count).await,
            Err(_) => Err(Error::Inconsistent("a plan is too large")),
        };
        let first_block = take(Sequence::StateBlock, blocks).await?;
        let first_snapshot = take(Sequence::Snapshot, snapshots).await?;
        Ok(Self { first_block, blocks, first_snapshot, snapshots })
    }
}

/// New snapshots, ready to be written.
#[derive(Debug)]
pub struct Plan {
    room: RoomNo,
    blocks: Vec<(i64, Arc<Block>)>,
    snapshots: Vec<Snapshot>,
    used: Vec<SnapshotNo>,
}

impl Plan {
    /// A snapshot that the planner answered, with its final number.
    #[must_use]
    pub fn snapshot(&self, planned: &Snapshot) -> Snapshot {
        index(planned.no.0).and_then(|at| self.snapshots.get(at)).unwrap_or(planned).clone()
    }

    /// Writes the new rows. The room must have its row in `rooms`, and what refers to the snapshots, also to those that
    /// the planner found, must be written in the same closure.
    ///
    /// # Errors
    /// [`Error::Gone`] when a snapshot that this one builds upon has been reclaimed meanwhile: plan again.
    pub fn write(&self, tx: &Tx<'_>) -> Result<(), Error> {
        if self.blocks.is_empty() && self.snapshots.is_empty() && self.used.is_empty() {
            return Ok(());
        }
        // The lock comes first: what is there once it is held stays there.
        if !lock(tx, self.room)? {
            return Err(Error::Inconsistent("a state snapshot of a room that does not exist"));
        }
        let there = tx.all(EXISTING, params![self.room, &self.used], |row| row.get::<SnapshotNo>(0))?;
        if there.len() != self.used.len() {
            return Err(Error::Gone);
        }
        let blocks: Vec<(i64, Vec<u8>)> = self.blocks.iter().map(|(number, block)| (*number, block.encode())).collect();
        let rows: Vec<_> = blocks.iter().map(|(number, body)| row![self.room, *number, body]).collect();
        tx.execute_many(BLOCK, &rows)?;
        let changes: Vec<Vec<u8>> =
            self.snapshots.iter().map(|snapshot| block::encode_changes(&snapshot.changes)).collect();
        let rows: Vec<_> = self
            .snapshots
            .iter()
            .zip(&changes)
            .map(|(snapshot, changes)| {
                let (low, high) = set_hash::split(snapshot.hash);
                row![self.room, snapshot.no, snapshot.root, low, high, snapshot.size, changes]
            })
            .collect();
        tx.execute_many(INSERT, &rows)?;
        Ok(())
    }
}
