//! Which part of a room's history goes into an answer.

use std::{collections::HashSet, sync::Arc};

use roost_rooms::{Room, Rooms, Stored};
use roost_store::{Read, timeline};

use crate::{Error, filter::Events};

/// Events that are looked at for one room at most; a filter that lets few events through would else read whole histories.
const MAX_SCAN: usize = 1_000;
/// Events that are read at once when the first ones did not suffice.
const BATCH: i64 = 100;

const MEMBER: &str = "m.room.member";

/// A stretch of a room's history: `from` has been told before, `end` is the last event to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) segment: i64,
    pub(crate) from: i64,
    pub(crate) end: i64,
}

/// The newest events of a span.
#[derive(Debug)]
pub(crate) struct Window {
    /// What is shown, oldest first.
    pub(crate) kept: Vec<Arc<Stored>>,
    /// The state that the shown events build on is that after the event of this index.
    pub(crate) base: i64,
    /// Whether there is more between `from` and the first shown event.
    pub(crate) limited: bool,
    /// State that changed after `base` without being shown: the last event of each key.
    pub(crate) hidden: Vec<Arc<Stored>>,
    /// Whether a membership changed after `base`.
    pub(crate) members_changed: bool,
}

impl Window {
    /// Takes the newest events of `span` that the filter lets through and that `sees` allows.
    pub(crate) fn read(
        rooms: &Rooms,
        read: &Read<'_>,
        room: &Room,
        span: Span,
        filter: &Events,
        sees: impl Fn(&Stored) -> bool,
    ) -> Result<Self, Error> {
        let limit = if filter.allows_room(room.id.as_str()) { filter.limit() } else { 0 };
        let mut window = Self { kept: vec![], base: span.end, limited: false, hidden: vec![], members_changed: false };
        if limit == 0 {
            return Ok(window);
        }
        let mut skipped = vec![];
        let mut upper = span.end;
        let mut batch = i64::try_from(limit).unwrap_or(BATCH).saturating_add(1);
        'scan: while upper > span.from {
            let entries = timeline::backwards(read, room.no, span.segment, upper, span.from, batch)?;
            let Some(last) = entries.last() else { break };
            upper = last.idx - 1;
            batch = BATCH;
            let numbers: Vec<_> = entries.iter().map(|entry| entry.event).collect();
            for stored in rooms.stored(read, room, &numbers)? {
                let wanted = sees(&stored)
                    && filter.allows(stored.pdu.kind(), stored.pdu.sender().as_str(), stored.pdu.content());
                if window.kept.len() == limit && wanted || window.kept.len() + skipped.len() == MAX_SCAN {
                    window.limited = true;
                    break 'scan;
                }
                if wanted { window.kept.push(stored) } else { skipped.push(stored) }
            }
        }
        if let Some(oldest) = window.kept.last() {
            window.base = oldest.idx - 1;
        }
        skipped.retain(|stored| stored.idx > window.base);
        window.members_changed = window.kept.iter().chain(&skipped).any(|stored| is_member(stored));
        window.hidden = hidden(&window.kept, skipped);
        window.kept.reverse();
        Ok(window)
    }
}

/// Whether it is a membership event.
pub(crate) fn is_member(stored: &Stored) -> bool {
    stored.pdu.kind() == MEMBER && stored.pdu.state_key().is_some()
}

/// The skipped state events without which a client would not end with the room's state. Both lists are newest first.
fn hidden(kept: &[Arc<Stored>], skipped: Vec<Arc<Stored>>) -> Vec<Arc<Stored>> {
    fn key(stored: &Stored) -> Option<(String, String)> {
        stored.pdu.state_key().map(|state_key| (stored.pdu.kind().to_owned(), state_key.to_owned()))
    }
    if skipped.iter().all(|stored| stored.pdu.state_key().is_none()) {
        return vec![];
    }
    // Where an event of the same key is shown, the client takes that one, whatever it is told beside the timeline.
    let mut known: HashSet<_> = kept.iter().filter_map(|stored| key(stored)).collect();
    skipped.into_iter().filter(|stored| key(stored).is_some_and(|key| known.insert(key))).collect()
}
