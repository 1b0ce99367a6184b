//! Events of other servers: from what arrived, in whatever order, to a bundle that the room's appender can put into the graph.
//!
//! What the bundle lacks is asked for through [`Peers`], within limits, before anything is judged. The judging
//! itself ([`judge`]) is done at the room's door, in one snapshot of the database.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>

pub(crate) mod judge;
pub(crate) mod sort;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use roost_matrix::{
    event::Pdu,
    ids::{EventId, OwnedEventId, OwnedServerName, OwnedUserId, UserId},
};
use roost_store::{
    Position, UserNo,
    events::{self, Place},
    rooms,
};

use crate::{Error, NewEvent, Room, Rooms, backfill::Gap, head::DUMMY, surround::Keys};

/// Other servers, as the room engine asks them for what it lacks.
///
/// Whatever comes back is verified: the format of the room's version, signatures, and the hash (where the hash does not match, the
/// redacted event). Order and completeness are not promised. An implementation bounds its time and what it reads.
pub trait Peers: Send + Sync {
    /// Events by their ids, as many as could be had.
    fn events<'a>(&'a self, room: &'a Room, ids: &'a [OwnedEventId]) -> BoxFuture<'a, Vec<Pdu>>;

    /// What lies between events that are here and events that have arrived: `get_missing_events`.
    fn missing_events<'a>(
        &'a self,
        room: &'a Room,
        earliest: &'a [OwnedEventId],
        latest: &'a [OwnedEventId],
        limit: usize,
    ) -> BoxFuture<'a, Vec<Pdu>>;

    /// The ids of the state before an event, and of its auth chain: `state_ids`.
    fn state_ids<'a>(&'a self, room: &'a Room, event: &'a EventId) -> BoxFuture<'a, Option<StateIds>>;

    /// Events before others in the graph: `backfill`.
    fn backfill<'a>(&'a self, room: &'a Room, from: &'a [OwnedEventId], limit: usize) -> BoxFuture<'a, Vec<Pdu>>;
}

/// Nobody: where there is no federation, or none of it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Peers for Nobody {
    fn events<'a>(&'a self, _room: &'a Room, _ids: &'a [OwnedEventId]) -> BoxFuture<'a, Vec<Pdu>> {
        Box::pin(async { Vec::new() })
    }

    fn missing_events<'a>(
        &'a self,
        _room: &'a Room,
        _earliest: &'a [OwnedEventId],
        _latest: &'a [OwnedEventId],
        _limit: usize,
    ) -> BoxFuture<'a, Vec<Pdu>> {
        Box::pin(async { Vec::new() })
    }

    fn state_ids<'a>(&'a self, _room: &'a Room, _event: &'a EventId) -> BoxFuture<'a, Option<StateIds>> {
        Box::pin(async { None })
    }

    fn backfill<'a>(&'a self, _room: &'a Room, _from: &'a [OwnedEventId], _limit: usize) -> BoxFuture<'a, Vec<Pdu>> {
        Box::pin(async { Vec::new() })
    }
}

/// The state before an event, by the ids of its events.
#[derive(Clone, Debug, Default)]
pub struct StateIds {
    /// The state.
    pub state: Vec<OwnedEventId>,
    /// The auth chain of that state.
    pub auth_chain: Vec<OwnedEventId>,
}

/// What became of a received event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is part of the graph and of the history.
    Accepted(Position),
    /// It was here already.
    Known,
    /// The state of the room as it is now forbids it: it is part of the graph, but clients are not shown it.
    SoftFailed(String),
    /// The authorisation rules forbid it.
    Rejected(String),
    /// It could not be judged, since events that it builds on could not be had.
    Missing,
}

/// An event that waits to be put into the graph.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) pdu: Pdu,
    /// The state before it, where events before it are missing.
    pub(crate) given: Option<Vec<OwnedEventId>>,
}

/// Events of other servers, each after those that it builds on.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Who sent them.
    pub(crate) origin: OwnedServerName,
    /// State events that others cite, in the order of `auth_events`.
    pub(crate) outliers: Vec<Pdu>,
    /// The events to be put into the graph, in the order of `prev_events`.
    pub(crate) events: Vec<Incoming>,
    /// Of a room in which nobody of this server is left: the events take the place of what the graph ended with.
    pub(crate) starts_over: bool,
    /// They fill the gap before this place of the history, and change nothing of the room as it is now.
    pub(crate) fills: Option<i64>,
}

/// The numbers of what a bundle names.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) keys: Keys,
    pub(crate) users: HashMap<OwnedUserId, UserNo>,
}

/// Events between what is here and what has arrived that are asked for at once.
const MISSING_AT_ONCE: usize = 20;
/// How often more of them are asked for.
const ROUNDS: usize = 5;
/// Events of the graph that one bundle holds at most.
const MAX_EVENTS: usize = 500;
/// How many events of one bundle may have the state before them asked for.
const MAX_STATES: usize = 10;
/// How many generations of auth events are fetched one after the other.
const MAX_GENERATIONS: usize = 50;
/// Events that are fetched by id with one request.
const BY_ID: usize = 500;

/// Forward extremities that a room may have before they are tied together.
const MAX_TIPS: usize = 10;
/// How many users of this server are tried for that.
const SPEAKERS: usize = 10;

/// What is known here of some events.
type Here = HashMap<OwnedEventId, Place>;

impl Rooms {
    /// Takes in events that another server has sent, verified as [`Peers`] says, and answers what became of each. Those that were
    /// fetched with them are taken in, too.
    pub async fn receive(
        &self,
        room: &Arc<Room>,
        origin: &OwnedServerName,
        sent: Vec<Pdu>,
        peers: &dyn Peers,
    ) -> Result<Vec<(OwnedEventId, Outcome)>, Error> {
        // What is of another room is not judged at all.
        let ids: Vec<_> = sent.iter().map(|pdu| (pdu.event_id().to_owned(), pdu.room_id() == room.id)).collect();
        let bundle = Arc::new(self.gather(room, origin, sent, peers).await?);
        let mut became = self.take_in(room, bundle).await?;
        self.tie_loose_ends(room).await?;
        let unjudged = |is_here: bool| if is_here { Outcome::Known } else { Outcome::Missing };
        Ok(ids.into_iter().map(|(id, is_here)| became.remove_entry(&id).unwrap_or((id, unjudged(is_here)))).collect())
    }

    async fn take_in(&self, room: &Arc<Room>, bundle: Arc<Bundle>) -> Result<HashMap<OwnedEventId, Outcome>, Error> {
        if bundle.events.is_empty() {
            return Ok(HashMap::new());
        }
        let outcomes = self.enqueue_received(room, bundle.clone()).await?;
        Ok(bundle.events.iter().map(|event| event.pdu.event_id().to_owned()).zip(outcomes).collect())
    }

    /// Fetches what the events build on.
    async fn gather(
        &self,
        room: &Arc<Room>,
        origin: &OwnedServerName,
        sent: Vec<Pdu>,
        peers: &dyn Peers,
    ) -> Result<Bundle, Error> {
        let mut pending: BTreeMap<OwnedEventId, Pdu> = BTreeMap::new();
        add(&mut pending, room, sent);
        let mut asked: BTreeSet<OwnedEventId> = BTreeSet::new();
        let mut here = Here::new();
        for round in 0.. {
            self.look_up(room, &pending, &mut here).await?;
            pending.retain(|id, _| !is_placed(&here, id));
            let mut latest: Vec<OwnedEventId> = lacking(&pending, &here).cloned().collect();
            latest.retain(|id| asked.insert(id.clone()));
            if latest.is_empty() || round == ROUNDS || pending.len() >= MAX_EVENTS {
                break;
            }
            let earliest = self.tip_ids(room).await?;
            let found = peers.missing_events(room, &earliest, &latest, MISSING_AT_ONCE).await;
            add(&mut pending, room, found);
        }

        self.bundle(room, origin, pending, here, peers).await
    }

    /// A bundle that fills a gap of the history.
    pub(crate) async fn gather_history(
        &self,
        room: &Arc<Room>,
        gap: &Gap,
        mut events: BTreeMap<OwnedEventId, Pdu>,
        peers: &dyn Peers,
    ) -> Result<Bundle, Error> {
        let mut here = Here::new();
        self.look_up(room, &events, &mut here).await?;
        events.retain(|id, _| !is_placed(&here, id));
        // Between what is here and the gap there may be no room left for all of them; there always is for some.
        let free = usize::try_from(self.room_before(room, gap.idx).await?).unwrap_or(usize::MAX);
        while events.len() > free {
            events.pop_first();
        }
        let origin = self.0.identity.server_name.clone();
        let bundle = self.bundle(room, &origin, events, here, peers).await?;
        Ok(Bundle { fills: Some(gap.idx), ..bundle })
    }

    /// Fetches the states and auth events that events of the graph build on.
    async fn bundle(
        &self,
        room: &Arc<Room>,
        origin: &OwnedServerName,
        pending: BTreeMap<OwnedEventId, Pdu>,
        mut here: Here,
        peers: &dyn Peers,
    ) -> Result<Bundle, Error> {
        let mut outliers: BTreeMap<OwnedEventId, Pdu> = BTreeMap::new();
        let mut given = HashMap::new();
        let open: Vec<OwnedEventId> = lacking(&pending, &here).take(MAX_STATES).cloned().collect();
        for id in open {
            if let Some(ids) = peers.state_ids(room, &id).await {
                let wanted: BTreeSet<_> = ids.state.iter().chain(&ids.auth_chain).cloned().collect();
                self.fetch(room, wanted, &mut outliers, &mut here, peers).await?;
                given.insert(id, ids.state);
            }
        }
        // What is still missing of the auth chains, generation by generation. An honest server's chains are short once the state is
        // told with its chain; one that always cites something new is not followed for ever.
        for _ in 0..MAX_GENERATIONS {
            let cited: BTreeSet<OwnedEventId> =
                pending.values().chain(outliers.values()).flat_map(Pdu::auth_events).cloned().collect();
            let wanted = cited.into_iter().filter(|id| !pending.contains_key(id)).collect();
            if self.fetch(room, wanted, &mut outliers, &mut here, peers).await? == 0 {
                break;
            }
        }
        outliers.retain(|id, _| !pending.contains_key(id));
        let events = sort::by(&pending.into_values().collect::<Vec<_>>(), Pdu::prev_events)
            .into_iter()
            .map(|pdu| Incoming { given: given.remove(pdu.event_id()), pdu })
            .collect();
        let outliers = sort::by(&outliers.into_values().collect::<Vec<_>>(), Pdu::auth_events);
        Ok(Bundle { origin: origin.clone(), outliers, events, starts_over: false, fills: None })
    }

    /// Fetches those events of a state and its auth chain that are not here, in the order of `auth_events`.
    pub(crate) async fn fetch_state(
        &self,
        room: &Arc<Room>,
        ids: &StateIds,
        peers: &dyn Peers,
    ) -> Result<Vec<Pdu>, Error> {
        let (mut outliers, mut here) = (BTreeMap::new(), Here::new());
        let wanted = ids.state.iter().chain(&ids.auth_chain).cloned().collect();
        self.fetch(room, wanted, &mut outliers, &mut here, peers).await?;
        Ok(sort::by(&outliers.into_values().collect::<Vec<_>>(), Pdu::auth_events))
    }

    /// Fetches those of the events that are not here, and answers how many came.
    async fn fetch(
        &self,
        room: &Arc<Room>,
        mut wanted: BTreeSet<OwnedEventId>,
        outliers: &mut BTreeMap<OwnedEventId, Pdu>,
        here: &mut Here,
        peers: &dyn Peers,
    ) -> Result<usize, Error> {
        wanted.retain(|id| !outliers.contains_key(id) && !here.contains_key(id));
        let ids: Vec<_> = wanted.into_iter().collect();
        self.places_of(room, &ids, here).await?;
        let missing: Vec<_> = ids.into_iter().filter(|id| !here.contains_key(id)).collect();
        let before = outliers.len();
        for piece in missing.chunks(BY_ID) {
            if outliers.len() >= self.0.options.max_fetched {
                break;
            }
            add(outliers, room, peers.events(room, piece).await);
        }
        Ok(outliers.len() - before)
    }

    /// Looks up the events and all that they cite.
    async fn look_up(
        &self,
        room: &Arc<Room>,
        pending: &BTreeMap<OwnedEventId, Pdu>,
        here: &mut Here,
    ) -> Result<(), Error> {
        let named = pending.values().flat_map(|pdu| pdu.prev_events().iter().chain(pdu.auth_events()));
        let ids: BTreeSet<OwnedEventId> = named.chain(pending.keys()).cloned().collect();
        let ids: Vec<_> = ids.into_iter().filter(|id| !here.contains_key(id)).collect();
        self.places_of(room, &ids, here).await
    }

    async fn places_of(&self, room: &Arc<Room>, ids: &[OwnedEventId], here: &mut Here) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let (ids, no) = (ids.to_vec(), room.no);
        let found = self
            .0
            .store
            .read(move |read| {
                let mut found = Vec::new();
                for piece in ids.chunks(1000) {
                    let names: Vec<&str> = piece.iter().map(|id| id.as_str()).collect();
                    found.extend(events::places(read, &names)?);
                }
                Ok::<_, Error>(found)
            })
            .await?;
        for (id, of, _, place) in found {
            // What is part of another room can not be part of this one: it counts as missing.
            if of == no
                && let Ok(id) = EventId::parse(id)
            {
                here.insert(id, place);
            }
        }
        Ok(())
    }

    /// Where the room's graph has many loose ends, puts an event after them that says nothing, in the name of a user of this server
    /// who may speak, so that the room has one end again and the next event needs no resolution of them all.
    async fn tie_loose_ends(&self, room: &Arc<Room>) -> Result<(), Error> {
        let (rooms, at) = (self.clone(), room.clone());
        let speakers = self
            .0
            .store
            .read(move |read| {
                let row = rooms::by_no(read, at.no)?.ok_or(Error::UnknownRoom)?;
                if row.head.tips.len() <= MAX_TIPS {
                    return Ok(Vec::new());
                }
                rooms.local_members(read, &at, SPEAKERS)
            })
            .await?;
        for sender in speakers {
            let content = crate::send::raw(&serde_json::json!({}))?;
            match self.append(&room.id, NewEvent::message(&sender, DUMMY, content, None)).await {
                Err(Error::Forbidden(_)) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    metrics::counter!("roost_room_dummy_events").increment(1);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The ids of the forward extremities.
    pub async fn tip_ids(&self, room: &Arc<Room>) -> Result<Vec<OwnedEventId>, Error> {
        let (rooms, room) = (self.clone(), room.clone());
        self.0
            .store
            .read(move |read| {
                let row = rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?;
                let tips = rooms.stored(read, &room, &row.head.tips)?;
                Ok(tips.iter().map(|tip| tip.pdu.event_id().to_owned()).collect())
            })
            .await
    }

    pub(crate) async fn intern_bundle(&self, bundle: &Bundle) -> Result<Names, Error> {
        let all = || bundle.outliers.iter().chain(bundle.events.iter().map(|event| &event.pdu));
        let keys = self.intern_state_keys(all()).await?;
        let mut users: BTreeSet<OwnedUserId> = all().map(|pdu| pdu.sender().to_owned()).collect();
        let members = all().filter(|pdu| pdu.kind() == "m.room.member").filter_map(Pdu::state_key);
        users.extend(members.filter_map(|key| UserId::parse(key).ok()));
        Ok(Names { keys, users: self.0.store.user_nos(&users).await? })
    }
}

/// Adds events of the room, as far as they fit in.
fn add(events: &mut BTreeMap<OwnedEventId, Pdu>, room: &Room, more: Vec<Pdu>) {
    for pdu in more {
        if pdu.room_id() == room.id {
            events.entry(pdu.event_id().to_owned()).or_insert(pdu);
        }
    }
}

fn is_placed(here: &Here, id: &EventId) -> bool {
    here.get(id).is_some_and(|place| !place.standing.is_outlier())
}

/// The events before which others are missing.
fn lacking<'a>(pending: &'a BTreeMap<OwnedEventId, Pdu>, here: &'a Here) -> impl Iterator<Item = &'a OwnedEventId> {
    pending
        .iter()
        .filter(|(_, pdu)| pdu.prev_events().iter().any(|prev| !pending.contains_key(prev) && !is_placed(here, prev)))
        .map(|(id, _)| id)
}

/// Events of which it is known that they are placed, for whoever judges them.
pub(crate) fn ids_of(bundle: &Bundle) -> HashSet<OwnedEventId> {
    let mut ids = HashSet::new();
    for event in &bundle.events {
        ids.insert(event.pdu.event_id().to_owned());
        ids.extend(event.pdu.prev_events().iter().cloned());
        ids.extend(event.pdu.auth_events().iter().cloned());
        ids.extend(event.given.iter().flatten().cloned());
        ids.extend(event.pdu.redacts().map(ToOwned::to_owned));
    }
    for pdu in &bundle.outliers {
        ids.insert(pdu.event_id().to_owned());
        ids.extend(pdu.auth_events().iter().cloned());
    }
    ids
}

#[cfg(test)]
pub(crate) mod tests;
