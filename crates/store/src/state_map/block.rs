//! The parts of a map: what is in a block, where blocks begin, and how they are written.

use crate::Error;

/// No block but the last of its level has fewer items.
pub(super) const SMALLEST: usize = 32;
/// No block has more items.
pub(super) const LARGEST: usize = 64;

/// Items in the order of their keys. In a leaf (level 0) an item is a pair of the map; above, the first key of a block of
/// the level below with that block's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) level: u8,
    pub(super) items: Vec<(i64, i64)>,
}

/// Whether an item with this key begins a block when the one before it already has `len` items. It looks at keys alone,
/// so that another value never moves a bound, and the bounds follow from the set of keys however it came about.
pub(super) fn begins(level: u8, key: i64, len: usize) -> bool {
    len >= LARGEST || (len >= SMALLEST && mix(key.cast_unsigned() ^ (u64::from(level) << 56)).is_multiple_of(8))
}

/// Spreads numbers that follow each other over all bits.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Block {
    /// The value of a key, in a leaf.
    pub(super) fn value(&self, key: i64) -> Option<i64> {
        let at = self.items.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.items.get(at).map(|(_, value)| *value)
    }

    /// Where the item is whose block would hold the key; 0 for a key before all others.
    pub(super) fn place(&self, key: i64) -> usize {
        self.items.partition_point(|(first, _)| *first <= key).saturating_sub(1)
    }

    /// What it takes in memory, about.
    pub(super) fn weight(&self) -> u64 {
        u64::try_from(self.items.len() * size_of::<(i64, i64)>() + 96).unwrap_or(u64::MAX)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.level];
        put(&mut out, u64::try_from(self.items.len()).unwrap_or(u64::MAX));
        let (mut key_before, mut value_before) = (0, 0);
        for (key, value) in &self.items {
            put(&mut out, zigzag(key.wrapping_sub(key_before)));
            put(&mut out, zigzag(value.wrapping_sub(value_before)));
            (key_before, value_before) = (*key, *value);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or(Error::Inconsistent("a block of a state map is damaged"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (level, mut rest) = bytes.split_first()?;
        let count = usize::try_from(take(&mut rest)?).ok().filter(|count| (1..=LARGEST).contains(count))?;
        let mut items: Vec<(i64, i64)> = Vec::with_capacity(count);
        for _ in 0..count {
            let (key_before, value_before) = items.last().copied().unwrap_or_default();
            let key = key_before.wrapping_add(unzigzag(take(&mut rest)?));
            if !items.is_empty() && key <= key_before {
                return None;
            }
            items.push((key, value_before.wrapping_add(unzigzag(take(&mut rest)?))));
        }
        rest.is_empty().then_some(Self { level: *level, items })
    }
}

/// A snapshot's own changes: pairs that differ from its blocks, `None` for a key that is not set.
pub(super) type Changes = Vec<(i64, Option<i64>)>;

pub(super) fn encode_changes(changes: &[(i64, Option<i64>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in changes {
        put(&mut out, zigzag(*key));
        out.push(u8::from(value.is_some()));
        if let Some(value) = value {
            put(&mut out, zigzag(*value));
        }
    }
    out
}

pub(super) fn decode_changes(mut bytes: &[u8]) -> Result<Changes, Error> {
    let damaged = Error::Inconsistent("a snapshot of a state map is damaged");
    let mut changes = Changes::new();
    while !bytes.is_empty() {
        let change = (|| {
            let key = unzigzag(take(&mut bytes)?);
            let (set, rest) = bytes.split_first()?;
            bytes = rest;
            let value = if *set == 0 { None } else { Some(unzigzag(take(&mut bytes)?)) };
            changes.last().is_none_or(|(before, _)| *before < key).then_some((key, value))
        })();
        changes.push(change.ok_or_else(|| damaged.clone())?);
    }
    Ok(changes)
}

/// Small numbers of either sign become small ones without.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_is_read_as_it_was_written(level: u8, items in prop::collection::btree_map(any::<i64>(), any::<i64>(), 1..=LARGEST)) {
            let block = Block { level, items: items.into_iter().collect() };
            prop_assert_eq!(Block::decode(&block.encode()).unwrap(), block);
        }

        #[test]
        fn changes_are_read_as_they_were_written(changes in prop::collection::btree_map(any::<i64>(), any::<Option<i64>>(), 0..20)) {
            let changes: Changes = changes.into_iter().collect();
            prop_assert_eq!(decode_changes(&encode_changes(&changes)).unwrap(), changes);
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            if let Ok(block) = Block::decode(&bytes) {
                prop_assert!(block.items.is_sorted_by(|a, b| a.0 < b.0));
            }
            drop(decode_changes(&bytes));
        }
    }
}
