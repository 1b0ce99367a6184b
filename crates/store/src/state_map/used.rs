//! What some snapshots of a room name, all together.

use std::collections::HashSet;

use super::{
    StateMaps, block,
    tree::{Blocks, NOTHING},
};
use crate::{Error, EventNo, Read, RoomNo, SnapshotNo, params, statements};

statements! {
    SNAPSHOTS = "SELECT snapshot_no, root, changes FROM state_snapshots WHERE room_no = $1";
}

/// Blocks that are read at once.
const BATCH: usize = 200;

impl StateMaps {
    /// The events that the blocks of some snapshots name: all of their states, and maybe some that a snapshot has changed since
    /// its blocks were made. Each block is read once, however many snapshots share it.
    pub fn named(
        &self,
        read: &Read<'_>,
        room: RoomNo,
        snapshots: &HashSet<SnapshotNo>,
    ) -> Result<HashSet<EventNo>, Error> {
        let (mut named, mut open, mut seen) = (HashSet::new(), Vec::new(), HashSet::new());
        read.each(SNAPSHOTS, params![room], |row| {
            if snapshots.contains(&row.get(0)?) {
                let top: i64 = row.get(1)?;
                if top != NOTHING && seen.insert(top) {
                    open.push(top);
                }
                let changes = block::decode_changes(row.bytes(2)?)?;
                named.extend(changes.iter().filter_map(|(_, event)| event.map(EventNo)));
            }
            Ok(true)
        })?;
        let source = self.source(read, room).passing();
        while !open.is_empty() {
            let batch = open.split_off(open.len().saturating_sub(BATCH));
            for block in source.load(&batch)? {
                if block.level == 0 {
                    named.extend(block.items.iter().map(|(_, event)| EventNo(*event)));
                } else {
                    open.extend(block.items.iter().map(|(_, child)| *child).filter(|child| seen.insert(*child)));
                }
            }
        }
        Ok(named)
    }
}
