//! What one commit writes: events, their places, the state they change, memberships, transaction ids.

use std::collections::{HashMap, HashSet};

use roost_store::{
    Change, Read, RoomNo, Slot, Tx, UserNo, aliases, events, memberships, rooms,
    state::{self, Change as StateChange},
    timeline, transactions,
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
    /// Somebody else moved the head.
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
        let sent: Vec<_> =
            self.built.iter().filter_map(|built| Some((built.transaction.as_ref()?, built.stored.no))).collect();
        if !sent.is_empty() {
            transactions::insert(tx, self.room, &sent)?;
        }

        let slots: Vec<Slot> = self.built.iter().map(|built| self.log(tx, built)).collect();
        self.memberships(tx, &slots)?;
        Ok(slots)
    }

    fn create(&self, tx: &Tx<'_>, new: &NewRoom) -> Result<(), NotCommitted> {
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
    pub(crate) transactions: Vec<String>,
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
    pub(crate) sent: HashMap<transactions::TransactionKey, roost_matrix::ids::OwnedEventId>,
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
            let ids: Vec<_> = needs.transactions.iter().map(String::as_str).collect();
            let sent = transactions::find(read, room.no, &ids)?;
            let nos: Vec<_> = sent.iter().map(|(_, no)| *no).collect();
            let stored = self.stored_map(read, room, &nos)?;
            for (key, no) in sent {
                if let Some(stored) = stored.get(&no) {
                    found.sent.insert(key, stored.pdu.event_id().to_owned());
                }
            }
        }
        Ok(found)
    }
}
