//! Blocks in memory. They never change and their numbers are never used again, so that nothing has to be dropped but for room.

use std::{collections::HashMap, sync::Arc};

use super::{block::Block, tree::Blocks};
use crate::{Error, Read, RoomNo, params, statements};

statements! {
    LOAD = "SELECT block_no, body FROM state_blocks WHERE room_no = $1 AND block_no IN ints($2)";
    LOAD_ONE = "SELECT block_no, body FROM state_blocks WHERE room_no = $1 AND block_no = $2";
}

#[derive(Clone)]
struct Bytes;

impl quick_cache::Weighter<i64, Arc<Block>> for Bytes {
    fn weight(&self, _number: &i64, block: &Arc<Block>) -> u64 {
        block.weight()
    }
}

/// At most so many bytes of blocks.
pub(super) struct Cache(quick_cache::sync::Cache<i64, Arc<Block>, Bytes>);

impl Cache {
    pub(super) fn new(bytes: u64) -> Self {
        // A block has about 40 items of 16 bytes.
        let blocks = usize::try_from(bytes / 700).unwrap_or(usize::MAX);
        Self(quick_cache::sync::Cache::with_weighter(blocks, bytes, Bytes))
    }

    pub(super) fn keep(&self, number: i64, block: &Arc<Block>) {
        self.0.insert(number, Arc::clone(block));
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

/// The blocks of a room: from memory, or else from one snapshot of the database.
pub(super) struct Source<'a> {
    read: &'a Read<'a>,
    room: RoomNo,
    cache: &'a Cache,
    keeps: bool,
}

impl<'a> Source<'a> {
    pub(super) fn new(read: &'a Read<'a>, room: RoomNo, cache: &'a Cache) -> Self {
        Self { read, room, cache, keeps: true }
    }

    /// The same for somebody who looks at everything once, and should not push out what others use.
    pub(super) fn passing(self) -> Self {
        Self { keeps: false, ..self }
    }
}

impl Blocks for Source<'_> {
    fn load(&self, numbers: &[i64]) -> Result<Vec<Arc<Block>>, Error> {
        let mut found: HashMap<i64, Arc<Block>> = HashMap::with_capacity(numbers.len());
        let mut missing = Vec::new();
        for number in numbers {
            match self.cache.0.get(number) {
                Some(block) => drop(found.insert(*number, block)),
                None => missing.push(*number),
            }
        }
        metrics::counter!("roost_state_blocks_total", "from" => "cache")
            .increment(u64::try_from(found.len()).unwrap_or_default());
        metrics::counter!("roost_state_blocks_total", "from" => "database")
            .increment(u64::try_from(missing.len()).unwrap_or_default());
        let mut take = |row: &crate::Row<'_>| {
            let (number, block) = (row.get(0)?, Arc::new(Block::decode(row.bytes(1)?)?));
            if self.keeps {
                self.cache.keep(number, &block);
            }
            found.insert(number, block);
            Ok(true)
        };
        match missing.as_slice() {
            [] => {}
            [number] => self.read.each(LOAD_ONE, params![self.room, *number], &mut take)?,
            _ => self.read.each(LOAD, params![self.room, &missing], &mut take)?,
        }
        let all = numbers.iter().map(|number| found.get(number).cloned());
        all.collect::<Option<_>>().ok_or(Error::Inconsistent("a block of a state map is missing"))
    }
}
