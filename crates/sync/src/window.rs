//! Which part of a room's history goes into an answer.

use std::{collections::HashSet, sync::Arc};

use roost_matrix::ids::UserId;
use roost_rooms::{Room, Rooms, Stored, Vision};
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
    pub(crate) from: i64,
    pub(crate) end: i64,
}

/// What is wanted of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    /// Which events, and how many of them.
    pub(crate) filter: &'a Events,
    /// How many bytes they may have together. One event is shown in any case, so that a client sees that there is news.
    pub(crate) bytes: usize,
    /// Whether the client learns the state from these events, too, and not only from what it is told beside them.
    pub(crate) replayed: bool,
    /// Who reads.
    pub(crate) reader: &'a UserId,
    /// What they may see.
    pub(crate) vision: &'a Vision,
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
    /// Takes the newest events of `span` that are wanted and that `sees` allows.
    pub(crate) fn read(
        rooms: &Rooms,
        read: &Read<'_>,
        room: &Room,
        span: Span,
        wish: Wish<'_>,
        sees: impl Fn(&Stored) -> bool,
    ) -> Result<Self, Error> {
        let Wish { filter, bytes, replayed, reader, vision } = wish;
        let limit = match filter.allows_room(room.id.as_str()) {
            true if bytes == 0 => 1,
            true => filter.limit(),
            false => 0,
        };
        let mut window = Self { kept: vec![], base: span.end, limited: false, hidden: vec![], members_changed: false };
        if limit == 0 {
            return Ok(window);
        }
        let mut keys = Keys::default();
        let mut skipped = vec![];
        let mut upper = span.end;
        let mut left = bytes;
        let mut branches = false;
        let mut batch = i64::try_from(limit).unwrap_or(BATCH).saturating_add(1);
        'scan: while upper > span.from {
            let entries = timeline::backwards(read, room.no, upper, span.from, batch)?;
            let Some(last) = entries.last() else { break };
            upper = last.idx - 1;
            batch = BATCH;
            rooms.look_aside(read, room, reader, vision, &entries)?;
            branches |= entries.iter().any(|entry| entry.aside && entry.position.is_some());
            let numbers: Vec<_> = entries.iter().map(|entry| entry.event).collect();
            for stored in rooms.stored(read, room, &numbers)? {
                let wanted = sees(&stored)
                    && filter.allows(stored.pdu.kind(), stored.pdu.sender().as_str(), stored.pdu.content());
                let size = stored.pdu.json().len();
                let fits = window.kept.is_empty() || window.kept.len() < limit && size <= left;
                let full = wanted && !fits || window.kept.len() + skipped.len() == MAX_SCAN;
                if full || replayed && wanted && !keys.may_show(&stored) {
                    window.limited = true;
                    break 'scan;
                }
                if wanted {
                    left = left.saturating_sub(size);
                    window.kept.push(stored);
                } else {
                    if keys.hide(&stored) {
                        window.hidden.push(Arc::clone(&stored));
                    }
                    skipped.push(stored);
                }
            }
        }
        if let Some(oldest) = window.kept.last() {
            window.base = oldest.idx - 1;
        }
        let shown = |stored: &Arc<Stored>| stored.idx > window.base;
        window.members_changed = window.kept.iter().chain(&skipped).filter(|it| shown(it)).any(|it| is_member(it));
        window.hidden.retain(shown);
        if branches {
            window.met(rooms, read, room, span.end)?;
        }
        window.kept.reverse();
        Ok(window)
    }
}

impl Window {
    /// Where branches of the room's graph have met, state may have changed of which no event of the window speaks.
    fn met(&mut self, rooms: &Rooms, read: &Read<'_>, room: &Room, end: i64) -> Result<(), Error> {
        let told: HashSet<_> = self.kept.iter().chain(&self.hidden).map(|stored| stored.no).collect();
        for stored in rooms.state_delta(read, room, self.base + 1, end + 1)? {
            if !told.contains(&stored.no) {
                self.members_changed |= is_member(&stored);
                self.hidden.push(stored);
            }
        }
        Ok(())
    }
}

/// The keys of the state that changed, while going back in history.
#[derive(Default)]
struct Keys {
    /// The latest change is shown.
    shown: HashSet<(String, String)>,
    /// The latest change is not.
    hidden: HashSet<(String, String)>,
}

impl Keys {
    fn key(stored: &Stored) -> Option<(String, String)> {
        stored.pdu.state_key().map(|state_key| (stored.pdu.kind().to_owned(), state_key.to_owned()))
    }

    /// Whether an event may be shown: not when a later change of the same key is hidden, since the client would end with
    /// this one as its state.
    fn may_show(&mut self, stored: &Stored) -> bool {
        let Some(key) = Self::key(stored) else { return true };
        if self.hidden.contains(&key) {
            return false;
        }
        self.shown.insert(key);
        true
    }

    /// Notes an event that is not shown. True when it is the latest change of its key, which the client has to be told then.
    fn hide(&mut self, stored: &Stored) -> bool {
        Self::key(stored).is_some_and(|key| !self.shown.contains(&key) && self.hidden.insert(key))
    }
}

/// Whether it is a membership event.
pub(crate) fn is_member(stored: &Stored) -> bool {
    stored.pdu.kind() == MEMBER && stored.pdu.state_key().is_some()
}
