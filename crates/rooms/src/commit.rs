//! What one commit writes: events, their places, the states around them, what changes of the room's current state,
//! memberships, transaction ids.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use roost_matrix::ids::OwnedEventId;
use roost_store::{
    Change, EventNo, Read, RoomNo, Slot, Tx, UserNo, aliases, auth_chains,
    events::{self, Place},
    memberships, missing_events, rooms,
    state::{self, Change as StateChange},
    state_map, timeline,
    transactions::{self, TransactionKey},
};

use crate::{
    Error,
    head::{Built, Fact, Head, Key, MemberChange, Redacts},
    stored::OUTSIDE,
};

/// Events that belong together, and the head after them.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) room: RoomNo,
    /// The revision on which it was built.
    pub(crate) revision: i64,
    pub(crate) head: rooms::Head,
    pub(crate) built: Vec<Built>,
    /// The snapshots around the events, where there are new ones.
    pub(crate) states: state_map::Plan,
    /// Where the new state events stand in the index of auth chains.
    pub(crate) chains: Option<Arc<auth_chains::Plan>>,
    pub(crate) create: Option<NewRoom>,
    /// The time in milliseconds since the epoch.
    pub(crate) now: i64,
}

/// What a new room has beside its events.
#[derive(Debug)]
pub(crate) struct NewRoom {
    pub(crate) room_id: String,
    pub(crate) version: &'static str,
    pub(crate) published: bool,
    pub(crate) creator: UserNo,
    pub(crate) alias: Option<String>,
}

/// Why a commit did not happen.
#[derive(Debug)]
pub(crate) enum NotCommitted {
    /// Somebody else moved the head, or made a room with the same id.
    Stale,
    Error(Error),
}

impl From<roost_store::Error> for NotCommitted {
    fn from(error: roost_store::Error) -> Self {
        Self::Error(error.into())
    }
}

impl From<Error> for NotCommitted {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Plan {
    /// Puts the final numbers of the snapshots in the place of the planner's.
    pub(crate) fn new(
        room: RoomNo,
        head: &mut Head,
        mut built: Vec<Built>,
        states: state_map::Plan,
        chains: Option<Arc<auth_chains::Plan>>,
        create: Option<NewRoom>,
        now: u64,
    ) -> Self {
        for states_of in built.iter_mut().filter_map(|built| built.states.as_mut()) {
            states_of.before = states.snapshot(&states_of.before);
            states_of.after = states.snapshot(&states_of.after);
        }
        head.state = head.state.take().map(|state| states.snapshot(&state));
        if let Some(state) = &head.state {
            head.at.state = state.no;
        }
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        Self { room, revision: head.revision, head: head.at.clone(), built, states, chains, create, now }
    }

    /// Writes it, or refuses before the first change. The slots are the positions of the events; of those that have no
    /// place in the history there is none.
    pub(crate) fn write(&self, tx: &Tx<'_>) -> Result<Vec<Option<Slot>>, NotCommitted> {
        match &self.create {
            Some(new) => self.create(tx, new)?,
            None => {
                if !rooms::move_head(tx, self.room, self.revision, &self.head)? {
                    return Err(NotCommitted::Stale);
                }
            }
        }
        let gone = |error| match error {
            roost_store::Error::Gone => NotCommitted::Stale,
            error => error.into(),
        };
        self.states.write(tx).map_err(gone)?;
        if let Some(chains) = &self.chains {
            chains.write(tx).map_err(gone)?;
        }
        self.events(tx)?;
        self.line(tx)?;
        for built in &self.built {
            match &built.redacts {
                Some(Redacts::Known(target)) => events::redact(tx, *target, built.stored.no, self.now)?,
                Some(Redacts::Awaited(target)) => {
                    events::await_target(tx, self.room, target.as_str(), built.stored.no)?;
                }
                None => {}
            }
            if let Some(redaction) = built.received.as_ref().and_then(|received| received.redacted_by) {
                events::redact(tx, built.stored.no, redaction, self.now)?;
            }
        }
        let sent: Vec<_> = self
            .built
            .iter()
            .filter_map(|built| Some((built.transaction.as_ref()?.digest(), built.stored.no)))
            .collect();
        if !sent.is_empty() {
            transactions::insert(tx, self.room, &sent)?;
        }
        let slots: Vec<_> = self.built.iter().map(|built| self.log(tx, built)).collect();
        self.memberships(tx, &slots)?;
        Ok(slots)
    }

    fn create(&self, tx: &Tx<'_>, new: &NewRoom) -> Result<(), NotCommitted> {
        if rooms::by_id(tx, &new.room_id)?.is_some() {
            return Err(NotCommitted::Stale);
        }
        if roost_store::deletion::is_pending(tx, &new.room_id)? {
            return Err(Error::BadState("A room of this id is being deleted".to_owned()).into());
        }
        if let Some(alias) = &new.alias {
            let taken = || Error::AliasTaken(alias.clone());
            if aliases::resolve(tx, alias)?.is_some() || !aliases::insert(tx, alias, self.room, new.creator, self.now)?
            {
                return Err(taken().into());
            }
        }
        rooms::insert(tx, self.room, &new.room_id, new.version, &self.head, new.published, self.now)?;
        Ok(())
    }

    fn events(&self, tx: &Tx<'_>) -> Result<(), Error> {
        let place = |built: &Built| Place {
            idx: Some(built.stored.idx).filter(|idx| *idx != OUTSIDE),
            standing: built.stored.standing,
            before: built.states.as_ref().map(|states| states.before.no),
            after: built.states.as_ref().map(|states| states.after.no),
            merges: built.states.as_ref().is_some_and(|states| states.merges),
            replaces: built.stored.replaces,
        };
        let was_outlier = |built: &&Built| built.received.as_ref().is_some_and(|received| received.was_outlier);
        let rows: Vec<_> = self
            .built
            .iter()
            .filter(|built| !was_outlier(built))
            .map(|built| events::NewRow {
                event: built.stored.no,
                event_id: built.stored.pdu.event_id().as_str(),
                room: self.room,
                place: place(built),
                device: built.stored.sent.as_ref().map(|sent| &*sent.device),
                txn_id: built.stored.sent.as_ref().map(|sent| &*sent.txn_id),
                json: built.stored.pdu.json(),
            })
            .collect();
        events::insert(tx, &rows)?;
        let places: Vec<_> =
            self.built.iter().filter(was_outlier).map(|built| (built.stored.no, place(built))).collect();
        events::put(tx, &places)?;

        let received = || self.built.iter().filter_map(|built| Some((built, built.received.as_ref()?)));
        let origins: Vec<_> = received().map(|(built, received)| (built.stored.no, &received.origin)).collect();
        events::set_origins(tx, &origins)?;
        let found: Vec<_> = received()
            .filter(|(built, _)| built.states.is_some())
            .map(|(built, _)| built.stored.pdu.event_id().as_str())
            .collect();
        if !found.is_empty() {
            missing_events::found(tx, self.room, &found)?;
        }
        let edges: Vec<_> = received()
            .flat_map(|(built, received)| {
                let idx = Some(built.stored.idx).filter(|idx| *idx != OUTSIDE);
                received.missing.iter().map(move |id| (id.as_str(), built.stored.no, idx))
            })
            .collect();
        missing_events::insert(tx, self.room, &edges)?;
        let filled: Vec<_> = received()
            .filter(|(built, received)| received.fills && built.stored.idx != OUTSIDE)
            .map(|(built, _)| (built.stored.idx, built.stored.no))
            .collect();
        timeline::fill(tx, self.room, &filled)?;
        Ok(())
    }

    /// What changes of the current state.
    fn line(&self, tx: &Tx<'_>) -> Result<(), Error> {
        let changes: Vec<_> = self
            .built
            .iter()
            .flat_map(|built| {
                built.line.iter().map(|change| StateChange {
                    kind: &change.kind,
                    state_key: &change.state_key,
                    idx: built.stored.idx,
                    event: change.event,
                    word: change.word.as_deref(),
                })
            })
            .collect();
        if !changes.is_empty() {
            state::change(tx, self.room, &changes)?;
        }
        Ok(())
    }

    fn log(&self, tx: &Tx<'_>, built: &Built) -> Option<Slot> {
        if built.stored.idx == OUTSIDE {
            return None;
        }
        let aside = built.received.as_ref().is_some_and(|received| received.aside);
        if built.received.as_ref().is_some_and(|received| received.fills) {
            return None;
        }
        let own = |change: &MemberChange| (change.user, change.membership);
        let (mut member, mut others) = (None, Vec::new());
        for change in &built.line {
            match (&change.member, change.event) {
                (Some(change), Some(event)) if event == built.stored.no => member = Some(own(change)),
                (Some(change), event) => others.push((own(change), event.unwrap_or(built.stored.no))),
                (None, _) => {}
            }
        }
        let slot = tx.log(Change::Event { room: self.room, event: built.stored.no, member });
        timeline::insert(tx, self.room, built.stored.idx, built.stored.no, aside, &slot);
        // Where branches of the graph meet, memberships may change of which the event itself says nothing.
        for ((user, membership), event) in others {
            let _ = tx.log(Change::Membership { room: self.room, event, user, membership });
        }
        Some(slot)
    }

    /// Each member's row once, though a batch may hold several events about them: the membership is as of its
    /// beginning, the event is the latest.
    fn memberships(&self, tx: &Tx<'_>, slots: &[Option<Slot>]) -> Result<(), Error> {
        let mut last = HashMap::new();
        for (at, built) in self.built.iter().enumerate() {
            for change in &built.line {
                let Some(member) = change.member else { continue };
                let began =
                    if member.changes { Some(at) } else { last.get(&member.user).and_then(|(_, _, began)| *began) };
                last.insert(member.user, (member, change.event.unwrap_or(built.stored.no), began));
            }
        }
        // Rows in the order of their keys, so that two nodes never wait for each other in a circle.
        let mut last: Vec<_> = last.into_iter().collect();
        last.sort_unstable_by_key(|(user, _)| *user);
        for (user, (member, event, began)) in last {
            match began.and_then(|began| Some((self.built.get(began)?, slots.get(began)?.as_ref()?))) {
                Some((began, slot)) => memberships::set(
                    tx,
                    user,
                    self.room,
                    member.membership,
                    event,
                    began.stored.idx,
                    member.sender,
                    slot,
                ),
                None => memberships::refresh(tx, user, self.room, event, member.sender)?,
            }
        }
        Ok(())
    }
}

/// What a batch has to look up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) keys: HashSet<Key>,
    pub(crate) transactions: Vec<TransactionKey>,
}

impl Needs {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.transactions.is_empty()
    }
}

/// What was looked up.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) facts: Vec<(Key, Option<Fact>)>,
    pub(crate) sent: HashMap<TransactionKey, OwnedEventId>,
}

impl crate::Rooms {
    /// Looks up what a batch needs, with one statement for each event type and not for each member.
    pub(crate) fn find(&self, read: &Read<'_>, room: &crate::Room, needs: &Needs) -> Result<Found, Error> {
        let mut found = Found::default();
        let mut kinds: HashMap<&str, Vec<&str>> = HashMap::new();
        for (kind, state_key) in &needs.keys {
            kinds.entry(kind).or_default().push(state_key);
        }
        let mut set = HashMap::new();
        for (kind, keys) in kinds {
            for (state_key, no) in state::current_keys(read, room.no, kind, &keys)? {
                set.insert((kind.to_owned(), state_key), no);
            }
        }
        let nos: Vec<_> = set.values().copied().collect();
        let redacted: HashSet<_> = events::redactions(read, &nos)?.into_iter().map(|(event, _)| event).collect();
        let stored = self.stored_map(read, room, &nos)?;
        for key in &needs.keys {
            let fact = match set.get(key) {
                None => None,
                Some(no) => {
                    let stored =
                        stored.get(no).ok_or_else(|| Error::Damaged(format!("state event {no} is missing")))?;
                    Some(Fact { stored: stored.clone(), redacted: redacted.contains(no) })
                }
            };
            found.facts.push((key.clone(), fact));
        }

        if !needs.transactions.is_empty() {
            let digests: Vec<_> = needs.transactions.iter().map(TransactionKey::digest).collect();
            let hits = transactions::find(read, room.no, &digests)?;
            let nos: Vec<_> = hits.iter().map(|(_, no)| *no).collect();
            let stored = self.stored_map(read, room, &nos)?;
            for (key, digest) in needs.transactions.iter().zip(digests) {
                // The sender's number is part of the digest; the rest of the key stands beside the event.
                let is_it = |(of, no): &&(i64, EventNo)| {
                    *of == digest
                        && stored
                            .get(no)
                            .and_then(|event| event.sent.as_ref())
                            .is_some_and(|sent| *sent.device == *key.device && *sent.txn_id == *key.txn_id)
                };
                if let Some((_, no)) = hits.iter().find(is_it)
                    && let Some(event) = stored.get(no)
                {
                    found.sent.insert(key.clone(), event.pdu.event_id().to_owned());
                }
            }
        }
        Ok(found)
    }
}
