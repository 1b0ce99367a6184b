//! Who may see which event: `m.room.history_visibility` as of each event.
//!
//! Whether a user may see an event depends on where it stands alone: on the history visibility there, on the user's
//! membership there, and on whether the user joined later. So the answer for a whole history is a short list of ranges. Events
//! that stand aside from the line of current states are judged one by one, by the state before them.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility>

use std::{cell::RefCell, collections::HashMap};

use roost_matrix::{event::Pdu, ids::UserId};
use roost_store::{Membership, Read, RoomNo, SnapshotNo, events, state, state_map, timeline::Entry};

use crate::{
    Error, Room, Rooms,
    head::{membership_of, word_of},
};

/// Values of `m.room.history_visibility`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryVisibility {
    /// Everybody may read.
    WorldReadable,
    /// Members may read everything, also what was before them.
    Shared,
    /// Members may read from their invitation on.
    Invited,
    /// Members may read from their joining on.
    Joined,
}

impl HistoryVisibility {
    /// What is not understood counts as `shared`.
    pub(crate) fn of(word: Option<&str>) -> Self {
        match word {
            Some("world_readable") => Self::WorldReadable,
            Some("invited") => Self::Invited,
            Some("joined") => Self::Joined,
            _ => Self::Shared,
        }
    }
}

/// A range of indexes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First index.
    pub first: i64,
    /// Last index; `i64::MAX` for "and all that is to come".
    pub last: i64,
}

/// What one user may see of one room, and what their membership was where.
#[derive(Clone, Debug, Default)]
pub struct Vision {
    ranges: Vec<Range>,
    own: Vec<(i64, Membership)>,
    world_readable: bool,
    /// Of events that stand aside, by their places: whether they may be seen, and the user's membership there. Filled as they are
    /// read ([`Rooms::look_aside`]).
    asides: RefCell<HashMap<i64, (bool, Membership)>>,
}

/// What a user may see of a room's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The state at the head.
    Now,
    /// The state at this index, where they left.
    At(i64),
    /// Nothing.
    Nothing,
}

impl Vision {
    /// From the changes of the room's visibility and of the user's membership, each in the order of history.
    #[must_use]
    pub fn new(visibility: &[(i64, HistoryVisibility)], own: Vec<(i64, Membership)>) -> Self {
        let last_join = last_join(&own);
        let allowed = |idx: i64, seen: HistoryVisibility, member: Option<Membership>| {
            allowed(seen, member, last_join.is_some_and(|join| join > idx))
        };

        let mut vision = Self::default();
        let mut seen = HistoryVisibility::Shared;
        let mut member = None;
        let mut next = 0; // the first index that is not decided yet
        let (mut rooms, mut mine) = (visibility.iter().peekable(), own.iter().peekable());
        loop {
            let at = match (rooms.peek(), mine.peek()) {
                (Some((room, _)), Some((user, _))) => (*room).min(*user),
                (Some((idx, _)), None) | (None, Some((idx, _))) => *idx,
                (None, None) => break,
            };
            if at > next && allowed(at - 1, seen, member) {
                vision.add(next, at - 1);
            }
            // The event that changes the visibility, or the user's own membership, is judged by both sides.
            let before = allowed(at, seen, member);
            if let Some((_, value)) = rooms.next_if(|(idx, _)| *idx == at) {
                seen = *value;
            }
            if let Some((_, value)) = mine.next_if(|(idx, _)| *idx == at) {
                member = Some(*value);
            }
            if before || allowed(at, seen, member) {
                vision.add(at, at);
            }
            next = at + 1;
        }
        if allowed(i64::MAX, seen, member) {
            vision.add(next, i64::MAX);
        }
        vision.world_readable = seen == HistoryVisibility::WorldReadable;
        vision.own = own;
        vision
    }

    fn add(&mut self, first: i64, last: i64) {
        match self.ranges.last_mut() {
            Some(range) if range.last == first - 1 => range.last = last,
            _ => self.ranges.push(Range { first, last }),
        }
    }

    /// What may be seen, oldest first.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Whether the event at that index may be seen.
    #[must_use]
    pub fn sees(&self, idx: i64) -> bool {
        if let Some((seen, _)) = self.asides.borrow().get(&idx) {
            return *seen;
        }
        let after = self.ranges.partition_point(|range| range.first <= idx);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|range| idx <= range.last)
    }

    /// The user's membership at an index, with what the event there did to it.
    #[must_use]
    pub fn membership_at(&self, idx: i64) -> Membership {
        if let Some((_, membership)) = self.asides.borrow().get(&idx) {
            return *membership;
        }
        let after = self.own.partition_point(|(at, _)| *at <= idx);
        after.checked_sub(1).and_then(|at| self.own.get(at)).map_or(Membership::Leave, |(_, membership)| *membership)
    }

    /// Whether the user has ever been in the room.
    #[must_use]
    pub fn was_joined(&self) -> bool {
        self.own.iter().any(|(_, membership)| *membership == Membership::Join)
    }

    /// Whether the user joined at an index with `after < index <= up_to`.
    #[must_use]
    pub fn joins_within(&self, after: i64, up_to: i64) -> bool {
        self.own.iter().any(|(idx, membership)| *membership == Membership::Join && *idx > after && *idx <= up_to)
    }

    /// Which of the room's states the user may see.
    #[must_use]
    pub fn sight(&self) -> Sight {
        if self.membership_at(i64::MAX) == Membership::Join {
            return Sight::Now;
        }
        match self.own.iter().rposition(|(_, membership)| *membership == Membership::Join) {
            // Membership is not `join` now, so that something came after the last `join`.
            Some(joined) => self.own.get(joined + 1).map_or(Sight::Now, |(idx, _)| Sight::At(*idx)),
            None if self.world_readable => Sight::Now,
            None => Sight::Nothing,
        }
    }
}

/// Where a user joined for the last time.
fn last_join(own: &[(i64, Membership)]) -> Option<i64> {
    own.iter().rev().find(|(_, membership)| *membership == Membership::Join).map(|(idx, _)| *idx)
}

/// Whether a user may see an event, by the state there.
fn allowed(seen: HistoryVisibility, member: Option<Membership>, joins_later: bool) -> bool {
    match seen {
        HistoryVisibility::WorldReadable => true,
        _ if member == Some(Membership::Join) => true,
        HistoryVisibility::Shared => joins_later,
        HistoryVisibility::Invited => member == Some(Membership::Invite) && joins_later,
        HistoryVisibility::Joined => false,
    }
}

const VISIBILITY: (&str, &str) = ("m.room.history_visibility", "");

impl Rooms {
    /// Judges those of the entries that stand aside, so that the vision knows about them. Events with the same state before them cost
    /// what one costs.
    pub fn look_aside(
        &self,
        read: &Read<'_>,
        room: &Room,
        user: &UserId,
        vision: &Vision,
        entries: &[Entry],
    ) -> Result<(), Error> {
        let open: Vec<_> = {
            let known = vision.asides.borrow();
            entries.iter().filter(|entry| entry.aside && !known.contains_key(&entry.idx)).copied().collect()
        };
        if open.is_empty() {
            return Ok(());
        }
        let nos: Vec<_> = open.iter().map(|entry| entry.event).collect();
        let stored = self.stored_map(read, room, &nos)?;
        let mut befores = HashMap::new();
        for piece in nos.chunks(1000) {
            befores.extend(events::befores(read, piece)?);
        }
        let own = ("m.room.member", user.as_str());
        let keys = state_map::find_keys(read, &[VISIBILITY, own])?;
        let numbers: Vec<_> = [VISIBILITY, own].iter().filter_map(|key| keys.get(key).copied()).collect();
        let mut known: HashMap<SnapshotNo, Vec<Pdu>> = HashMap::new();
        let last_join = last_join(&vision.own);
        for entry in open {
            let (Some(event), Some(before)) = (stored.get(&entry.event), befores.get(&entry.event)) else { continue };
            if !known.contains_key(before) {
                let found = match self.0.states.snapshot(read, room.no, *before)? {
                    Some(state) => self.0.states.get_many(read, &state, &numbers)?,
                    None => Vec::new(),
                };
                let found: Vec<_> = found.into_iter().flatten().collect();
                let found = self.stored(read, room, &found)?;
                known.insert(*before, found.iter().map(|stored| stored.pdu.clone()).collect());
            }
            let state = known.get(before).map_or(&[][..], Vec::as_slice);
            let is = |pdu: &Pdu, key: (&str, &str)| pdu.kind() == key.0 && pdu.state_key() == Some(key.1);
            let seen = state.iter().find(|pdu| is(pdu, VISIBILITY)).and_then(word_of);
            let mut seen = HistoryVisibility::of(seen.as_deref());
            let mut member = state.iter().find(|pdu| is(pdu, own)).and_then(membership_of);
            let joins_later = last_join.is_some_and(|join| join > entry.idx);
            let mut visible = allowed(seen, member, joins_later);
            // The event that changes the visibility, or the user's own membership, is judged by both sides.
            if is(&event.pdu, VISIBILITY) {
                seen = HistoryVisibility::of(word_of(&event.pdu).as_deref());
            }
            if is(&event.pdu, own) {
                member = membership_of(&event.pdu);
            }
            visible |= allowed(seen, member, joins_later);
            let verdict = (visible, member.unwrap_or(Membership::Leave));
            vision.asides.borrow_mut().insert(entry.idx, verdict);
        }
        Ok(())
    }
}

/// The visions of one user in many rooms: two statements, however many rooms there are. A room that the user has
/// forgotten is to be left out of `remembered`: then they see what strangers see.
pub(crate) fn visions(
    read: &Read<'_>,
    rooms: &[RoomNo],
    remembered: &[RoomNo],
    user: &UserId,
) -> Result<HashMap<RoomNo, Vision>, Error> {
    let mut visibility: HashMap<RoomNo, Vec<(i64, HistoryVisibility)>> = HashMap::new();
    for (room, idx, word) in state::words(read, rooms, "m.room.history_visibility", "")? {
        visibility.entry(room).or_default().push((idx, HistoryVisibility::of(word.as_deref())));
    }
    let mut own: HashMap<RoomNo, Vec<(i64, Membership)>> = HashMap::new();
    for (room, idx, word) in state::words(read, remembered, "m.room.member", user.as_str())? {
        let membership = word.as_deref().and_then(Membership::parse).unwrap_or(Membership::Leave);
        let changes = own.entry(room).or_default();
        // A new display name changes nothing here.
        if changes.last().is_none_or(|(_, last)| *last != membership) {
            changes.push((idx, membership));
        }
    }
    let mut visions = HashMap::with_capacity(rooms.len());
    for room in rooms {
        let visibility = visibility.get(room).map_or(&[][..], Vec::as_slice);
        visions.insert(*room, Vision::new(visibility, own.remove(room).unwrap_or_default()));
    }
    Ok(visions)
}

#[cfg(test)]
mod tests;
