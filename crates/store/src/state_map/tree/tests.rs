use std::{cell::Cell, collections::HashMap};

use proptest::prelude::*;

use super::*;
use crate::state_map::block::{LARGEST, SMALLEST};

/// Blocks in memory, counted when they are looked at.
#[derive(Default)]
struct Memory {
    blocks: HashMap<i64, Arc<Block>>,
    loads: Cell<usize>,
}

impl Blocks for Memory {
    fn load(&self, numbers: &[i64]) -> Result<Vec<Arc<Block>>, Error> {
        self.loads.set(self.loads.get() + numbers.len());
        numbers.iter().map(|number| self.blocks.get(number).cloned().ok_or(BROKEN)).collect()
    }
}

impl Draft for Memory {
    fn add(&mut self, block: Block) -> i64 {
        let number = i64::try_from(self.blocks.len()).unwrap() + 1;
        self.blocks.insert(number, Arc::new(block));
        number
    }
}

impl Memory {
    fn build(&mut self, map: &BTreeMap<i64, i64>) -> i64 {
        let changes: Vec<_> = map.iter().map(|(key, value)| (*key, Some(*value))).collect();
        edit(self, NOTHING, &changes).unwrap()
    }

    fn all(&self, root: i64) -> Vec<(i64, i64)> {
        let mut all = Vec::new();
        walk(self, root, &mut |items| {
            all.extend_from_slice(items);
            Ok(true)
        })
        .unwrap();
        all
    }

    /// The shape: each block's level and keys, in order.
    fn shape(&self, root: i64) -> Vec<(u8, Vec<i64>)> {
        if root == NOTHING {
            return Vec::new();
        }
        let block = &self.blocks[&root];
        let mut shape = vec![(block.level, block.items.iter().map(|(key, _)| *key).collect())];
        if block.level > 0 {
            shape.extend(block.items.iter().flat_map(|(_, child)| self.shape(*child)));
        }
        shape
    }
}

fn compare(left: &BTreeMap<i64, i64>, right: &BTreeMap<i64, i64>) -> Vec<Difference> {
    let keys: std::collections::BTreeSet<i64> = left.keys().chain(right.keys()).copied().collect();
    let values = keys.into_iter().map(|key| (key, left.get(&key).copied(), right.get(&key).copied()));
    values.filter(|(_, left, right)| left != right).collect()
}

/// Changes in few and in many places, in ranges, at the ends, and removals of stretches.
fn rounds() -> impl Strategy<Value = Vec<BTreeMap<i64, Option<i64>>>> {
    let scattered = prop::collection::btree_map(0..6000_i64, prop::option::weighted(0.7, 1..1000_i64), 1..200);
    let stretch = (0..6000_i64, 1..3000_i64, prop::option::weighted(0.6, 1..1000_i64))
        .prop_map(|(from, len, value)| (from..from + len).map(|key| (key, value)).collect());
    let few = prop::collection::btree_map(-50..9000_i64, prop::option::weighted(0.5, 1..1000_i64), 1..4);
    prop::collection::vec(prop_oneof![2 => scattered, 2 => stretch, 3 => few], 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 2000 }))]

    #[test]
    fn it_holds_what_a_plain_map_holds_in_the_same_shape_however_it_came_about(rounds in rounds()) {
        let (mut memory, mut root, mut map) = (Memory::default(), NOTHING, BTreeMap::new());
        for changes in rounds {
            let (before, old) = (root, map.clone());
            for (key, value) in &changes {
                match value {
                    Some(value) => { map.insert(*key, *value); }
                    None => { map.remove(key); }
                }
            }
            root = edit(&mut memory, before, &changes.clone().into_iter().collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(memory.all(root), map.clone().into_iter().collect::<Vec<_>>());
            let keys: Vec<i64> = (-60..60).chain((60..9100).step_by(7)).chain(changes.keys().copied().filter(|key| *key > 9100)).collect();
            prop_assert_eq!(get(&memory, root, &keys).unwrap(), keys.iter().map(|key| map.get(key).copied()).collect::<Vec<_>>());
            prop_assert_eq!(diff(&memory, before, root).unwrap(), compare(&old, &map));
            prop_assert_eq!(diff(&memory, root, before).unwrap(), compare(&map, &old));
            prop_assert_eq!(memory.all(before), old.clone().into_iter().collect::<Vec<_>>());
            // Built from nothing, and back to the old map: the same blocks.
            let again = memory.build(&map);
            prop_assert_eq!(memory.shape(again), memory.shape(root));
            let back: Vec<_> = compare(&map, &old).into_iter().map(|(key, _, value)| (key, value)).collect();
            let back = edit(&mut memory, root, &back).unwrap();
            prop_assert_eq!(memory.shape(back), memory.shape(before));
        }
    }
}

/// Some keys begin a block after fewer than the most items: the old root is then one of the new blocks, as it was.
#[test]
fn a_tree_grows_above_a_root_that_stays_as_it_was() {
    let mut kept = 0;
    for key in 1000..1500 {
        let mut memory = Memory::default();
        let small = memory.build(&BTreeMap::from([(key, 7)]));
        let more: Vec<_> = (0..).take(SMALLEST).map(|key| (key, Some(1))).collect();
        let grown = edit(&mut memory, small, &more).unwrap();
        assert_eq!(memory.all(grown).last(), Some(&(key, 7)));
        assert_eq!(memory.all(grown).len(), SMALLEST + 1);
        let block = &memory.blocks[&grown];
        kept += usize::from(block.level == 1 && block.items.last() == Some(&(key, small)));
    }
    assert!(kept > 0, "no key has shown the case");
}

#[test]
fn a_change_of_a_large_map_writes_one_block_of_each_level_and_a_new_key_a_few() {
    let mut memory = Memory::default();
    let map: BTreeMap<i64, i64> = (0..100_000).map(|key| (key * 2, key * 7919 % 100_000)).collect();
    let root = memory.build(&map);
    let height = usize::from(memory.blocks[&root].level) + 1;
    let (mut values, mut keys) = (0, 0);
    for turn in 0..1000 {
        let key = turn * 7919 % 100_000 * 2;
        let before = memory.blocks.len();
        edit(&mut memory, root, &[(key, Some(-1))]).unwrap();
        values += memory.blocks.len() - before;
        let before = memory.blocks.len();
        edit(&mut memory, root, &[(key + 1, Some(-1))]).unwrap();
        keys += memory.blocks.len() - before;
    }
    assert_eq!(values, 1000 * height);
    // About three leaves until an old bound is met again.
    assert!(keys < 1000 * (height + 4), "{keys} blocks for 1000 new keys");
    assert_eq!(edit(&mut memory, root, &[(1, None), (4, map.get(&4).copied())]).unwrap(), root);
}

#[test]
fn blocks_have_32_to_64_items() {
    let mut memory = Memory::default();
    let map: BTreeMap<i64, i64> = (0..50_000).map(|key| (key * key % 1_000_003, key)).collect();
    let root = memory.build(&map);
    let mut sizes: HashMap<u8, Vec<usize>> = HashMap::new();
    for (level, keys) in memory.shape(root) {
        sizes.entry(level).or_default().push(keys.len());
    }
    for sizes in sizes.values() {
        let (_, all_but_the_last) = sizes.split_last().unwrap();
        assert!(all_but_the_last.iter().all(|size| (SMALLEST..=LARGEST).contains(size)), "{sizes:?}");
    }
}

#[test]
fn a_difference_costs_what_differs() {
    let mut memory = Memory::default();
    let map: BTreeMap<i64, i64> = (0..100_000).map(|key| (key, key)).collect();
    let root = memory.build(&map);
    let changes: Vec<_> = (0..10).map(|key| (key * 9_001, Some(-1))).collect();
    let other = edit(&mut memory, root, &changes).unwrap();
    memory.loads.set(0);
    assert_eq!(diff(&memory, root, other).unwrap().len(), 10);
    assert!(memory.loads.get() < 10 * 4 * 4, "{} blocks looked at", memory.loads.get());
}

#[test]
fn a_broken_tree_is_an_error() {
    let mut memory = Memory::default();
    let loops = memory.add(Block { level: 1, items: vec![(0, 1), (9, 1)] });
    let hollow = memory.add(Block { level: 1, items: vec![(0, 77)] });
    for root in [loops, hollow, 99] {
        assert!(get(&memory, root, &[5]).is_err());
        assert!(walk(&memory, root, &mut |_| Ok(true)).is_err());
        assert!(edit(&mut memory, root, &[(5, Some(1))]).is_err());
        assert!(diff(&memory, root, NOTHING).is_err());
    }
}
