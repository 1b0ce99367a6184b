//! The checks on received events, at the room's door and in one snapshot of the database, and the states that they lead to.
//!
//! Events are judged one after the other, each on what those before it have led to. State resolution asks the index of auth chains, which
//! knows only what is committed: where branches meet in events of this very bundle, what has been judged so far is committed
//! first, and the rest is judged anew.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use roost_matrix::{
    auth::{self, Checker, Cited, Denied, StateView, power::PowerLevels},
    event::Pdu,
    ids::{EventId, OwnedEventId, UserId},
    room_version::RoomIds,
};
use roost_store::{
    EventNo, Membership, Read, StateKeyNo, UserNo, auth_chains,
    events::{self, Origin, Place, Standing},
    missing_events,
    state_map::{self, Planner, Snapshot},
    users_no,
};

use super::{Bundle, Incoming, Names, Outcome, ids_of};
use crate::{
    Error, Room, Rooms, Stored,
    head::{Built, Head, LineChange, MemberChange, Received, Redacts, States, is_dummy, membership_of, word_of},
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
    fn cited(&self, pdu: &Pdu) -> Result<Option<Vec<(EventNo, Pdu, bool)>>, Error> {
        let mut cited = Vec::with_capacity(pdu.auth_events().len());
        for id in pdu.auth_events() {
            let Some(node) = self.nodes.get(id) else { return Ok(None) };
            cited.push((node.no, self.pdu(node.no)?, node.standing.is_rejected()));
        }
        Ok(Some(cited))
    }

    /// Whether the event is allowed by what it cites: the rule on `auth_events`, and the rules on the state that they make.
    fn check_cited(&mut self, pdu: &Pdu, cited: &[(EventNo, Pdu, bool)]) -> Result<Result<(), Denied>, Error> {
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
        self.put_outlier(no, pdu, standing, cited, verdict.err());
        Ok(())
    }

    fn put_outlier(
        &mut self,
        no: EventNo,
        pdu: &Pdu,
        standing: Standing,
        cited: Vec<(EventNo, Pdu, bool)>,
        denied: Option<Denied>,
    ) {
        let stored = self.stand(no, pdu, OUTSIDE, standing, None);
        self.nodes.insert(pdu.event_id().to_owned(), Node { no, standing, after: None });
        let origin = self.origin(denied.map(|denied| denied.to_string()));
        self.built.push(Built {
            stored,
            auth: states_of(&cited),
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
        let is_outlier = known.is_some();
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
        if let Some(denied) = denied {
            let no = self.number_of(known.as_ref());
            let states = States { before: before.clone(), after: before, merges };
            let reason = denied.to_string();
            self.put_aside(no, pdu, Standing::Rejected, states, cited, &reason, is_outlier, missing);
            return Ok(Step::other(Outcome::Rejected(reason)));
        }
        if let Some(gap) = self.bundle.fills {
            let left = i64::try_from(self.bundle.events.len() - at).unwrap_or(i64::MAX);
            let no = self.number_of(known.as_ref());
            return self.fill(no, pdu, gap - left, before, merges, cited, is_outlier, missing);
        }
        // 6. by the current state of the room.
        let current = self.head.state.clone().filter(|state| state.no != before.no && !self.bundle.starts_over);
        let soft_failed = match current {
            Some(current) => self.check_at(pdu, &current, &cited)?.err(),
            None => None,
        };
        let key = self.names.keys.of(pdu)?;
        if soft_failed.is_none() && self.meets_others(pdu, key.is_some()) && !self.is_committed(pdu, is_outlier) {
            return Ok(self.commit_first(pdu, is_outlier, key.is_some(), cited));
        }
        let no = self.number_of(known.as_ref());
        let after = match key {
            Some(key) => self.planner.get_mut().apply(self.read, Some(&before), &[(key, Some(no))])?,
            None => before.clone(),
        };
        let states = States { before, after, merges };
        if let Some(denied) = soft_failed {
            let reason = denied.to_string();
            self.put_aside(no, pdu, Standing::SoftFailed, states, cited, &reason, is_outlier, missing);
            return Ok(Step::other(Outcome::SoftFailed(reason)));
        }
        self.accept(no, pdu, key, states, cited, is_outlier, missing)
    }

    fn number_of(&mut self, known: Option<&Node>) -> EventNo {
        known.map_or_else(|| self.take_number(), |node| node.no)
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
    fn check_at(
        &mut self,
        pdu: &Pdu,
        state: &Snapshot,
        cited: &[(EventNo, Pdu, bool)],
    ) -> Result<Result<(), Denied>, Error> {
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
    fn commit_first(&mut self, pdu: &Pdu, is_outlier: bool, is_state: bool, cited: Vec<(EventNo, Pdu, bool)>) -> Step {
        if is_state && !is_outlier {
            let no = self.take_number();
            self.put_outlier(no, pdu, Standing::Outlier, cited, None);
        }
        Step::Commit
    }

    #[expect(clippy::too_many_arguments, reason = "all that there is to know about the event")]
    fn put_aside(
        &mut self,
        no: EventNo,
        pdu: &Pdu,
        standing: Standing,
        states: States,
        cited: Vec<(EventNo, Pdu, bool)>,
        reason: &str,
        was_outlier: bool,
        missing: Vec<OwnedEventId>,
    ) {
        let stored = self.stand(no, pdu, OUTSIDE, standing, None);
        let after = Some(After::Loaded(states.after.clone()));
        self.nodes.insert(pdu.event_id().to_owned(), Node { no, standing, after });
        let origin = self.origin(Some(reason.to_owned()));
        self.built.push(Built {
            stored,
            auth: states_of(&cited),
            states: Some(states),
            line: Vec::new(),
            redacts: None,
            transaction: None,
            received: Some(Received { origin, was_outlier, missing, aside: true, fills: false, redacted_by: None }),
        });
    }

    /// Puts an event into a gap of the history.
    #[expect(clippy::too_many_arguments, reason = "all that there is to know about the event")]
    fn fill(
        &mut self,
        no: EventNo,
        pdu: &Pdu,
        idx: i64,
        before: Snapshot,
        merges: bool,
        cited: Vec<(EventNo, Pdu, bool)>,
        was_outlier: bool,
        missing: Vec<OwnedEventId>,
    ) -> Result<Step, Error> {
        let (mut after, mut replaces) = (before.clone(), None);
        if let Some(key) = self.names.keys.of(pdu)? {
            let planner = self.planner.get_mut();
            replaces = planner.get_many(self.read, &before, &[key])?.pop().flatten();
            after = planner.apply(self.read, Some(&before), &[(key, Some(no))])?;
        }
        let idx = if is_dummy(pdu) { OUTSIDE } else { idx };
        let stored = self.stand(no, pdu, idx, Standing::Accepted, replaces);
        let left = Some(After::Loaded(after.clone()));
        self.nodes.insert(pdu.event_id().to_owned(), Node { no, standing: Standing::Accepted, after: left });
        let redacts = self.redacts(pdu, &before)?;
        let redacted_by = self.redacted_by(pdu)?;
        let origin = self.origin(None);
        self.built.push(Built {
            stored,
            auth: states_of(&cited),
            states: Some(States { before, after, merges }),
            line: Vec::new(),
            redacts,
            transaction: None,
            received: Some(Received { origin, was_outlier, missing, aside: true, fills: true, redacted_by }),
        });
        Ok(Step::Verdict(Verdict::Accepted(self.built.len() - 1)))
    }

    #[expect(clippy::too_many_arguments, reason = "all that there is to know about the event")]
    fn accept(
        &mut self,
        no: EventNo,
        pdu: &Pdu,
        key: Option<StateKeyNo>,
        states: States,
        cited: Vec<(EventNo, Pdu, bool)>,
        was_outlier: bool,
        missing: Vec<OwnedEventId>,
    ) -> Result<Step, Error> {
        let replaces = match key {
            Some(key) => self.planner.get_mut().get_many(self.read, &states.before, &[key])?.pop().flatten(),
            None => None,
        };
        let is_behind = self.cited.contains(pdu.event_id().as_str());
        let mut tips = self.other_tips(pdu)?;
        let old = self.head.state.clone().unwrap_or_else(|| self.planner.borrow().empty());
        let aside = old.no != states.before.no && !(self.head.is_new() || self.bundle.starts_over);
        let current = if tips.is_empty() && !is_behind {
            states.after.clone()
        } else {
            let mut around = vec![old.clone()];
            for (_, tip) in &tips {
                around.extend(self.after_tip(tip.event_id())?);
            }
            // The state now stands first so that the result is most like it, but it is no part of the resolution itself.
            let mut parts: Vec<Snapshot> = around.drain(1..).collect();
            if !is_behind {
                parts.push(states.after.clone());
            }
            if parts.is_empty() { old.clone() } else { self.merge_current(&old, parts)? }
        };
        if !is_behind {
            tips.push((no, pdu.clone()));
        }
        self.head.set_tips(tips);
        let idx = if is_dummy(pdu) { OUTSIDE } else { self.next_place(!missing.is_empty()) };
        self.head.at.idx = self.head.at.idx.max(idx);
        let stored = self.stand(no, pdu, idx, Standing::Accepted, replaces);
        let after = Some(After::Loaded(states.after.clone()));
        self.nodes.insert(pdu.event_id().to_owned(), Node { no, standing: Standing::Accepted, after });
        let begins = self.head.is_new() || self.bundle.starts_over;
        let mut line = self.line(&old, &current)?;
        for change in &mut line {
            change.from_before = begins && change.event != Some(no);
            self.head.forget(&change.kind, &change.state_key);
        }
        self.head.state = Some(current);
        let redacts = self.redacts(pdu, &states.before)?;
        if let Some(Redacts::Known(target)) = &redacts
            && let Some(key) = self.pdu(*target)?.state_key()
        {
            let kind = self.pdu(*target)?.kind().to_owned();
            self.head.forget(&kind, key);
        }
        let redacted_by = self.redacted_by(pdu)?;
        let origin = self.origin(None);
        self.built.push(Built {
            stored,
            auth: states_of(&cited),
            states: Some(states),
            line,
            redacts,
            transaction: None,
            received: Some(Received { origin, was_outlier, missing, aside, fills: false, redacted_by }),
        });
        Ok(Step::Verdict(Verdict::Accepted(self.built.len() - 1)))
    }

    /// Where history is missing before an event, there is room left for it.
    fn next_place(&self, after_a_gap: bool) -> i64 {
        const ROOM: i64 = 1 << 32;
        let last = self.head.at.idx;
        if after_a_gap && last > 0 { (last / ROOM + 1) * ROOM } else { last + 1 }
    }

    fn after_tip(&mut self, id: &EventId) -> Result<Option<Snapshot>, Error> {
        if !self.nodes.contains_key(id) {
            for (id, _, no, place) in events::places(self.read, &[id.as_str()])? {
                if let Ok(id) = EventId::parse(id) {
                    self.nodes.insert(id, Node::stored(no, &place));
                }
            }
        }
        self.after(id)
    }

    /// Resolves what the tips leave. Where they leave nothing but what was resolved before, it is not resolved again.
    fn merge_current(&mut self, old: &Snapshot, parts: Vec<Snapshot>) -> Result<Snapshot, Error> {
        let before: Vec<_> = {
            let ids: Vec<OwnedEventId> = self.head.tips().map(|(_, pdu)| pdu.event_id().to_owned()).collect();
            let mut before = Vec::with_capacity(ids.len());
            for id in ids {
                before.extend(self.after_tip(&id)?.map(|state| state.no));
            }
            before
        };
        let same: HashSet<_> = parts.iter().map(|state| state.no).collect();
        if same == before.into_iter().collect::<HashSet<_>>() {
            return Ok(old.clone());
        }
        self.merge(&parts)
    }

    /// What changes from one current state to the next.
    fn line(&mut self, old: &Snapshot, new: &Snapshot) -> Result<Vec<LineChange>, Error> {
        let changed = self.planner.get_mut().diff(self.read, old, new)?;
        let mut names = HashMap::with_capacity(changed.len());
        let numbers: Vec<_> = changed.iter().map(|change| change.key).collect();
        for piece in numbers.chunks(1000) {
            for (no, kind, state_key) in state_map::key_names(self.read, piece)? {
                names.insert(no, (kind, state_key));
            }
        }
        let events: Vec<_> = changed
            .iter()
            .flat_map(|change| [change.left, change.right])
            .flatten()
            .filter(|no| !self.new.contains_key(no))
            .collect();
        let stored = self.rooms.stored_map(self.read, self.room, &events)?;
        let find = |no: EventNo| self.new.get(&no).or_else(|| stored.get(&no)).cloned();
        let mut line = Vec::with_capacity(changed.len());
        for change in changed {
            let (kind, state_key) = names
                .remove(&change.key)
                .ok_or_else(|| Error::Damaged(format!("state key {} has no name", change.key)))?;
            let (before, after) = (change.left.and_then(find), change.right.and_then(find));
            let member = if kind == "m.room.member" {
                let of = |stored: &Option<Arc<Stored>>| stored.as_ref().and_then(|stored| membership_of(&stored.pdu));
                let (was, is) = (of(&before), of(&after));
                self.head.count(was, is);
                self.member(&state_key, after.as_deref(), was, is)?
            } else {
                None
            };
            let word = after.as_ref().and_then(|stored| word_of(&stored.pdu));
            line.push(LineChange { kind, state_key, event: change.right, word, member, from_before: false });
        }
        Ok(line)
    }

    fn member(
        &self,
        state_key: &str,
        event: Option<&Stored>,
        was: Option<Membership>,
        is: Option<Membership>,
    ) -> Result<Option<MemberChange>, Error> {
        let Ok(user) = UserId::parse(state_key) else { return Ok(None) };
        let Some(no) = self.user(&user)? else { return Ok(None) };
        let sender = match event {
            Some(event) => self.user(event.pdu.sender())?.unwrap_or(no),
            None => no,
        };
        // Who is nothing to the room any more is like one who has left.
        let membership = is.unwrap_or(Membership::Leave);
        Ok(Some(MemberChange { user: no, membership, sender, changes: was != Some(membership) }))
    }

    fn user(&self, user: &UserId) -> Result<Option<UserNo>, Error> {
        match self.names.users.get(user) {
            Some(no) => Ok(Some(*no)),
            None => Ok(users_no::find(self.read, user)?),
        }
    }

    /// What a redaction that was accepted redacts.
    fn redacts(&mut self, pdu: &Pdu, state: &Snapshot) -> Result<Option<Redacts>, Error> {
        let Some(id) = pdu.redacts().filter(|_| pdu.state_key().is_none()) else { return Ok(None) };
        let Some(node) = self.nodes.get(id) else { return Ok(Some(Redacts::Awaited(id.to_owned()))) };
        let target = self.pdu(node.no)?;
        let no = node.no;
        Ok(self.may_redact(pdu, &target, state)?.then_some(Redacts::Known(no)))
    }

    /// The redaction that came before this event, if there is one that counts.
    fn redacted_by(&mut self, pdu: &Pdu) -> Result<Option<EventNo>, Error> {
        let waiting = self.awaited.get(pdu.event_id().as_str()).cloned().unwrap_or_default();
        for no in waiting {
            let redaction = self.pdu(no)?;
            let places = events::places(self.read, &[redaction.event_id().as_str()])?;
            let Some(before) = places.first().and_then(|(_, _, _, place)| place.before) else { continue };
            let Some(state) = self.rooms.0.states.snapshot(self.read, self.room.no, before)? else { continue };
            if self.may_redact(&redaction, pdu, &state)? {
                return Ok(Some(no));
            }
        }
        Ok(None)
    }

    /// Whether a redaction takes effect. From room version 3 on the authorisation rules leave that to the receiver.
    /// <https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions>
    fn may_redact(&mut self, redaction: &Pdu, target: &Pdu, state: &Snapshot) -> Result<bool, Error> {
        if self.room.rules.auth.redaction_rule || redaction.sender().server_name() == target.sender().server_name() {
            return Ok(true);
        }
        let view = View { judge: self, state, stand_ins: &[], error: RefCell::default() };
        let power = PowerLevels::of(&view);
        let allowed = power.for_user(redaction.sender()) >= power.redact();
        match view.error.take() {
            Some(error) => Err(error),
            None => Ok(allowed),
        }
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
fn states_of(cited: &[(EventNo, Pdu, bool)]) -> Vec<EventNo> {
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
    stand_ins: &'a [(EventNo, Pdu, bool)],
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
