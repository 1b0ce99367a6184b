//! The end of a room's history in memory, and how events are put after it.
//!
//! The head knows those keys of the state that were asked for, not the whole state, so that it costs the same in a
//! room of two members as in one of two thousand. Where a key is not known yet, [`Head::extend`] says which, and goes on
//! once it was [learned](Head::learn).

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use roost_matrix::{
    auth::{self, Checker, StateView, power::PowerLevels},
    event::{Draft, MAX_PREV_EVENTS, Pdu, SealError},
    ids::{OwnedEventId, OwnedUserId, RoomId, UserId},
    room_version::{EventIds, Rules},
};
use roost_store::{
    EventNo, Membership, RoomNo, UserNo,
    events::{Origin, Standing},
    rooms,
    state_map::Snapshot,
    transactions::TransactionKey,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Error, Identity, Sent, Stored, stored::OUTSIDE};

/// An event that is wanted, with everything about it that had to be looked up outside the room's state.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) sender: OwnedUserId,
    pub(crate) sender_no: UserNo,
    pub(crate) kind: String,
    pub(crate) state_key: Option<String>,
    /// The number of the user that a member event is about.
    pub(crate) member_no: Option<UserNo>,
    pub(crate) content: Box<RawValue>,
    /// What an `m.room.redaction` redacts.
    pub(crate) redacts: Option<Arc<Stored>>,
    pub(crate) transaction: Option<TransactionKey>,
    pub(crate) timestamp: u64,
    pub(crate) expect: Option<Expect>,
}

/// What an endpoint asks of a user's membership beyond the authorisation rules.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub(crate) of: OwnedUserId,
    /// Then there is nothing to do, and the present member event is the answer.
    pub(crate) done: &'static [Membership],
    /// Then it may go on.
    pub(crate) any_of: &'static [Membership],
    pub(crate) otherwise: Error,
}

/// A state event as the head knows it.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) stored: Arc<Stored>,
    pub(crate) redacted: bool,
}

/// An event that was judged, made here or received, and waits to be committed.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) stored: Arc<Stored>,
    /// Of a state event: those that it cites in `auth_events`.
    pub(crate) auth: Vec<EventNo>,
    /// The state before it and after it; `None` for outliers.
    pub(crate) states: Option<States>,
    /// What it changes of the room's current state.
    pub(crate) line: Vec<LineChange>,
    pub(crate) redacts: Option<Redacts>,
    pub(crate) transaction: Option<TransactionKey>,
    /// What only events of other servers have.
    pub(crate) received: Option<Received>,
}

/// The state around an event.
#[derive(Clone, Debug)]
pub(crate) struct States {
    pub(crate) before: Snapshot,
    pub(crate) after: Snapshot,
    /// Whether the state before it is not just what one other event left.
    pub(crate) merges: bool,
}

/// What a redaction redacts.
#[derive(Clone, Debug)]
pub(crate) enum Redacts {
    Known(EventNo),
    Awaited(OwnedEventId),
}

/// What there is to note about an event of another server.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) origin: Origin,
    /// Whether it was an outlier before.
    pub(crate) was_outlier: bool,
    /// Those of its `prev_events` that are not here.
    pub(crate) missing: Vec<OwnedEventId>,
    /// Whether the state before it is not the room's current one.
    pub(crate) aside: bool,
    /// Whether it fills a gap: then nobody is told.
    pub(crate) fills: bool,
    /// A redaction that came before it.
    pub(crate) redacted_by: Option<EventNo>,
}

/// A change of the room's current state.
#[derive(Clone, Debug)]
pub(crate) struct LineChange {
    pub(crate) kind: String,
    pub(crate) state_key: String,
    /// `None`: no longer set.
    pub(crate) event: Option<EventNo>,
    pub(crate) word: Option<String>,
    pub(crate) member: Option<MemberChange>,
    /// Whether it is no change by the event, but was there before it in a room that begins with it here.
    pub(crate) from_before: bool,
}

/// A membership after a change of the current state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberChange {
    pub(crate) user: UserNo,
    pub(crate) membership: Membership,
    pub(crate) sender: UserNo,
    /// Whether the membership is another one than before.
    pub(crate) changes: bool,
}

/// The type of events that servers send to join loose ends of a room's graph. They say nothing, and clients are not shown them.
pub(crate) const DUMMY: &str = "org.matrix.dummy_event";

/// Whether an event has no place in the history although it is accepted.
pub(crate) fn is_dummy(pdu: &Pdu) -> bool {
    pdu.kind() == DUMMY && pdu.state_key().is_none()
}

/// The part of a state event's content that visibility is decided by.
pub(crate) fn word_of(pdu: &Pdu) -> Option<String> {
    let words: Words<'_> = serde_json::from_str(pdu.content()).ok()?;
    match (pdu.kind(), pdu.state_key()?) {
        ("m.room.member", _) => words.membership.map(Into::into),
        ("m.room.history_visibility", "") => words.history_visibility.map(Into::into),
        _ => None,
    }
}

/// A key of the state: event type and state key.
pub(crate) type Key = (String, String);

pub(crate) enum Step {
    /// It is on the head now.
    Built(Box<Built>),
    /// There is nothing to do: this event is already what was asked for.
    Same(OwnedEventId),
    /// Keys of the state that must be known first.
    Missing(HashSet<Key>),
}

#[derive(Debug, Default)]
struct Known(HashMap<String, HashMap<String, Option<Fact>>>);

impl Known {
    fn get(&self, kind: &str, state_key: &str) -> Option<&Option<Fact>> {
        self.0.get(kind)?.get(state_key)
    }

    fn set(&mut self, kind: &str, state_key: &str, fact: Option<Fact>) {
        match self.0.get_mut(kind) {
            Some(keys) => drop(keys.insert(state_key.to_owned(), fact)),
            None => drop(self.0.insert(kind.to_owned(), HashMap::from([(state_key.to_owned(), fact)]))),
        }
    }
}

/// The known state as the authorisation rules see it; notes what they ask for in vain.
struct View<'a> {
    known: &'a Known,
    missing: RefCell<HashSet<Key>>,
}

impl StateView for View<'_> {
    fn get(&self, kind: &str, state_key: &str) -> Option<Pdu> {
        if let Some(fact) = self.known.get(kind, state_key) {
            fact.as_ref().map(|fact| fact.stored.pdu.clone())
        } else {
            self.missing.borrow_mut().insert((kind.to_owned(), state_key.to_owned()));
            None
        }
    }
}

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) room: RoomNo,
    pub(crate) rules: &'static Rules,
    pub(crate) revision: i64,
    pub(crate) at: rooms::Head,
    /// A room that is being created: what is not known of its state does not exist.
    is_new: bool,
    /// The events of `at.tips`.
    tips: Vec<Pdu>,
    /// The snapshot of `at.state`; that number follows when it is committed.
    pub(crate) state: Option<Snapshot>,
    known: Known,
    checker: Checker,
}

#[derive(Deserialize)]
struct Words<'a> {
    #[serde(borrow, default)]
    membership: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    history_visibility: Option<std::borrow::Cow<'a, str>>,
}

/// The membership that a member event sets.
pub(crate) fn membership_of(pdu: &Pdu) -> Option<Membership> {
    let words: Words<'_> = serde_json::from_str(pdu.content()).ok()?;
    words.membership.as_deref().and_then(Membership::parse)
}

fn same_json(a: &str, b: &str) -> bool {
    // Values, not texts: the order of members does not matter, and what is stored is canonical.
    matches!((serde_json::from_str::<serde_json::Value>(a), serde_json::from_str::<serde_json::Value>(b)), (Ok(a), Ok(b)) if a == b)
}

impl Head {
    /// Of a room whose create event is still to come.
    pub(crate) fn new_room(room: RoomNo, rules: &'static Rules) -> Self {
        Self {
            room,
            rules,
            revision: 0,
            at: rooms::Head::EMPTY,
            is_new: true,
            tips: Vec::new(),
            state: None,
            known: Known::default(),
            checker: Checker::default(),
        }
    }

    /// Of a room as it is stored.
    pub(crate) fn stored(row: rooms::RoomRow, rules: &'static Rules, tips: Vec<Pdu>, state: Option<Snapshot>) -> Self {
        Self { revision: row.revision, at: row.head, is_new: false, tips, state, ..Self::new_room(row.room, rules) }
    }

    /// Whether the room is still to be created.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Forgets one key of the state; it is read again as needed.
    pub(crate) fn forget(&mut self, kind: &str, state_key: &str) {
        if let Some(keys) = self.known.0.get_mut(kind) {
            keys.remove(state_key);
        }
    }

    /// Puts other tips in place of the present ones.
    pub(crate) fn set_tips(&mut self, tips: Vec<(EventNo, Pdu)>) {
        let depth = tips.iter().map(|(_, pdu)| pdu.depth()).max().unwrap_or(0);
        self.at.depth = i64::try_from(depth).unwrap_or(i64::MAX);
        (self.at.tips, self.tips) = tips.into_iter().unzip();
    }

    /// The forward extremities.
    pub(crate) fn tips(&self) -> impl Iterator<Item = (EventNo, &Pdu)> {
        self.at.tips.iter().copied().zip(&self.tips)
    }

    /// Counts members once a membership has become another one.
    pub(crate) fn count(&mut self, before: Option<Membership>, after: Option<Membership>) {
        let count = |of| i64::from(after == Some(of)) - i64::from(before == Some(of));
        let counts = self.at.members.so_far_mut();
        counts.joined += count(Membership::Join);
        counts.invited += count(Membership::Invite);
    }

    /// What a key of the state is at the head; `None` for "not set".
    pub(crate) fn learn(&mut self, key: &Key, fact: Option<Fact>) {
        self.known.set(&key.0, &key.1, fact);
    }

    /// How many keys are known, as a measure of memory.
    pub(crate) fn size(&self) -> usize {
        self.known.0.values().map(HashMap::len).sum()
    }

    /// Forgets what is known of the state; it is read again as needed.
    pub(crate) fn shrink(&mut self) {
        self.known = Known::default();
    }

    /// The keys that an event is sure to need and that are not known yet.
    pub(crate) fn needs(&self, wanted: &Wanted, missing: &mut HashSet<Key>) {
        let mut need = |kind: &str, state_key: &str| {
            if self.known.get(kind, state_key).is_none() {
                missing.insert((kind.to_owned(), state_key.to_owned()));
            }
        };
        if self.is_new {
            return;
        }
        need("m.room.create", "");
        need("m.room.power_levels", "");
        need("m.room.member", wanted.sender.as_str());
        if let Some(state_key) = &wanted.state_key {
            need(&wanted.kind, state_key);
        }
        if wanted.kind == "m.room.member" {
            for (kind, state_key) in auth::auth_types(
                self.rules,
                &wanted.kind,
                &wanted.sender,
                wanted.state_key.as_deref(),
                wanted.content.get(),
            ) {
                need(&kind, &state_key);
            }
            need("m.room.join_rules", "");
        }
        if let Some(expect) = &wanted.expect {
            need("m.room.member", expect.of.as_str());
        }
    }

    fn membership(&self, user: &UserId) -> Option<(Membership, &Fact)> {
        let fact = self.known.get("m.room.member", user.as_str())?.as_ref()?;
        Some((membership_of(&fact.stored.pdu).unwrap_or(Membership::Leave), fact))
    }

    /// Puts an event after the head: chains it, authorises it, signs it. An error refuses this event only.
    pub(crate) fn extend(
        &mut self,
        identity: &Identity,
        room_id: Option<&RoomId>,
        no: EventNo,
        wanted: &Wanted,
    ) -> Result<Step, Error> {
        let mut missing = HashSet::new();
        self.needs(wanted, &mut missing);
        if !missing.is_empty() {
            return Ok(Step::Missing(missing));
        }

        if let Some(expect) = &wanted.expect {
            match self.membership(&expect.of) {
                Some((membership, fact)) if expect.done.contains(&membership) => {
                    return Ok(Step::Same(fact.stored.pdu.event_id().to_owned()));
                }
                Some((membership, _)) if expect.any_of.contains(&membership) => {}
                None if expect.any_of.contains(&Membership::Leave) => {}
                _ => return Err(expect.otherwise.clone()),
            }
        }

        let replaced = wanted.state_key.as_ref().and_then(|key| self.known.get(&wanted.kind, key)?.as_ref()).cloned();
        let is_inside = self.membership(&wanted.sender).is_some_and(|(membership, _)| membership == Membership::Join);
        if let Some(fact) = &replaced
            && is_inside
            && !fact.redacted
            && fact.stored.pdu.sender() == wanted.sender
            && same_json(fact.stored.pdu.content(), wanted.content.get())
        {
            return Ok(Step::Same(fact.stored.pdu.event_id().to_owned()));
        }

        let (pdu, auth) = self.seal(identity, room_id, wanted)?;
        let view = View { known: &self.known, missing: RefCell::default() };
        let verdict = self.checker.check(&pdu, &view);
        if !self.is_new {
            let missing = view.missing.take();
            if !missing.is_empty() {
                return Ok(Step::Missing(missing));
            }
        }
        verdict.map_err(|denied| Error::Forbidden(denied.to_string()))?;
        if let Some(target) = &wanted.redacts {
            self.may_redact(&wanted.sender, target)?;
        }
        Ok(Step::Built(Box::new(self.put(no, pdu, auth, wanted, replaced.as_ref()))))
    }

    /// The event as it stands after the tips, and the numbers of those that it cites.
    fn draft(&self, room_id: Option<&RoomId>, wanted: &Wanted) -> (Draft, Vec<EventNo>) {
        let (mut auth_events, mut auth) = (Vec::new(), Vec::new());
        let mut reference_hashes = Vec::new();
        let mut cite = |pdu: &Pdu| {
            if self.rules.event_ids == EventIds::Chosen {
                reference_hashes.push((pdu.event_id().to_owned(), pdu.reference_hash()));
            }
        };
        let prev_events = self.tips.get(..MAX_PREV_EVENTS.min(self.tips.len())).unwrap_or_default();
        prev_events.iter().for_each(&mut cite);
        for (kind, state_key) in auth::auth_types(
            self.rules,
            &wanted.kind,
            &wanted.sender,
            wanted.state_key.as_deref(),
            wanted.content.get(),
        ) {
            if let Some(Some(fact)) = self.known.get(&kind, &state_key) {
                cite(&fact.stored.pdu);
                auth_events.push(fact.stored.pdu.event_id().to_owned());
                auth.push(fact.stored.no);
            }
        }
        let draft = Draft {
            room_id: room_id.map(ToOwned::to_owned),
            sender: wanted.sender.clone(),
            kind: wanted.kind.clone(),
            state_key: wanted.state_key.clone(),
            content: wanted.content.clone(),
            redacts: wanted.redacts.as_ref().map(|target| target.pdu.event_id().to_owned()),
            prev_events: prev_events.iter().map(|tip| tip.event_id().to_owned()).collect(),
            auth_events,
            reference_hashes,
            depth: u64::try_from(self.at.depth).unwrap_or(0).saturating_add(1).min(self.rules.max_depth),
            origin_server_ts: wanted.timestamp,
        };
        (draft, auth)
    }

    fn seal(
        &self,
        identity: &Identity,
        room_id: Option<&RoomId>,
        wanted: &Wanted,
    ) -> Result<(Pdu, Vec<EventNo>), Error> {
        let (draft, auth) = self.draft(room_id, wanted);
        let pdu = draft.seal(self.rules, &identity.server_name, &identity.key).map_err(|error| match error {
            SealError::TooLarge(_) => Error::TooLarge,
            SealError::BadJson(why) => Error::BadJson(why.to_string()),
        })?;
        Ok((pdu, auth))
    }

    /// The event as it would stand after the tips, if the rules allow it; or the keys of the state that must be known first.
    pub(crate) fn draft_if_allowed(
        &mut self,
        identity: &Identity,
        room_id: &RoomId,
        wanted: &Wanted,
    ) -> Result<Result<Draft, HashSet<Key>>, Error> {
        let mut missing = HashSet::new();
        self.needs(wanted, &mut missing);
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        // The rules read events: this one is made only to be looked at.
        let (pdu, _) = self.seal(identity, Some(room_id), wanted)?;
        let view = View { known: &self.known, missing: RefCell::default() };
        let verdict = self.checker.check(&pdu, &view);
        let missing = view.missing.take();
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        verdict.map_err(|denied| Error::Forbidden(denied.to_string()))?;
        Ok(Ok(self.draft(Some(room_id), wanted).0))
    }

    /// Whether a redaction takes effect: the sender's own events, or anybody's with the power to redact.
    /// <https://spec.matrix.org/v1.19/client-server-api/#redactions>
    fn may_redact(&self, sender: &UserId, target: &Stored) -> Result<(), Error> {
        if target.pdu.kind() == "m.room.create" {
            return Err(Error::forbidden("The event that created the room can not be redacted"));
        }
        if target.pdu.sender() == sender {
            return Ok(());
        }
        let view = View { known: &self.known, missing: RefCell::default() };
        let power = PowerLevels::of(&view);
        if power.for_user(sender) >= power.redact() {
            Ok(())
        } else {
            Err(Error::forbidden("You do not have the power to redact other people's events"))
        }
    }

    fn put(&mut self, no: EventNo, pdu: Pdu, auth: Vec<EventNo>, wanted: &Wanted, replaced: Option<&Fact>) -> Built {
        let idx = if is_dummy(&pdu) { OUTSIDE } else { self.at.idx + 1 };
        self.at.idx = self.at.idx.max(idx);
        self.set_tips(vec![(no, pdu.clone())]);
        let stored = Arc::new(Stored {
            no,
            room: self.room,
            idx,
            standing: Standing::Accepted,
            replaces: replaced.map(|fact| fact.stored.no),
            sent: wanted
                .transaction
                .as_ref()
                .map(|key| Sent { device: key.device.as_str().into(), txn_id: key.txn_id.as_str().into() }),
            pdu,
        });
        if let Some(target) = &wanted.redacts
            && let Some(state_key) = target.pdu.state_key()
            && let Some(Some(fact)) = self.known.get(target.pdu.kind(), state_key)
            && fact.stored.no == target.no
        {
            let fact = Fact { redacted: true, ..fact.clone() };
            self.known.set(target.pdu.kind(), state_key, Some(fact));
        }
        let mut line = Vec::new();
        if let Some(state_key) = &wanted.state_key {
            self.known.set(&wanted.kind, state_key, Some(Fact { stored: stored.clone(), redacted: false }));
            let member = wanted.member_no.and_then(|user| {
                let membership = membership_of(&stored.pdu)?;
                let before = replaced.and_then(|fact| membership_of(&fact.stored.pdu));
                self.count(before, Some(membership));
                let changes = before != Some(membership);
                Some(MemberChange { user, membership, sender: wanted.sender_no, changes })
            });
            let (kind, state_key) = (wanted.kind.clone(), state_key.clone());
            let word = word_of(&stored.pdu);
            line.push(LineChange { kind, state_key, event: Some(no), word, member, from_before: false });
        }
        Built {
            stored,
            auth,
            states: None,
            line,
            redacts: wanted.redacts.as_ref().map(|target| Redacts::Known(target.no)),
            transaction: wanted.transaction.clone(),
            received: None,
        }
    }
}
