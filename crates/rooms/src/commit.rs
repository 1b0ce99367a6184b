//! What one commit writes: events, their places, the state they change, memberships, transaction ids.

use std::collections::{HashMap, HashSet};

use roost_matrix::ids::OwnedEventId;
use roost_store::{
    Change, EventNo, Read, RoomNo, Slot, Tx, UserNo, aliases, events, memberships, rooms,
    state::{self, Change as StateChange},
    timeline,
    transactions::{self, TransactionKey},
};

use crate::{
    Error,
    head::{Built, Fact, Key},
};

/// Events that belong together, and the head after them.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) room: RoomNo,
    /// The revision on which it was built.
    pub(crate) revision: i64,
    pub(crate) head: rooms::Head,
    pub(crate) built: Vec<Built>,
    pub(crate) create: Option<NewRoom>,
}

/// What a new room has beside its events.
#[derive(Debug)]
pub(crate) struct NewRoom {
    pub(crate) room_id: String,
    pub(crate) version: &'static str,
    pub(crate) published: bool,
    pub(crate) creator: UserNo,
    pub(crate) alias: Option<String>,
    pub(crate) now: i64,
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
    /// Writes it, or refuses before the first change. The slots are the positions of the events.
    pub(crate) fn write(&self, tx: &Tx<'_>) -> Result<Vec<Slot>, NotCommitted> {
        match &self.create {
            Some(new) => self.create(tx, new)?,
            None => {
                if !rooms::move_head(tx, self.room, self.revision, &self.head)? {
                    return Err(NotCommitted::Stale);
                }
            }
        }

        let rows: Vec<_> = self
            .built
            .iter()
            .map(|built| events::NewRow {
                event: built.stored.no,
                event_id: built.stored.pdu.event_id().as_str(),
                room: self.room,
                segment: built.stored.segment,
                idx: built.stored.idx,
                replaces: built.stored.replaces,
                device: built.stored.sent.as_ref().map(|sent| &*sent.device),
                txn_id: built.stored.sent.as_ref().map(|sent| &*sent.txn_id),
                json: built.stored.pdu.json(),
            })
            .collect();
        events::insert(tx, &rows)?;

        let changes: Vec<_> = self
            .built
            .iter()
            .filter_map(|built| {
                let pdu = &built.stored.pdu;
                Some(StateChange {
                    kind: pdu.kind(),
                    state_key: pdu.state_key()?,
                    idx: built.stored.idx,
                    event: built.stored.no,
                    word: built.word.as_deref(),
                })
            })
            .collect();
        if !changes.is_empty() {
            state::change(tx, self.room, &changes)?;
        }
        for built in &self.built {
            if let Some(target) = built.redacts {
                events::redact(tx, target, built.stored.no)?;
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

        let slots: Vec<Slot> = self.built.iter().map(|built| self.log(tx, built)).collect();
        self.memberships(tx, &slots)?;
        Ok(slots)
    }

    fn create(&self, tx: &Tx<'_>, new: &NewRoom) -> Result<(), NotCommitted> {
        if rooms::by_id(tx, &new.room_id)?.is_some() {
            return Err(NotCommitted::Stale);
        }
        if let Some(alias) = &new.alias {
            let taken = || Error::AliasTaken(alias.clone());
            if aliases::resolve(tx, alias)?.is_some() || !aliases::insert(tx, alias, self.room, new.creator, new.now)? {
                return Err(taken().into());
            }
        }
        rooms::insert(tx, self.room, &new.room_id, new.version, &self.head, new.published, new.now)?;
        Ok(())
    }

    fn log(&self, tx: &Tx<'_>, built: &Built) -> Slot {
        let member = built.member.map(|change| (change.user, change.membership));
        let slot = tx.log(Change::Event { room: self.room, event: built.stored.no, member });
        timeline::insert(tx, self.room, built.stored.segment, built.stored.idx, built.stored.no, &slot);
        slot
    }

    /// Each member's row once, though a batch may hold several events about them: the membership is as of its
    /// beginning, the event is the latest.
    fn memberships(&self, tx: &Tx<'_>, slots: &[Slot]) -> Result<(), Error> {
        let mut last = HashMap::new();
        for (at, built) in self.built.iter().enumerate() {
            if let Some(change) = built.member {
                let began =
                    if change.changes { Some(at) } else { last.get(&change.user).and_then(|(_, began)| *began) };
                last.insert(change.user, (at, began));
            }
        }
        // Rows in the order of their keys, so that two nodes never wait for each other in a circle.
        let mut last: Vec<_> = last.into_iter().collect();
        last.sort_unstable_by_key(|(user, _)| *user);
        for (user, (at, began)) in last {
            let (Some(built), Some(change)) = (self.built.get(at), self.built.get(at).and_then(|built| built.member))
            else {
                continue;
            };
            match began.and_then(|began| Some((self.built.get(began)?, slots.get(began)?))) {
                Some((began, slot)) => memberships::set(
                    tx,
                    user,
                    self.room,
                    change.membership,
                    built.stored.no,
                    began.stored.idx,
                    built.sender_no,
                    slot,
                ),
                None => memberships::refresh(tx, user, self.room, built.stored.no, built.sender_no)?,
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
