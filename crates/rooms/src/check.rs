//! The verifier behind `roost check`: holds what is derived from a room's events against the events.
//!
//! It works by induction along the graph: the state before an event is what the one event before it left, or what resolving the
//! several before it makes (worked out by walking auth chains, without their index), and the state after it differs by its own key. So
//! it reads each snapshot's difference and not each snapshot. Then it holds the head, the current state, memberships, counts and the
//! history against that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use roost_matrix::{
    event::Pdu,
    ids::{OwnedEventId, UserId},
    room_version::EventIds,
    state_res::{
        self, Known, Loaded, Source, StateMap,
        chains::{self, Citations},
    },
};
use roost_store::{
    EventNo, Membership, Position, Read, RoomNo, SnapshotNo, auth_chains,
    events::{self, Place, Standing},
    memberships, missing_events, rooms, state, state_map, timeline,
};

use crate::{Error, Room, Rooms, Stored, head::membership_of};

/// What a check of one room has found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Events that were looked at.
    pub events: usize,
    /// What is not as it should be; nothing in a sound room.
    pub faults: Vec<String>,
}

/// Faults of one room that are told at most.
const MAX_FAULTS: usize = 100;

type Key = (String, String);

struct Event {
    stored: Arc<Stored>,
    place: Place,
    /// A number greater than that of every event it cites.
    rank: u64,
    auth: Vec<EventNo>,
}

struct Check<'a> {
    rooms: &'a Rooms,
    read: &'a Read<'a>,
    room: &'a Room,
    row: rooms::RoomRow,
    events: BTreeMap<EventNo, Event>,
    by_id: HashMap<OwnedEventId, EventNo>,
    /// The history: the place of each event, and when it came, if it was not filled in later.
    places: HashMap<EventNo, (i64, Option<Position>)>,
    faults: Vec<String>,
}

impl Rooms {
    /// The numbers of rooms, from after `no` on, at most `limit`.
    pub async fn rooms_after(&self, no: RoomNo, limit: i64) -> Result<Vec<Arc<Room>>, Error> {
        let rooms = self.clone();
        self.0
            .store
            .read(move |read| rooms::after(read, no, limit)?.iter().map(|row| rooms.remember(row)).collect())
            .await
    }

    /// Checks a room. Nothing else should write to it meanwhile for longer than a moment: all is read in one snapshot.
    pub async fn check(&self, room: &Arc<Room>) -> Result<Checked, Error> {
        let (rooms, room) = (self.clone(), room.clone());
        self.0
            .store
            .read(move |read| {
                let row = rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?;
                let (events, by_id) = (BTreeMap::new(), HashMap::new());
                let (places, faults) = (HashMap::new(), Vec::new());
                let mut check = Check { rooms: &rooms, read, room: &room, row, events, by_id, places, faults };
                check.load()?;
                check.graph()?;
                check.states()?;
                check.tips()?;
                check.current()?;
                check.history()?;
                check.index()?;
                check.faults.truncate(MAX_FAULTS);
                Ok(Checked { events: check.events.len(), faults: check.faults })
            })
            .await
    }
}

impl Check<'_> {
    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    fn load(&mut self) -> Result<(), Error> {
        let mut at = i64::MIN;
        loop {
            let entries = timeline::forwards(self.read, self.room.no, at, i64::MAX, 1000)?;
            let Some(last) = entries.last() else { break };
            at = last.idx;
            for entry in &entries {
                if self.places.insert(entry.event, (entry.idx, entry.position)).is_some() {
                    self.fault(format!("event {} has two places in the history", entry.event));
                }
            }
        }
        let nos = events::of_room(self.read, self.room.no)?;
        for piece in nos.chunks(1000) {
            for row in events::many(self.read, piece)? {
                let (no, place, id) = (row.event, row.place, row.event_id.clone());
                if row.room != self.room.no {
                    self.fault(format!("event {id} is in the history of another room"));
                }
                match Pdu::parse(&row.json, self.room.rules) {
                    Ok(pdu) if pdu.event_id().as_str() != id => {
                        let chosen = self.room.rules.event_ids == EventIds::Chosen;
                        self.fault(format!("event {id} is stored as {} ({chosen})", pdu.event_id()));
                    }
                    Ok(pdu) if pdu.room_id() != self.room.id => self.fault(format!("event {id} is of another room")),
                    Ok(_) => {}
                    Err(error) => self.fault(format!("event {id} can not be read: {error}")),
                }
                let stored = Arc::new(Stored::from_row(row, self.room.rules)?);
                self.by_id.insert(stored.pdu.event_id().to_owned(), no);
                self.events.insert(no, Event { stored, place, rank: 0, auth: Vec::new() });
            }
        }
        Ok(())
    }

    /// Whether what events cite is there, and whether the edges into the unknown are noted.
    fn graph(&mut self) -> Result<(), Error> {
        let noted: HashSet<(String, EventNo)> = missing_events::all(self.read, self.room.no)?
            .into_iter()
            .map(|missing| (missing.event_id, missing.cited_by))
            .collect();
        let mut faults = Vec::new();
        let mut cites: BTreeMap<EventNo, Vec<EventNo>> = BTreeMap::new();
        for (no, event) in &self.events {
            let id = event.stored.pdu.event_id();
            let mut auth = Vec::new();
            for cited in event.stored.pdu.auth_events() {
                match self.by_id.get(cited) {
                    Some(no) => auth.push(*no),
                    None => faults.push(format!("event {id} cites {cited}, which is not there")),
                }
            }
            cites.insert(*no, auth);
            if event.place.standing.is_outlier() {
                continue;
            }
            for prev in event.stored.pdu.prev_events() {
                let there = self.by_id.get(prev).and_then(|no| self.events.get(no));
                let there = there.is_some_and(|event| !event.place.standing.is_outlier());
                if there == noted.contains(&(prev.to_string(), *no)) {
                    faults.push(format!("event {id} follows {prev}, which is noted as missing: {}", !there));
                }
            }
        }
        // In the order of citation, so that nothing depends on what numbers or depths claim.
        let mut waiting: BTreeMap<EventNo, usize> = cites.iter().map(|(no, auth)| (*no, auth.len())).collect();
        let mut citing: HashMap<EventNo, Vec<EventNo>> = HashMap::new();
        for (no, auth) in &cites {
            for cited in auth {
                citing.entry(*cited).or_default().push(*no);
            }
        }
        let mut ready: Vec<EventNo> = waiting.iter().filter(|(_, count)| **count == 0).map(|(no, _)| *no).collect();
        let mut rank = 0;
        while let Some(no) = ready.pop() {
            rank += 1;
            if let Some(event) = self.events.get_mut(&no) {
                event.rank = rank;
                event.auth = cites.remove(&no).unwrap_or_default();
            }
            for next in citing.remove(&no).unwrap_or_default() {
                if let Some(count) = waiting.get_mut(&next) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        if rank < self.events.len() as u64 && faults.is_empty() {
            faults.push("events cite each other in a circle".to_owned());
        }
        self.faults.append(&mut faults);
        Ok(())
    }

    /// Whether the states around each event are what the events before it lead to.
    fn states(&mut self) -> Result<(), Error> {
        let nos: Vec<EventNo> = self.events.keys().copied().collect();
        for no in nos {
            let Some(event) = self.events.get(&no) else { continue };
            let (stored, place) = (event.stored.clone(), event.place);
            let id = stored.pdu.event_id().to_owned();
            if place.standing.is_outlier() {
                if place.before.is_some() || place.idx.is_some() {
                    self.fault(format!("outlier {id} has a state or a place"));
                }
                continue;
            }
            let (Some(before), Some(after)) = (place.before, place.after) else {
                self.fault(format!("event {id} has no state"));
                continue;
            };
            if let Some(expected) = self.expected_before(&stored.pdu)? {
                let found = self.map(before)?;
                if found != expected {
                    self.fault(format!("the state before {id} is not what the events before it lead to"));
                }
            }
            let changes = stored.pdu.state_key().is_some() && place.standing != Standing::Rejected;
            self.check_after(&stored, before, after, changes)?;
        }
        Ok(())
    }

    fn check_after(
        &mut self,
        stored: &Stored,
        before: SnapshotNo,
        after: SnapshotNo,
        changes: bool,
    ) -> Result<(), Error> {
        let id = stored.pdu.event_id();
        if !changes {
            if before != after {
                self.fault(format!("event {id} changes nothing, and the state after it is another one"));
            }
            return Ok(());
        }
        let maps = &self.rooms.0.states;
        let load = |no: SnapshotNo| -> Result<Option<state_map::Snapshot>, Error> {
            Ok(if no.0 == 0 {
                Some(maps.planner(self.room.no).empty())
            } else {
                maps.snapshot(self.read, self.room.no, no)?
            })
        };
        let (Some(left), Some(right)) = (load(before)?, load(after)?) else {
            self.fault(format!("a state around {id} is gone"));
            return Ok(());
        };
        let diff = maps.diff(self.read, &left, &right)?;
        let key = state_map::find_keys(self.read, &[(stored.pdu.kind(), stored.pdu.state_key().unwrap_or_default())])?;
        let key = key.into_values().next();
        let is_sound = match diff.as_slice() {
            // It was set to this event already, when it was still an outlier.
            [] => key.is_some_and(|key| matches!(maps.get(self.read, &right, key), Ok(Some(no)) if no == stored.no)),
            [one] => Some(one.key) == key && one.right == Some(stored.no),
            _ => false,
        };
        if !is_sound {
            self.fault(format!("the state after {id} does not differ by it from the state before it"));
        }
        Ok(())
    }

    /// What the events before one lead to; `None` where that is not known: events are missing, or it is the same snapshot anyway.
    fn expected_before(&self, pdu: &Pdu) -> Result<Option<StateMap<EventNo>>, Error> {
        let own = self.by_id.get(pdu.event_id()).and_then(|no| Some((*no, self.events.get(no)?)));
        let Some((own_no, own)) = own.map(|(no, event)| (no, event.place.before)) else { return Ok(None) };
        let mut states = Vec::new();
        for prev in pdu.prev_events() {
            let Some((no, event)) = self.by_id.get(prev).and_then(|no| Some((*no, self.events.get(no)?))) else {
                return Ok(None);
            };
            let after = event.place.after.filter(|_| !event.place.standing.is_outlier());
            // What came after it can not have led to it: the state was told by another server then.
            let Some(after) = after.filter(|_| !self.came_later(no, own_no)) else { return Ok(None) };
            states.push(after);
        }
        states.sort_unstable();
        states.dedup();
        match states.as_slice() {
            [one] if Some(*one) == own => Ok(None),
            [one] => self.map(*one).map(Some),
            _ => self.resolve(&states).map(Some),
        }
    }

    /// Whether an event became part of the graph after another one.
    fn came_later(&self, no: EventNo, than: EventNo) -> bool {
        let position = |no| self.places.get(&no).map(|(_, position)| position.unwrap_or(Position(i64::MAX)));
        match (position(no), position(than)) {
            (Some(one), Some(other)) => one > other,
            _ => no > than,
        }
    }

    /// A whole state, by its keys.
    fn map(&self, no: SnapshotNo) -> Result<StateMap<EventNo>, Error> {
        let mut map = StateMap::new();
        if no.0 == 0 {
            return Ok(map);
        }
        let snapshot = self.rooms.0.states.snapshot(self.read, self.room.no, no)?;
        let snapshot = snapshot.ok_or_else(|| Error::Damaged(format!("state {no} is gone")))?;
        let all: BTreeMap<_, _> = self.rooms.0.states.all(self.read, &snapshot)?.into_iter().collect();
        let keys: Vec<_> = all.keys().copied().collect();
        for piece in keys.chunks(1000) {
            for (key, kind, state_key) in state_map::key_names(self.read, piece)? {
                if let Some(event) = all.get(&key) {
                    map.insert((kind, state_key), *event);
                }
            }
        }
        Ok(map)
    }

    /// Resolves states from all their entries, by walking.
    fn resolve(&self, states: &[SnapshotNo]) -> Result<StateMap<EventNo>, Error> {
        let maps = states.iter().map(|no| self.map(*no)).collect::<Result<Vec<_>, _>>()?;
        let (agreed, conflicts) = state_res::separate(&maps.iter().collect::<Vec<_>>());
        let agreed: StateMap<EventNo> = agreed.into_iter().map(|(key, event)| (key.clone(), event)).collect();
        let common: HashSet<EventNo> = agreed.values().copied().collect();
        let own: Vec<Vec<EventNo>> =
            maps.iter().map(|map| map.values().copied().filter(|no| !common.contains(no)).collect()).collect();
        let conflicting: Vec<EventNo> = conflicts.iter().flat_map(|conflict| conflict.events.iter().copied()).collect();
        let source = Whole { check: self, agreed: &agreed, common, own, conflicting };
        let resolved = state_res::resolve(self.room.rules, &conflicts, &source)?;
        let mut result = agreed.clone();
        for entry in resolved {
            let key = (entry.kind, entry.state_key);
            match entry.event {
                Some(event) => drop(result.insert(key, event)),
                None => drop(result.remove(&key)),
            }
        }
        Ok(result)
    }

    /// Whether the tips are the events that no other follows, and the current state is what they lead to.
    fn tips(&mut self) -> Result<(), Error> {
        let tips = self.row.head.tips.clone();
        let mut states = Vec::new();
        for tip in &tips {
            match self.events.get(tip) {
                Some(event) if event.place.standing == Standing::Accepted => states.extend(event.place.after),
                Some(event) => {
                    let id = event.stored.pdu.event_id().to_owned();
                    self.fault(format!("{id} is a tip of the graph and was not accepted"));
                }
                None => self.fault(format!("the tip {tip} is not there")),
            }
        }
        let followed: HashSet<&OwnedEventId> =
            tips.iter().filter_map(|no| self.events.get(no)).flat_map(|event| event.stored.pdu.prev_events()).collect();
        let wrong: Vec<String> = tips
            .iter()
            .filter_map(|no| self.events.get(no))
            .filter(|event| followed.contains(&event.stored.pdu.event_id().to_owned()))
            .map(|event| format!("{} is a tip, and another tip follows it", event.stored.pdu.event_id()))
            .collect();
        self.faults.extend(wrong);
        states.sort_unstable();
        states.dedup();
        let expected = match states.as_slice() {
            [one] => self.map(*one)?,
            _ => self.resolve(&states)?,
        };
        if self.map(self.row.head.state)? != expected {
            self.fault("the current state is not what the tips lead to");
        }
        Ok(())
    }

    /// Whether the tables of the current state, of memberships and the counts agree with the snapshot.
    fn current(&mut self) -> Result<(), Error> {
        let snapshot = self.map(self.row.head.state)?;
        let table: StateMap<EventNo> = state::current_keyed(self.read, self.room.no)?
            .into_iter()
            .map(|(kind, state_key, event)| ((kind, state_key), event))
            .collect();
        if table != snapshot {
            self.fault("the table of the current state is not the current state");
        }
        let line: BTreeSet<EventNo> = state::all_at(self.read, self.room.no, i64::MAX)?.into_iter().collect();
        if line != snapshot.values().copied().collect::<BTreeSet<_>>() {
            self.fault("the changes along the history do not lead to the current state");
        }
        let mut members: HashMap<String, Membership> = HashMap::new();
        for ((kind, state_key), no) in &snapshot {
            if kind == "m.room.member"
                && UserId::parse(state_key.as_str()).is_ok()
                && let Some(membership) = self.events.get(no).and_then(|event| membership_of(&event.stored.pdu))
            {
                members.insert(state_key.clone(), membership);
            }
        }
        let count = |of| i64::try_from(members.values().filter(|membership| **membership == of).count()).unwrap_or(0);
        let (joined, invited) = (count(Membership::Join), count(Membership::Invite));
        if (joined, invited) != (self.row.head.joined, self.row.head.invited) {
            let head = &self.row.head;
            let text =
                format!("{joined} joined and {invited} invited are counted as {} and {}", head.joined, head.invited);
            self.fault(text);
        }
        let rows = memberships::of_room(self.read, self.room.no)?;
        let nos: Vec<_> = rows.iter().map(|row| row.user).collect();
        let mut names = HashMap::new();
        for piece in nos.chunks(1000) {
            names.extend(roost_store::users_no::names(self.read, piece)?);
        }
        for row in rows {
            let Some(user) = names.get(&row.user) else { continue };
            let expected = members.remove(user.as_str()).unwrap_or(Membership::Leave);
            if row.membership != expected {
                self.fault(format!("{user} is {} and noted as {}", expected.as_str(), row.membership.as_str()));
            }
        }
        for (user, membership) in members {
            self.fault(format!("{user} is {} and not noted at all", membership.as_str()));
        }
        Ok(())
    }

    /// Whether every accepted event has its place, once, and nothing else has one.
    fn history(&mut self) -> Result<(), Error> {
        let wrong: Vec<String> = self
            .events
            .iter()
            .filter(|(no, event)| {
                let placed = event.place.standing == Standing::Accepted;
                self.places.get(no).map(|(idx, _)| *idx) != event.place.idx || placed != event.place.idx.is_some()
            })
            .map(|(_, event)| format!("{} does not stand where it says", event.stored.pdu.event_id()))
            .collect();
        self.faults.extend(wrong);
        if let Some((last, _)) = self.places.values().max()
            && *last != self.row.head.idx
        {
            self.fault(format!("the history ends at {last} and not at {}", self.row.head.idx));
        }
        Ok(())
    }
}

impl Check<'_> {
    /// Whether the index of auth chains goes back to what the events cite.
    fn index(&mut self) -> Result<(), Error> {
        let chains = &self.rooms.0.chains;
        let is_state = |event: &Event| event.stored.pdu.state_key().is_some();
        let edges = |nos: &[EventNo]| {
            let edges = |no: &EventNo| {
                let event = self.events.get(no).filter(|event| is_state(event))?;
                let cited = event.auth.iter().filter(|no| self.events.get(no).is_some_and(is_state));
                Some(cited.copied().collect())
            };
            Ok(nos.iter().map(edges).collect())
        };
        let faults = auth_chains::check(chains, self.read, self.room.no, edges)?;
        let all: Vec<EventNo> = self.events.iter().filter(|(_, event)| is_state(event)).map(|(no, _)| *no).collect();
        let indexed = chains.has(self.read, self.room.no, &all)?;
        let lacking = all.iter().zip(indexed).filter(|(_, is_indexed)| !is_indexed).count();
        if lacking > 0 {
            self.faults.push(format!("{lacking} state events are not in the index of auth chains"));
        }
        // Of what was purged the places stay; what goes back to it is purged, too.
        let counts = |fault: &&auth_chains::Fault| match fault {
            auth_chains::Fault::Unknown(no) => self.events.contains_key(no),
            _ => true,
        };
        let told = faults
            .iter()
            .filter(counts)
            .map(|fault| format!("the index of auth chains: {fault:?}"))
            .collect::<Vec<_>>();
        self.faults.extend(told);
        Ok(())
    }
}

/// States with all their entries, as state resolution asks for them.
struct Whole<'a> {
    check: &'a Check<'a>,
    agreed: &'a StateMap<EventNo>,
    common: HashSet<EventNo>,
    own: Vec<Vec<EventNo>>,
    conflicting: Vec<EventNo>,
}

impl Source for Whole<'_> {
    type Event = EventNo;
    type Error = Error;

    fn load(&self, events: &[EventNo]) -> Result<Loaded<EventNo>, Error> {
        Ok(events
            .iter()
            .map(|no| {
                let event = self.check.events.get(no)?;
                Some(Known {
                    pdu: event.stored.pdu.clone(),
                    auth_events: event.auth.clone(),
                    rejected: event.place.standing.is_rejected(),
                })
            })
            .collect())
    }

    fn unconflicted(&self, kind: &str, state_key: &str) -> Result<Option<EventNo>, Error> {
        let key: Key = (kind.to_owned(), state_key.to_owned());
        Ok(self.agreed.get(&key).copied())
    }

    fn auth_difference(&self) -> Result<Vec<EventNo>, Error> {
        chains::auth_difference(self, &self.own)
    }

    fn conflicted_subgraph(&self) -> Result<Vec<EventNo>, Error> {
        chains::conflicted_subgraph(self, &self.conflicting)
    }

    fn create(&self) -> Result<Option<EventNo>, Error> {
        self.unconflicted("m.room.create", "")
    }
}

impl Citations for Whole<'_> {
    type Event = EventNo;
    type Error = Error;

    fn auth_events(&self, event: EventNo) -> Result<Vec<EventNo>, Error> {
        Ok(self.check.events.get(&event).map(|event| event.auth.clone()).unwrap_or_default())
    }

    fn cited_by(&self, event: EventNo) -> Result<Vec<EventNo>, Error> {
        let citing = self
            .check
            .events
            .iter()
            .filter(|(_, other)| other.stored.pdu.state_key().is_some() && other.auth.contains(&event));
        Ok(citing.map(|(no, _)| *no).collect())
    }

    fn rank(&self, event: EventNo) -> Result<u64, Error> {
        Ok(self.check.events.get(&event).map_or(0, |event| event.rank))
    }

    fn is_unconflicted(&self, event: EventNo) -> Result<bool, Error> {
        Ok(self.common.contains(&event))
    }
}
