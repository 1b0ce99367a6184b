//! The map itself: reading, comparing and changing a tree of blocks, whatever keeps them.
//!
//! A tree's levels are cut into blocks by [`begins`](super::block::begins), from left to right, up to the level that is one block, the root.
//! So its shape follows from its keys. A change rewrites the blocks from the one that it falls in to the first old bound that is a
//! bound again, level by level.

use std::{
    collections::{BTreeMap, HashSet},
    iter::Peekable,
    sync::Arc,
};

use super::block::{Block, begins};
use crate::Error;

/// The number of no block: the root of an empty map.
pub(super) const NOTHING: i64 = 0;

const BROKEN: Error = Error::Inconsistent("a state map is broken");

/// Where blocks come from.
pub(super) trait Blocks {
    /// Blocks by their numbers, in the same order.
    fn load(&self, numbers: &[i64]) -> Result<Vec<Arc<Block>>, Error>;
}

/// Where new blocks go, too.
pub(super) trait Draft: Blocks {
    /// Keeps a block and gives it a number.
    fn add(&mut self, block: Block) -> i64;
}

fn one(blocks: &impl Blocks, number: i64) -> Result<Arc<Block>, Error> {
    blocks.load(&[number])?.pop().ok_or(BROKEN)
}

/// Blocks that hang under a block of `level`.
fn under(blocks: &impl Blocks, level: u8, numbers: &[i64]) -> Result<Vec<Arc<Block>>, Error> {
    let found = blocks.load(numbers)?;
    if found.len() == numbers.len() && found.iter().all(|block| block.level.checked_add(1) == Some(level)) {
        Ok(found)
    } else {
        Err(BROKEN)
    }
}

/// The values of some keys, which are sorted.
pub(super) fn get(blocks: &impl Blocks, root: i64, keys: &[i64]) -> Result<Vec<Option<i64>>, Error> {
    let mut values = vec![None; keys.len()];
    if root == NOTHING || keys.is_empty() {
        return Ok(values);
    }
    let mut level = vec![(one(blocks, root)?, 0..keys.len())];
    loop {
        let mut below: Vec<(i64, std::ops::Range<usize>)> = Vec::new();
        for (block, range) in &level {
            for at in range.clone() {
                let (Some(key), Some(value)) = (keys.get(at), values.get_mut(at)) else { return Err(BROKEN) };
                if block.level == 0 {
                    *value = block.value(*key);
                    continue;
                }
                let Some((first, child)) = block.items.get(block.place(*key)) else { return Err(BROKEN) };
                match below.last_mut() {
                    _ if first > key => {}
                    Some((last, range)) if last == child && range.end == at => range.end += 1,
                    _ => below.push((*child, at..at + 1)),
                }
            }
        }
        let height = level.first().map_or(0, |(block, _)| block.level);
        if below.is_empty() {
            return Ok(values);
        }
        let numbers: Vec<i64> = below.iter().map(|(number, _)| *number).collect();
        let found = under(blocks, height, &numbers)?;
        level = found.into_iter().zip(below.into_iter().map(|(_, range)| range)).collect();
    }
}

/// Shows all pairs, leaf by leaf in the order of keys, until `each` answers `false`.
pub(super) fn walk(
    blocks: &impl Blocks,
    root: i64,
    each: &mut impl FnMut(&[(i64, i64)]) -> Result<bool, Error>,
) -> Result<(), Error> {
    fn visit(
        blocks: &impl Blocks,
        block: &Block,
        each: &mut impl FnMut(&[(i64, i64)]) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        if block.level == 0 {
            return each(&block.items);
        }
        let numbers: Vec<i64> = block.items.iter().map(|(_, number)| *number).collect();
        // As deep as the tree is high: each block is one level below the one that names it.
        for child in under(blocks, block.level, &numbers)? {
            if !visit(blocks, &child, each)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
    if root != NOTHING {
        visit(blocks, one(blocks, root)?.as_ref(), each)?;
    }
    Ok(())
}

/// A key with its value on either side.
pub(super) type Difference = (i64, Option<i64>, Option<i64>);

/// The keys whose values differ, sorted. Blocks that both share are not looked into.
pub(super) fn diff(blocks: &impl Blocks, left: i64, right: i64) -> Result<Vec<Difference>, Error> {
    let mut sides = [Side::new(blocks, left)?, Side::new(blocks, right)?];
    loop {
        let highest = sides.iter().filter_map(|side| side.level).max();
        let Some(level) = highest else { return Ok(Vec::new()) };
        if sides.iter().all(|side| side.level == highest) {
            let [left, right] = &mut sides;
            let numbers: HashSet<i64> = left.numbers.iter().copied().collect();
            let shared: HashSet<i64> =
                right.numbers.iter().copied().filter(|number| numbers.contains(number)).collect();
            for side in [left, right] {
                side.numbers.retain(|number| !shared.contains(number));
            }
        }
        if level == 0 {
            let [left, right] = &sides;
            let mut values: BTreeMap<i64, (Option<i64>, Option<i64>)> = BTreeMap::new();
            for (key, value) in left.items(blocks)? {
                values.entry(key).or_default().0 = Some(value);
            }
            for (key, value) in right.items(blocks)? {
                values.entry(key).or_default().1 = Some(value);
            }
            let differ = values.into_iter().filter(|(_, (left, right))| left != right);
            return Ok(differ.map(|(key, (left, right))| (key, left, right)).collect());
        }
        for side in &mut sides {
            if side.level == highest {
                side.numbers = side.items(blocks)?.into_iter().map(|(_, number)| number).collect();
                side.level = Some(level - 1);
            }
        }
    }
}

/// What is left of one of two trees, at one level.
struct Side {
    level: Option<u8>,
    numbers: Vec<i64>,
}

impl Side {
    fn new(blocks: &impl Blocks, root: i64) -> Result<Self, Error> {
        if root == NOTHING {
            return Ok(Self { level: None, numbers: Vec::new() });
        }
        Ok(Self { level: Some(one(blocks, root)?.level), numbers: vec![root] })
    }

    fn items(&self, blocks: &impl Blocks) -> Result<Vec<(i64, i64)>, Error> {
        let Some(level) = self.level else { return Ok(Vec::new()) };
        let found = blocks.load(&self.numbers)?;
        if found.iter().any(|block| block.level != level) {
            return Err(BROKEN);
        }
        Ok(found.iter().flat_map(|block| block.items.iter().copied()).collect())
    }
}

/// A map with some keys changed or, with `None`, removed: its root. The changes are sorted and each key is there once.
pub(super) fn edit(draft: &mut impl Draft, root: i64, changes: &[(i64, Option<i64>)]) -> Result<i64, Error> {
    let top = if root == NOTHING { None } else { Some(one(draft, root)?.level) };
    let mut changes = changes.to_vec();
    let mut level = 0;
    loop {
        let old = top.is_some_and(|top| level <= top).then_some(root);
        changes = edit_level(draft, old, level, top == Some(level), &changes)?;
        if changes.is_empty() {
            return Ok(root);
        }
        if top.is_none_or(|top| level >= top) {
            // The whole level is new.
            changes.retain(|(_, number)| number.is_some());
            match changes.as_slice() {
                [] => return Ok(NOTHING),
                [(_, number)] => return lowest(draft, number.ok_or(BROKEN)?),
                _ => {}
            }
        }
        level = level.checked_add(1).ok_or(BROKEN)?;
    }
}

/// The lowest block with everything under it: a root with one child is none.
fn lowest(blocks: &impl Blocks, mut root: i64) -> Result<i64, Error> {
    loop {
        let block = one(blocks, root)?;
        match block.items.as_slice() {
            [(_, child)] if block.level > 0 => root = *child,
            _ => return Ok(root),
        }
    }
}

/// A block of the old tree, and the first key of the next one on its level.
struct Old {
    number: i64,
    block: Arc<Block>,
    next: Option<i64>,
}

/// The block of a level that holds a key, or would.
fn find(blocks: &impl Blocks, root: i64, level: u8, key: i64) -> Result<Old, Error> {
    let mut found = Old { number: root, block: one(blocks, root)?, next: None };
    while found.block.level > level {
        let place = found.block.place(key);
        let (_, number) = *found.block.items.get(place).ok_or(BROKEN)?;
        let next = found.block.items.get(place + 1).map(|(first, _)| *first).or(found.next);
        let block = under(blocks, found.block.level, &[number])?.pop().ok_or(BROKEN)?;
        found = Old { number, block, next };
    }
    if found.block.level == level { Ok(found) } else { Err(BROKEN) }
}

/// Items that come in order, cut into blocks.
struct Cutter {
    level: u8,
    done: Vec<Vec<(i64, i64)>>,
    current: Vec<(i64, i64)>,
}

impl Cutter {
    fn push(&mut self, item: (i64, i64)) {
        if begins(self.level, item.0, self.current.len()) {
            self.done.push(std::mem::take(&mut self.current));
        }
        self.current.push(item);
    }

    fn finish(mut self) -> Vec<Vec<(i64, i64)>> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

type Change = (i64, Option<i64>);

/// Merges items with the changes before `end`.
fn merge(
    items: &[(i64, i64)],
    changes: &mut Peekable<impl Iterator<Item = Change>>,
    end: Option<i64>,
    cutter: &mut Cutter,
) {
    let mut items = items.iter().copied().peekable();
    loop {
        let change = changes.peek().copied().filter(|(key, _)| end.is_none_or(|end| *key < end));
        match (items.peek().copied(), change) {
            (Some(item), change) if change.is_none_or(|(key, _)| item.0 < key) => {
                items.next();
                cutter.push(item);
            }
            (item, Some((key, value))) => {
                changes.next();
                if item.is_some_and(|item| item.0 == key) {
                    items.next();
                }
                if let Some(value) = value {
                    cutter.push((key, value));
                }
            }
            (_, None) => return,
        }
    }
}

/// Changes one level, and answers what that changes in the level above. Over the level that was the top there is nothing
/// yet: with `whole` the answer names blocks that stayed the same, too.
fn edit_level(
    draft: &mut impl Draft,
    root: Option<i64>,
    level: u8,
    whole: bool,
    changes: &[Change],
) -> Result<Vec<Change>, Error> {
    let mut above = BTreeMap::new();
    let mut changes = changes.iter().copied().peekable();
    while let Some((key, value)) = changes.peek().copied() {
        let mut cutter = Cutter { level, done: Vec::new(), current: Vec::new() };
        let mut old = BTreeMap::new();
        if let Some(root) = root {
            let mut at = find(draft, root, level, key)?;
            // Without its first item the block before it may go on.
            if value.is_none() && at.block.items.first().is_some_and(|(first, _)| *first == key) {
                at = find(draft, root, level, key.saturating_sub(1))?;
            }
            loop {
                merge(&at.block.items, &mut changes, at.next, &mut cutter);
                let (first, _) = *at.block.items.first().ok_or(BROKEN)?;
                old.insert(first, (at.number, at.block));
                let Some(next) = at.next else { break };
                at = find(draft, root, level, next)?;
                let untouched = changes.peek().is_none_or(|(key, _)| at.next.is_some_and(|end| *key >= end));
                if untouched && (cutter.current.is_empty() || begins(level, next, cutter.current.len())) {
                    break;
                }
            }
        } else {
            merge(&[], &mut changes, None, &mut cutter);
        }
        above.extend(old.keys().map(|first| (*first, None)));
        for items in cutter.finish() {
            let Some((first, _)) = items.first().copied() else { continue };
            match old.get(&first).filter(|(_, block)| block.items == items) {
                Some((number, _)) if whole => above.insert(first, Some(*number)),
                Some(_) => above.remove(&first),
                None => above.insert(first, Some(draft.add(Block { level, items }))),
            };
        }
    }
    Ok(above.into_iter().collect())
}

#[cfg(test)]
mod tests;
