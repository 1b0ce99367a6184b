//! State resolution between snapshots: where branches of a room's graph meet.
//!
//! Everything that takes part is stored, so that the index of auth chains knows it. What the states have in common is not
//! looked at: snapshots share it.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
};

use roost_matrix::{
    event::Pdu,
    state_res::{self, Conflict, Known, Loaded, Source},
};
use roost_store::{
    EventNo, Read, StateKeyNo, events,
    state_map::{self, Planner, Snapshot},
};

use crate::{Error, Room, Rooms, reset::Reset};

/// What came of a resolution.
pub(crate) struct Merged {
    pub(crate) state: Snapshot,
    /// State that was lost without a reason.
    pub(crate) reset: Option<Reset>,
}

/// A key on which the states do not agree, and what each has for it.
pub(crate) struct Split {
    pub(crate) no: StateKeyNo,
    pub(crate) kind: String,
    pub(crate) state_key: String,
    pub(crate) values: Vec<Option<EventNo>>,
}

impl Rooms {
    /// The state that several states make together. The first should be the one that the result is most like.
    pub(crate) fn merge(
        &self,
        read: &Read<'_>,
        room: &Room,
        planner: &mut Planner,
        states: &[Snapshot],
    ) -> Result<Merged, Error> {
        let mut distinct: Vec<&Snapshot> = Vec::with_capacity(states.len());
        for state in states {
            if !distinct.iter().any(|known| known.no == state.no) {
                distinct.push(state);
            }
        }
        let Some((first, others)) = distinct.split_first() else {
            return Ok(Merged { state: planner.empty(), reset: None });
        };
        let splits = split(read, planner, first, others)?;
        if splits.is_empty() {
            return Ok(Merged { state: Snapshot::clone(first), reset: None });
        }
        metrics::counter!("roost_room_resolutions").increment(1);
        let conflicts: Vec<_> = splits
            .iter()
            .map(|split| {
                let events: BTreeSet<_> = split.values.iter().copied().flatten().collect();
                let (kind, state_key) = (split.kind.clone(), split.state_key.clone());
                Conflict { kind, state_key, events: events.into_iter().collect() }
            })
            .collect();
        let source = Graph {
            rooms: self,
            read,
            room,
            planner: RefCell::new(planner),
            first,
            splits: &splits,
            width: distinct.len(),
        };
        let resolved = state_res::resolve(room.rules, &conflicts, &source)?;

        let mut changes = Vec::with_capacity(resolved.len());
        for (at, resolved) in resolved.iter().enumerate() {
            let no = match splits.get(at) {
                Some(split) => Some(split.no),
                None => state_map::find_keys(read, &[(&resolved.kind, &resolved.state_key)])?.into_values().next(),
            };
            let no = no.ok_or_else(|| Error::Damaged("a state key has no number".to_owned()))?;
            changes.push((no, resolved.event));
        }
        let reset = self.find_reset(read, room, &splits, &resolved)?;
        Ok(Merged { state: planner.apply(read, Some(first), &changes)?, reset })
    }
}

/// The keys on which states do not agree.
fn split(read: &Read<'_>, planner: &mut Planner, first: &Snapshot, others: &[&Snapshot]) -> Result<Vec<Split>, Error> {
    let mut keys = BTreeSet::new();
    for other in others {
        keys.extend(planner.diff(read, first, other)?.into_iter().map(|difference| difference.key));
    }
    let keys: Vec<_> = keys.into_iter().collect();
    let mut values: Vec<Vec<Option<EventNo>>> = vec![Vec::with_capacity(others.len() + 1); keys.len()];
    for state in std::iter::once(&first).chain(others) {
        for (all, value) in values.iter_mut().zip(planner.get_many(read, state, &keys)?) {
            all.push(value);
        }
    }
    let mut names = HashMap::with_capacity(keys.len());
    for piece in keys.chunks(1000) {
        for (no, kind, state_key) in state_map::key_names(read, piece)? {
            names.insert(no, (kind, state_key));
        }
    }
    keys.into_iter()
        .zip(values)
        .map(|(no, values)| {
            let (kind, state_key) =
                names.remove(&no).ok_or_else(|| Error::Damaged(format!("state key {no} has no name")))?;
            Ok(Split { no, kind, state_key, values })
        })
        .collect()
}

/// The room as state resolution asks for it.
struct Graph<'a> {
    rooms: &'a Rooms,
    read: &'a Read<'a>,
    room: &'a Room,
    planner: RefCell<&'a mut Planner>,
    first: &'a Snapshot,
    splits: &'a [Split],
    width: usize,
}

impl Graph<'_> {
    /// What each state has for itself, of the keys on which they do not agree.
    fn own(&self) -> Vec<Vec<EventNo>> {
        (0..self.width)
            .map(|at| self.splits.iter().filter_map(|split| split.values.get(at).copied().flatten()).collect())
            .collect()
    }
}

impl Source for Graph<'_> {
    type Event = EventNo;
    type Error = Error;

    fn load(&self, events: &[EventNo]) -> Result<Loaded<EventNo>, Error> {
        let found = self.rooms.stored_map(self.read, self.room, events)?;
        let cited = cited_nos(self.read, found.values().map(|stored| &stored.pdu))?;
        Ok(events
            .iter()
            .map(|no| {
                let stored = found.get(no)?;
                let auth_events = stored.pdu.auth_events().iter().filter_map(|id| cited.get(id.as_str()).copied());
                Some(Known {
                    pdu: stored.pdu.clone(),
                    auth_events: auth_events.collect(),
                    rejected: stored.standing.is_rejected(),
                })
            })
            .collect())
    }

    fn unconflicted(&self, kind: &str, state_key: &str) -> Result<Option<EventNo>, Error> {
        if self.splits.iter().any(|split| split.kind == kind && split.state_key == state_key) {
            return Ok(None);
        }
        let Some(no) = state_map::find_keys(self.read, &[(kind, state_key)])?.into_values().next() else {
            return Ok(None);
        };
        let found = self.planner.borrow_mut().get_many(self.read, self.first, &[no])?;
        Ok(found.into_iter().next().flatten())
    }

    fn auth_difference(&self) -> Result<Vec<EventNo>, Error> {
        let split: HashSet<_> = self.splits.iter().map(|split| split.no).collect();
        let agreed = |events: &[(EventNo, StateKeyNo)]| {
            let keys: Vec<_> = events.iter().map(|(_, key)| *key).collect();
            let found = self.planner.borrow_mut().get_many(self.read, self.first, &keys)?;
            let is_agreed = |((no, key), found): (&(EventNo, StateKeyNo), Option<EventNo>)| {
                found == Some(*no) && !split.contains(key)
            };
            Ok(events.iter().zip(found).map(is_agreed).collect())
        };
        Ok(self.rooms.0.chains.conflict_difference(self.read, self.room.no, &self.own(), agreed)?)
    }

    fn conflicted_subgraph(&self) -> Result<Vec<EventNo>, Error> {
        let ends: BTreeSet<EventNo> = self.own().into_iter().flatten().collect();
        Ok(self.rooms.0.chains.subgraph(self.read, self.room.no, &ends.into_iter().collect::<Vec<_>>())?)
    }

    fn create(&self) -> Result<Option<EventNo>, Error> {
        self.unconflicted("m.room.create", "")
    }
}

/// The numbers of the events that these cite in `auth_events`, by id.
pub(crate) fn cited_nos<'a>(
    read: &Read<'_>,
    events: impl Iterator<Item = &'a Pdu>,
) -> Result<HashMap<String, EventNo>, Error> {
    let ids: BTreeSet<&str> = events.flat_map(Pdu::auth_events).map(|id| id.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut cited = HashMap::with_capacity(ids.len());
    for piece in ids.chunks(1000) {
        cited.extend(events::places(read, piece)?.into_iter().map(|(id, _, no, _)| (id, no)));
    }
    Ok(cited)
}
