//! What a judged event leads to: its place, the room's new current state, and what changes by it.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use roost_matrix::{
    auth::power::PowerLevels,
    event::Pdu,
    ids::{EventId, OwnedEventId, UserId},
};
use roost_store::{
    EventNo, Membership, StateKeyNo, UserNo,
    events::{self, Standing},
    state_map::{self, Snapshot},
    users_no,
};

use super::{After, Candidate, Judge, Node, Step, Verdict, View};
use crate::{
    Error, Stored,
    head::{Built, LineChange, MemberChange, Received, Redacts, States, is_dummy, membership_of, word_of},
    receive::Outcome,
    stored::OUTSIDE,
};

impl Judge<'_> {
    /// Keeps an event that clients are not shown, and that is no forward extremity.
    pub(super) fn put_aside(
        &mut self,
        candidate: Candidate<'_>,
        standing: Standing,
        states: States,
        reason: String,
    ) -> Step {
        let Candidate { no, pdu, auth, was_outlier, missing } = candidate;
        let stored = self.stand(no, pdu, OUTSIDE, standing, None);
        self.note(pdu, no, standing, &states);
        let origin = self.origin(Some(reason.clone()));
        let received = Received { origin, was_outlier, missing, aside: true, fills: false, redacted_by: None };
        self.built.push(Built {
            stored,
            auth,
            states: Some(states),
            line: Vec::new(),
            redacts: None,
            transaction: None,
            received: Some(received),
        });
        Step::other(if standing == Standing::Rejected {
            Outcome::Rejected(reason)
        } else {
            Outcome::SoftFailed(reason)
        })
    }

    fn note(&mut self, pdu: &Pdu, no: EventNo, standing: Standing, states: &States) {
        let after = Some(After::Loaded(states.after.clone()));
        self.nodes.insert(pdu.event_id().to_owned(), Node { no, standing, after });
    }

    /// The state event that this one replaces where it stands.
    fn replaces(&mut self, key: Option<StateKeyNo>, states: &States) -> Result<Option<EventNo>, Error> {
        match key {
            Some(key) => Ok(self.planner.get_mut().get_many(self.read, &states.before, &[key])?.pop().flatten()),
            None => Ok(None),
        }
    }

    /// Puts an event into a gap of the history.
    pub(super) fn fill(
        &mut self,
        candidate: Candidate<'_>,
        idx: i64,
        key: Option<StateKeyNo>,
        states: States,
    ) -> Result<Step, Error> {
        let Candidate { no, pdu, auth, was_outlier, missing } = candidate;
        let replaces = self.replaces(key, &states)?;
        let idx = if is_dummy(pdu) { OUTSIDE } else { idx };
        let stored = self.stand(no, pdu, idx, Standing::Accepted, replaces);
        self.note(pdu, no, Standing::Accepted, &states);
        let redacts = self.redacts(pdu, &states.before)?;
        let redacted_by = self.redacted_by(pdu)?;
        let origin = self.origin(None);
        let received = Received { origin, was_outlier, missing, aside: true, fills: true, redacted_by };
        self.built.push(Built {
            stored,
            auth,
            states: Some(states),
            line: Vec::new(),
            redacts,
            transaction: None,
            received: Some(received),
        });
        Ok(Step::Verdict(Verdict::Accepted(self.built.len() - 1)))
    }

    /// Puts an event after what it follows, and works out the room's current state with it.
    pub(super) fn accept(
        &mut self,
        candidate: Candidate<'_>,
        key: Option<StateKeyNo>,
        states: States,
    ) -> Result<Step, Error> {
        let Candidate { no, pdu, auth, was_outlier, missing } = candidate;
        let replaces = self.replaces(key, &states)?;
        let is_behind = self.cited.contains(pdu.event_id().as_str());
        let mut tips = self.other_tips(pdu)?;
        let old = self.head.state.clone().unwrap_or_else(|| self.planner.borrow().empty());
        let aside = old.no != states.before.no && !(self.head.is_new() || self.bundle.starts_over);
        let current = if tips.is_empty() && !is_behind {
            states.after.clone()
        } else {
            let mut parts = Vec::with_capacity(tips.len() + 1);
            for (_, tip) in &tips {
                parts.extend(self.after_tip(tip.event_id())?);
            }
            if !is_behind {
                parts.push(states.after.clone());
            }
            if parts.is_empty() { old.clone() } else { self.merge_current(&old, &parts)? }
        };
        if !is_behind {
            tips.push((no, pdu.clone()));
        }
        self.head.set_tips(tips);
        let idx = if is_dummy(pdu) { OUTSIDE } else { self.next_place(!missing.is_empty()) };
        self.head.at.idx = self.head.at.idx.max(idx);
        let stored = self.stand(no, pdu, idx, Standing::Accepted, replaces);
        self.note(pdu, no, Standing::Accepted, &states);
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
            auth,
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
    fn merge_current(&mut self, old: &Snapshot, parts: &[Snapshot]) -> Result<Snapshot, Error> {
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
        self.merge(parts)
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
}
