//! The checks on received events, at the room's door and in one snapshot of the database, and the states that they lead to.
//!
//! Events are judged one after the other, each on what those before it have led to. State resolution asks the index of auth chains, which
//! knows only what is committed: where branches meet in events of this very bundle, what has been judged so far is committed
//! first, and the rest is judged anew.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>

mod accept;

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use roost_matrix::{
    auth::{self, Checker, Cited, Denied, StateView},
    event::Pdu,
    ids::{EventId, OwnedEventId},
    room_version::RoomIds,
};
use roost_store::{
    EventNo, Read, auth_chains,
    events::{self, Origin, Place, Standing},
    missing_events,
    state_map::{self, Planner, Snapshot},
};

use super::{Bundle, Incoming, Names, Outcome, ids_of};
use crate::{
    Error, Room, Rooms, Stored,
    head::{Built, Head, Received, States},
    reset::Reset,
    stored::OUTSIDE,
};

/// What came of judging a bundle, or the part of it that could be judged before something is committed.
pub(crate) struct Judged {
    pub(crate) head: Head,
    pub(crate) built: Vec<Built>,
    pub(crate) planner: Planner,
    pub(crate) chains: auth_chains::Plan,
    /// Of each event that was judged, in order.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) resets: Vec<Reset>,
}

/// What an event led to.
pub(crate) enum Verdict {
    /// It has a place in the history: that of `built` at this index.
    Accepted(usize),
    Other(Outcome),
}

enum Step {
    Verdict(Verdict),
    /// What is built has to be committed first.
    Commit,
}

/// An event that is known: stored, or built just now.
#[derive(Clone, Debug)]
struct Node {
    no: EventNo,
    standing: Standing,
    /// The state after it, if it is part of the graph.
    after: Option<After>,
}

#[derive(Clone, Debug)]
enum After {
    Stored(roost_store::SnapshotNo),
    Loaded(Snapshot),
}

/// How far back from a rejected or soft-failed event the tips are looked for that it follows.
const MAX_STEPS: usize = 1000;

type Key = (String, String);

/// An event of an event's `auth_events`, and whether it was rejected.
type Citation = (EventNo, Pdu, bool);

/// An event that was judged, on its way into the graph.
struct Candidate<'p> {
    no: EventNo,
    pdu: &'p Pdu,
    /// The state events that it cites.
    auth: Vec<EventNo>,
    was_outlier: bool,
    /// Those of its `prev_events` that are not here.
    missing: Vec<OwnedEventId>,
}

struct Judge<'a> {
    rooms: &'a Rooms,
    read: &'a Read<'a>,
    room: &'a Room,
    bundle: &'a Bundle,
    names: &'a Names,
    now: u64,
    head: Head,
    planner: RefCell<Planner>,
    nodes: HashMap<OwnedEventId, Node>,
    /// What was built just now, by number.
    new: HashMap<EventNo, Arc<Stored>>,
    built: Vec<Built>,
    next: i64,
    /// Events that others here cite already.
    cited: HashSet<String>,
    /// Redactions that came before what they redact.
    awaited: HashMap<String, Vec<EventNo>>,
    resets: Vec<Reset>,
    checker: Checker,
    /// What was looked at of states, by their numbers.
    seen: RefCell<HashMap<i64, HashMap<Key, Option<Pdu>>>>,
}

impl Rooms {
    /// Judges the events of a bundle from the `done`-th on. New events get the numbers from `first` on.
    #[expect(clippy::too_many_arguments, reason = "the door has them all at hand")]
    pub(crate) fn judge(
        &self,
        read: &Read<'_>,
        room: &Room,
        head: Head,
        bundle: &Bundle,
        done: usize,
        names: &Names,
        first: EventNo,
    ) -> Result<Judged, Error> {
        let mut judge = Judge {
            rooms: self,
            read,
            room,
            bundle,
            names,
            now: self.0.world.now_ms(),
            head,
            planner: RefCell::new(self.0.states.planner(room.no)),
            nodes: HashMap::new(),
            new: HashMap::new(),
            built: Vec::new(),
            next: first.0,
            cited: HashSet::new(),
            awaited: HashMap::new(),
            resets: Vec::new(),
            checker: Checker::default(),
            seen: RefCell::default(),
        };
        judge.look_up()?;
        for pdu in &bundle.outliers {
            judge.outlier(pdu)?;
        }
        let mut verdicts = Vec::new();
        for (at, incoming) in bundle.events.iter().enumerate().skip(done) {
            match judge.event(at, incoming)? {
                Step::Verdict(verdict) => verdicts.push(verdict),
                Step::Commit => break,
            }
        }
        let Judge { head, built, planner, resets, .. } = judge;
        let chains = self.index(read, room.no, &built, &names.keys)?;
        Ok(Judged { head, built, planner: planner.into_inner(), chains, verdicts, resets })
    }
}

impl Judge<'_> {
    /// Finds everything that the bundle names.
    fn look_up(&mut self) -> Result<(), Error> {
        let mut ids = ids_of(self.bundle);
        ids.extend(self.create_id());
        let ids: Vec<_> = ids.iter().map(|id| id.as_str()).collect();
        for piece in ids.chunks(1000) {
            for (id, room, no, place) in events::places(self.read, piece)? {
                if room == self.room.no
                    && let Ok(id) = EventId::parse(id)
                {
                    self.nodes.insert(id, Node::stored(no, &place));
                }
            }
        }
        let new: Vec<_> = self.bundle.events.iter().map(|event| event.pdu.event_id().as_str()).collect();
        for piece in new.chunks(1000) {
            let found = missing_events::cited(self.read, self.room.no, piece)?;
            self.cited.extend(found.into_iter().map(|missing| missing.event_id));
            for (id, redaction) in events::awaited(self.read, self.room.no, piece)? {
                self.awaited.entry(id).or_default().push(redaction);
            }
        }
        Ok(())
    }

    /// The create event that the room id names, in versions in which it does.
    fn create_id(&self) -> Option<OwnedEventId> {
        let named = self.room.rules.room_ids == RoomIds::CreateEvent;
        let hash = self.room.id.as_str().strip_prefix('!').filter(|_| named)?;
        EventId::parse(format!("${hash}")).ok()
    }

    fn take_number(&mut self) -> EventNo {
        let no = EventNo(self.next);
        self.next += 1;
        no
    }

    fn pdu(&self, no: EventNo) -> Result<Pdu, Error> {
        Ok(self.stored(no)?.pdu.clone())
    }

    fn stored(&self, no: EventNo) -> Result<Arc<Stored>, Error> {
        if let Some(stored) = self.new.get(&no) {
            return Ok(stored.clone());
        }
        let found = self.rooms.stored(self.read, self.room, &[no])?.pop();
        found.ok_or_else(|| Error::Damaged(format!("event {no} is missing")))
    }

    fn origin(&self, reason: Option<String>) -> Origin {
        let received_at = i64::try_from(self.now).unwrap_or(i64::MAX);
        Origin { origin: self.bundle.origin.to_string(), received_at, reason }
    }

    /// The events that one cites in `auth_events`; `None` when one of them is not known.
    fn cited(&self, pdu: &Pdu) -> Result<Option<Vec<Citation>>, Error> {
        let mut cited = Vec::with_capacity(pdu.auth_events().len());
        for id in pdu.auth_events() {
            let Some(node) = self.nodes.get(id) else { return Ok(None) };
            cited.push((node.no, self.pdu(node.no)?, node.standing.is_rejected()));
        }
        Ok(Some(cited))
    }

    /// Whether the event is allowed by what it cites: the rule on `auth_events`, and the rules on the state that they make.
    fn check_cited(&mut self, pdu: &Pdu, cited: &[Citation]) -> Result<Result<(), Denied>, Error> {
        let create = match self.create_id().and_then(|id| self.nodes.get(&id)) {
            Some(node) => Some((self.pdu(node.no)?, node.standing.is_rejected())),
            None => None,
        };
        let named: Vec<_> = cited.iter().map(|(_, pdu, rejected)| Cited { pdu, rejected: *rejected }).collect();
        let create_cited = create.as_ref().map(|(pdu, rejected)| Cited { pdu, rejected: *rejected });
        if let Err(denied) = auth::check_auth_events(pdu, &named, create_cited) {
            return Ok(Err(denied));
        }
        let view = |kind: &str, state_key: &str| {
            let found = cited.iter().find(|(_, pdu, _)| pdu.kind() == kind && pdu.state_key() == Some(state_key));
            let named = create.as_ref().filter(|_| kind == "m.room.create" && state_key.is_empty());
            found.map(|(_, pdu, _)| pdu.clone()).or_else(|| named.map(|(pdu, _)| pdu.clone()))
        };
        Ok(self.checker.check(pdu, &view))
    }

    fn outlier(&mut self, pdu: &Pdu) -> Result<(), Error> {
        if self.nodes.contains_key(pdu.event_id()) || pdu.state_key().is_none() {
            return Ok(());
        }
        // Without what it cites it can not be judged: whatever needs it finds it missing.
        let Some(cited) = self.cited(pdu)? else { return Ok(()) };
        let verdict = self.check_cited(pdu, &cited)?;
        let standing = if verdict.is_ok() { Standing::Outlier } else { Standing::RejectedOutlier };
        let no = self.take_number();
        self.put_outlier(no, pdu, standing, &cited, verdict.err());
        Ok(())
    }

    fn put_outlier(&mut self, no: EventNo, pdu: &Pdu, standing: Standing, cited: &[Citation], denied: Option<Denied>) {
        let stored = self.stand(no, pdu, OUTSIDE, standing, None);
        self.nodes.insert(pdu.event_id().to_owned(), Node { no, standing, after: None });
        let origin = self.origin(denied.map(|denied| denied.to_string()));
        self.built.push(Built {
            stored,
            auth: states_of(cited),
            states: None,
            line: Vec::new(),
            redacts: None,
            transaction: None,
            received: Some(Received {
                origin,
                was_outlier: false,
                missing: Vec::new(),
                aside: true,
                fills: false,
                redacted_by: None,
            }),
        });
    }

    fn stand(
        &mut self,
        no: EventNo,
        pdu: &Pdu,
        idx: i64,
        standing: Standing,
        replaces: Option<EventNo>,
    ) -> Arc<Stored> {
        let stored = Arc::new(Stored { no, room: self.room.no, idx, standing, replaces, sent: None, pdu: pdu.clone() });
        self.new.insert(no, stored.clone());
        stored
    }

    fn event(&mut self, at: usize, incoming: &Incoming) -> Result<Step, Error> {
        let pdu = &incoming.pdu;
        let known = self.nodes.get(pdu.event_id()).cloned();
        if known.as_ref().is_some_and(|node| !node.standing.is_outlier()) {
            return Ok(Step::other(Outcome::Known));
        }
        let was_outlier = known.is_some();
        let missing: Vec<_> = pdu
            .prev_events()
            .iter()
            .filter(|prev| self.nodes.get(*prev).is_none_or(|node| node.after.is_none()))
            .cloned()
            .collect();
        if !missing.is_empty() && incoming.given.is_none() {
            return Ok(Step::other(Outcome::Missing));
        }
        let Some(cited) = self.cited(pdu)? else { return Ok(Step::other(Outcome::Missing)) };
        let Some((before, merges)) = self.state_before(incoming)? else { return Ok(Step::Commit) };

        // 4. by its auth events, 5. by the state before it.
        let mut denied = self.check_cited(pdu, &cited)?.err();
        if denied.is_none() {
            denied = self.check_at(pdu, &before, &cited)?.err();
        }
        if known.as_ref().is_some_and(|node| node.standing.is_rejected()) && denied.is_none() {
            // It was rejected before, by the same auth events: it stays so.
            denied = Some(Denied::RejectedAuthEvent);
        }
        // 6. by the current state of the room.
        let current = self.head.state.clone().filter(|state| {
            state.no != before.no && denied.is_none() && !self.bundle.starts_over && self.bundle.fills.is_none()
        });
        let soft_failed = match current {
            Some(current) => self.check_at(pdu, &current, &cited)?.err(),
            None => None,
        };
        let key = self.names.keys.of(pdu)?;
        let is_in = denied.is_none() && soft_failed.is_none() && self.bundle.fills.is_none();
        if is_in && self.meets_others(pdu, key.is_some()) && !self.is_committed(pdu, was_outlier) {
            return Ok(self.commit_first(pdu, was_outlier, key.is_some(), &cited));
        }

        let no = known.map_or_else(|| self.take_number(), |node| node.no);
        let candidate = Candidate { no, pdu, auth: states_of(&cited), was_outlier, missing };
        if let Some(denied) = denied {
            let states = States { before: before.clone(), after: before, merges };
            return Ok(self.put_aside(candidate, Standing::Rejected, states, denied.to_string()));
        }
        let after = match key {
            Some(key) => self.planner.get_mut().apply(self.read, Some(&before), &[(key, Some(no))])?,
            None => before.clone(),
        };
        let states = States { before, after, merges };
        match (soft_failed, self.bundle.fills) {
            (Some(denied), _) => Ok(self.put_aside(candidate, Standing::SoftFailed, states, denied.to_string())),
            (None, Some(gap)) => {
                let left = i64::try_from(self.bundle.events.len() - at).unwrap_or(i64::MAX);
                self.fill(candidate, gap - left, key, states)
            }
            (None, None) => self.accept(candidate, key, states),
        }
    }

    /// The state before an event, and whether it is not just what one other event left. `None` when something has to be committed
    /// before it can be worked out.
    fn state_before(&mut self, incoming: &Incoming) -> Result<Option<(Snapshot, bool)>, Error> {
        let prevs = incoming.pdu.prev_events();
        let tips: HashSet<&EventId> = self.head.tips().map(|(_, pdu)| pdu.event_id()).collect();
        let follows_all = prevs.len() == tips.len() && prevs.iter().all(|prev| tips.contains(&**prev));
        if follows_all
            && incoming.given.is_none()
            && let Some(state) = &self.head.state
        {
            return Ok(Some((state.clone(), prevs.len() != 1)));
        }
        let mut states: Vec<Snapshot> = Vec::with_capacity(prevs.len());
        for prev in prevs {
            let Some(state) = self.after(prev)? else { continue };
            if !states.iter().any(|known| known.no == state.no) {
                states.push(state);
            }
        }
        if let Some(given) = &incoming.given {
            let state = self.given(given)?;
            if !states.iter().any(|known| known.no == state.no) {
                states.push(state);
            }
        }
        let merges = prevs.len() != 1 || incoming.given.is_some();
        match states.as_slice() {
            [] => Ok(Some((self.planner.get_mut().empty(), true))),
            [state] => Ok(Some((state.clone(), merges))),
            _ if !self.built.is_empty() => Ok(None),
            _ => Ok(Some((self.merge(&states)?, true))),
        }
    }

    fn merge(&mut self, states: &[Snapshot]) -> Result<Snapshot, Error> {
        let merged = self.rooms.merge(self.read, self.room, self.planner.get_mut(), states)?;
        self.resets.extend(merged.reset);
        Ok(merged.state)
    }

    /// The state after an event of the graph.
    fn after(&mut self, id: &EventId) -> Result<Option<Snapshot>, Error> {
        let Some(node) = self.nodes.get_mut(id) else { return Ok(None) };
        let no = match &node.after {
            None => return Ok(None),
            Some(After::Loaded(state)) => return Ok(Some(state.clone())),
            Some(After::Stored(no)) => *no,
        };
        let state = self.rooms.0.states.snapshot(self.read, self.room.no, no)?;
        let state = state.ok_or_else(|| Error::Damaged(format!("state {no} is missing")))?;
        node.after = Some(After::Loaded(state.clone()));
        Ok(Some(state))
    }

    /// A state that was told by the ids of its events. Those that could not be had, or were rejected, are not part of it.
    fn given(&mut self, ids: &[OwnedEventId]) -> Result<Snapshot, Error> {
        let nos: Vec<_> = ids
            .iter()
            .filter_map(|id| self.nodes.get(id))
            .filter(|node| !node.standing.is_rejected())
            .map(|node| node.no)
            .collect();
        let old: Vec<_> = nos.iter().copied().filter(|no| !self.new.contains_key(no)).collect();
        let loaded = self.rooms.stored_map(self.read, self.room, &old)?;
        let stored: Vec<_> = nos.iter().filter_map(|no| self.new.get(no).or_else(|| loaded.get(no))).collect();
        let pairs: Vec<_> =
            stored.iter().filter_map(|stored| Some((stored.pdu.kind(), stored.pdu.state_key()?))).collect();
        let mut numbers = HashMap::with_capacity(pairs.len());
        let unknown: Vec<_> =
            pairs.iter().copied().filter(|(kind, key)| self.names.keys.get(kind, key).is_none()).collect();
        for piece in unknown.chunks(1000) {
            numbers.extend(state_map::find_keys(self.read, piece)?);
        }
        let mut changes = Vec::with_capacity(stored.len());
        for stored in &stored {
            let Some(state_key) = stored.pdu.state_key() else { continue };
            let pair = (stored.pdu.kind(), state_key);
            let no = self.names.keys.get(pair.0, pair.1).or_else(|| numbers.get(&pair).copied());
            changes.push((no.ok_or_else(|| Error::Damaged("a state key has no number".to_owned()))?, Some(stored.no)));
        }
        if nos.len() < ids.len() {
            metrics::counter!("roost_room_state_incomplete_total").increment(1);
        }
        Ok(self.planner.borrow_mut().apply(self.read, None, &changes)?)
    }

    /// Whether a state allows the event. Where members are missing from the room's state, those that the event cites stand in for
    /// them.
    fn check_at(&mut self, pdu: &Pdu, state: &Snapshot, cited: &[Citation]) -> Result<Result<(), Denied>, Error> {
        let mut checker = std::mem::take(&mut self.checker);
        let stand_ins = if self.head.at.members.is_partial() { cited } else { &[] };
        let view = View { judge: self, state, stand_ins, error: RefCell::default() };
        view.expect(pdu)?;
        let verdict = checker.check(pdu, &view);
        let error = view.error.take();
        self.checker = checker;
        match error {
            Some(error) => Err(error),
            None => Ok(verdict),
        }
    }

    /// Which tips are left when the event is put into the graph: those that it does not follow.
    fn other_tips(&self, pdu: &Pdu) -> Result<Vec<(EventNo, Pdu)>, Error> {
        if self.bundle.starts_over {
            return Ok(Vec::new());
        }
        // Rejected and soft-failed events are no tips; what they follow is followed by this one, too.
        let mut followed: HashSet<OwnedEventId> = HashSet::new();
        let mut open: Vec<OwnedEventId> = pdu.prev_events().to_vec();
        while let Some(id) = open.pop() {
            let node = self.nodes.get(&id).cloned();
            if !followed.insert(id) || followed.len() > MAX_STEPS {
                continue;
            }
            if let Some(node) = node
                && matches!(node.standing, Standing::Rejected | Standing::SoftFailed)
            {
                open.extend(self.pdu(node.no)?.prev_events().iter().cloned());
            }
        }
        Ok(self
            .head
            .tips()
            .filter(|(_, tip)| !followed.contains(tip.event_id()))
            .map(|(no, tip)| (no, tip.clone()))
            .collect())
    }

    /// Whether the current state would have to be resolved with what the event leaves.
    fn meets_others(&self, pdu: &Pdu, is_state: bool) -> bool {
        if self.bundle.starts_over {
            return false;
        }
        let tips: HashSet<&EventId> = self.head.tips().map(|(_, pdu)| pdu.event_id()).collect();
        let follows_all = tips.iter().all(|tip| pdu.prev_events().iter().any(|prev| prev == tip));
        let is_behind = self.cited.contains(pdu.event_id().as_str());
        !tips.is_empty() && (!follows_all || is_behind) && (is_state || !self.built.is_empty())
    }

    fn is_committed(&self, pdu: &Pdu, is_outlier: bool) -> bool {
        self.built.is_empty() && (is_outlier || pdu.state_key().is_none())
    }

    /// Has what was built committed, and a state event with it as an outlier.
    fn commit_first(&mut self, pdu: &Pdu, is_outlier: bool, is_state: bool, cited: &[Citation]) -> Step {
        if is_state && !is_outlier {
            let no = self.take_number();
            self.put_outlier(no, pdu, Standing::Outlier, cited, None);
        }
        Step::Commit
    }

    /// Some keys of a state, kept for the next who asks.
    fn fetch(&self, state: &Snapshot, keys: &[Key]) -> Result<(), Error> {
        let mut missing: Vec<&Key> = {
            let seen = self.seen.borrow();
            let known = seen.get(&state.no.0);
            keys.iter().filter(|key| known.is_none_or(|known| !known.contains_key(key))).collect()
        };
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let pairs: Vec<_> = missing.iter().map(|(kind, key)| (kind.as_str(), key.as_str())).collect();
        let numbers = state_map::find_keys(self.read, &pairs)?;
        let known: Vec<_> = pairs.iter().filter_map(|pair| Some((*pair, *numbers.get(pair)?))).collect();
        let wanted: Vec<_> = known.iter().map(|(_, no)| *no).collect();
        let found = self.planner.borrow_mut().get_many(self.read, state, &wanted)?;
        let nos: Vec<_> = found.iter().copied().flatten().filter(|no| !self.new.contains_key(no)).collect();
        let stored = self.rooms.stored_map(self.read, self.room, &nos)?;
        let mut all = self.seen.borrow_mut();
        let seen = all.entry(state.no.0).or_default();
        for key in missing {
            seen.insert(key.clone(), None);
        }
        for (((kind, key), _), no) in known.into_iter().zip(found) {
            let Some(no) = no else { continue };
            let event = self.new.get(&no).or_else(|| stored.get(&no));
            let event = event.ok_or_else(|| Error::Damaged(format!("state event {no} is missing")))?;
            seen.insert((kind.to_owned(), key.to_owned()), Some(event.pdu.clone()));
        }
        Ok(())
    }
}

/// Those of the cited events that are state events: what else is cited makes an event rejected, and is in no auth chain.
fn states_of(cited: &[Citation]) -> Vec<EventNo> {
    cited.iter().filter(|(_, pdu, _)| pdu.state_key().is_some()).map(|(no, _, _)| *no).collect()
}

impl Node {
    fn stored(no: EventNo, place: &Place) -> Self {
        let after = if place.standing.is_outlier() { None } else { place.after.map(After::Stored) };
        Self { no, standing: place.standing, after }
    }
}

impl Step {
    fn other(outcome: Outcome) -> Self {
        Self::Verdict(Verdict::Other(outcome))
    }
}

/// A state as the authorisation rules see it.
struct View<'a, 'b> {
    judge: &'a Judge<'b>,
    state: &'a Snapshot,
    /// Member events that count where the state has none.
    stand_ins: &'a [Citation],
    error: RefCell<Option<Error>>,
}

impl View<'_, '_> {
    /// Reads what the rules are sure to ask about an event, all at once.
    fn expect(&self, pdu: &Pdu) -> Result<(), Error> {
        let rules = self.judge.room.rules;
        let mut keys = auth::auth_types(rules, pdu.kind(), pdu.sender(), pdu.state_key(), pdu.content());
        keys.push(("m.room.create".to_owned(), String::new()));
        self.judge.fetch(self.state, &keys)
    }
}

impl StateView for View<'_, '_> {
    fn get(&self, kind: &str, state_key: &str) -> Option<Pdu> {
        let key = (kind.to_owned(), state_key.to_owned());
        if let Err(error) = self.judge.fetch(self.state, std::slice::from_ref(&key)) {
            self.error.borrow_mut().get_or_insert(error);
            return None;
        }
        let found = self.judge.seen.borrow().get(&self.state.no.0)?.get(&key)?.clone();
        found.or_else(|| {
            let mut stand_ins = self.stand_ins.iter().map(|(_, pdu, _)| pdu).filter(|_| kind == "m.room.member");
            stand_ins.find(|pdu| pdu.kind() == kind && pdu.state_key() == Some(state_key)).cloned()
        })
    }
}
