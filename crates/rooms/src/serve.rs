//! The graph as other servers ask for it. Whether they may is asked by who calls.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use roost_matrix::{
    event::{Draft, Pdu},
    ids::{EventId, OwnedEventId, OwnedServerName, ServerName},
    server_acl::ServerAcl,
};
use roost_store::{
    EventNo, Membership, Read, SnapshotNo,
    events::{self, Place},
    memberships,
    rooms::{self, Known},
    state, users_no,
};

use crate::{Error, NewEvent, Room, Rooms, StateIds, Stored, head::Head};

/// Events of an auth chain that are read at once.
const PIECE: u16 = 1000;
/// Events of a graph that are looked at for one request at most.
const MAX_WALK: usize = 2000;

/// How a server stands to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It has members in it.
    Inside,
    /// It has none, and may have some.
    Outside,
    /// The room's access control list shuts it out.
    Denied,
}

impl Rooms {
    /// Events of a room by their ids, redacted where they are; those that are not known, or were rejected, are left out.
    pub async fn pdus(&self, room: &Arc<Room>, ids: &[OwnedEventId]) -> Result<Vec<Pdu>, Error> {
        let (rooms, room, ids) = (self.clone(), room.clone(), ids.to_vec());
        self.0
            .store
            .read(move |read| {
                let found = rooms.known(read, &room, ids.iter().map(|id| &**id))?;
                let kept: Vec<_> = found
                    .into_iter()
                    .filter(|(_, place)| !place.standing.is_rejected())
                    .map(|(stored, _)| stored)
                    .collect();
                rooms.effective_all(read, &kept)
            })
            .await
    }

    /// What lies between `earliest` and `latest`, oldest first: `get_missing_events`.
    /// <https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid>
    pub async fn missing_events(
        &self,
        room: &Arc<Room>,
        earliest: &[OwnedEventId],
        latest: &[OwnedEventId],
        limit: usize,
        min_depth: u64,
    ) -> Result<Vec<Pdu>, Error> {
        let (rooms, room) = (self.clone(), room.clone());
        let (earliest, latest): (HashSet<_>, Vec<_>) = (earliest.iter().cloned().collect(), latest.to_vec());
        self.0
            .store
            .read(move |read| {
                let starts = rooms.known(read, &room, latest.iter().map(|id| &**id))?;
                let stop = |id: &EventId| earliest.contains(id) || latest.iter().any(|start| &**start == id);
                let starts: Vec<_> = starts.into_iter().map(|(stored, _)| stored.pdu.clone()).collect();
                let mut found = rooms.walk(read, &room, &starts, limit, min_depth, &stop)?;
                found.reverse();
                rooms.effective_all(read, &found)
            })
            .await
    }

    /// Events and what comes before them, newest first: `backfill`.
    /// <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid>
    pub async fn backfill_for(
        &self,
        room: &Arc<Room>,
        from: &[OwnedEventId],
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>, Error> {
        let (rooms, room, from) = (self.clone(), room.clone(), from.to_vec());
        self.0
            .store
            .read(move |read| {
                let starts = rooms.known(read, &room, from.iter().map(|id| &**id))?;
                let mut found: Vec<_> = starts
                    .into_iter()
                    .filter(|(_, place)| !place.standing.is_rejected() && !place.standing.is_outlier())
                    .map(|(stored, _)| stored)
                    .collect();
                found.sort_unstable_by_key(|stored| std::cmp::Reverse((stored.pdu.depth(), stored.no)));
                found.truncate(limit);
                let starts: Vec<_> = found.iter().map(|stored| stored.pdu.clone()).collect();
                let known: HashSet<_> = starts.iter().map(|pdu| pdu.event_id().to_owned()).collect();
                let more = limit - found.len();
                found.extend(rooms.walk(read, &room, &starts, more, 0, &|id| known.contains(id))?);
                Ok(found)
            })
            .await
    }

    /// The state before an event, and its auth chain: `state_ids`. `None` for events that are not part of the graph.
    /// <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid>
    pub async fn state_ids(&self, room: &Arc<Room>, event: &EventId) -> Result<Option<StateIds>, Error> {
        let (rooms, room, event) = (self.clone(), room.clone(), event.to_owned());
        self.0
            .store
            .read(move |read| {
                let Some((_, place)) = rooms.known(read, &room, std::iter::once(&*event))?.pop() else {
                    return Ok(None);
                };
                let Some(before) = place.before.filter(|_| !place.standing.is_rejected()) else { return Ok(None) };
                let state = rooms.events_of(read, &room, before)?;
                let auth_chain = rooms.auth_chain(read, &room, &state)?;
                let ids = |events: &[Arc<Stored>]| events.iter().map(|event| event.pdu.event_id().to_owned()).collect();
                Ok(Some(StateIds { state: ids(&state), auth_chain: ids(&auth_chain) }))
            })
            .await
    }

    /// An event by its number, of whatever room, redacted where it is.
    pub fn pdu_of(&self, read: &Read<'_>, event: EventNo) -> Result<Option<Pdu>, Error> {
        let Some(row) = events::by_no(read, event)? else { return Ok(None) };
        let Some(room) = self.rooms_in(read, &[row.room])?.pop() else { return Ok(None) };
        match self.stored(read, &room, &[event])?.pop() {
            Some(stored) => Ok(Some(self.effective(read, &stored)?)),
            None => Ok(None),
        }
    }

    /// The room that an event is part of, if it is known.
    pub async fn room_of_event(&self, event: &EventId) -> Result<Option<Arc<Room>>, Error> {
        let (rooms, event) = (self.clone(), event.to_owned());
        self.0
            .store
            .read(move |read| match events::places(read, &[event.as_str()])?.pop() {
                Some((_, room, _, _)) => Ok(rooms.rooms_in(read, &[room])?.pop()),
                None => Ok(None),
            })
            .await
    }

    /// Events as a server may see them that is in the room: where the history is open to members only from their invitation or joining
    /// on, those from before the server's first member are redacted.
    ///
    /// This goes by the room's present visibility and the present members of the server, which never shows more than each
    /// event's own state would have to those who are in the room now.
    pub async fn shown_to(&self, room: &Arc<Room>, server: &ServerName, pdus: Vec<Pdu>) -> Result<Vec<Pdu>, Error> {
        let (rooms, room, server) = (self.clone(), room.clone(), server.to_owned());
        self.0
            .store
            .read(move |read| {
                let open = |word: Option<&str>| !matches!(word, Some("joined" | "invited"));
                let words = state::words(read, &[room.no], "m.room.history_visibility", "")?;
                if words.iter().all(|(_, _, word)| open(word.as_deref())) {
                    return Ok(pdus);
                }
                let since = memberships::first_of_server(read, room.no, Membership::Join, &server)?;
                let known = rooms.known(read, &room, pdus.iter().map(Pdu::event_id))?;
                let places: HashMap<OwnedEventId, i64> =
                    known.into_iter().map(|(stored, _)| (stored.pdu.event_id().to_owned(), stored.idx)).collect();
                let may = |pdu: &Pdu| {
                    let idx = places.get(pdu.event_id()).copied();
                    pdu.state_key().is_some() || idx.is_some_and(|idx| since.is_some_and(|since| idx >= since))
                };
                Ok(pdus.into_iter().map(|pdu| if may(&pdu) { pdu } else { pdu.redacted() }).collect())
            })
            .await
    }

    /// The ids of the auth chain of an event of any kind; `None` when it is not known.
    pub async fn auth_chain_of(&self, room: &Arc<Room>, event: &EventId) -> Result<Option<Vec<OwnedEventId>>, Error> {
        let (rooms, room, event) = (self.clone(), room.clone(), event.to_owned());
        self.0
            .store
            .read(move |read| {
                let Some((stored, _)) = rooms.known(read, &room, std::iter::once(&*event))?.pop() else {
                    return Ok(None);
                };
                // What a message cites is state, and that is indexed.
                let cited = rooms.known(read, &room, stored.pdu.auth_events().iter().map(|id| &**id))?;
                let cited: Vec<_> = cited.into_iter().map(|(stored, _)| stored).collect();
                let mut chain = rooms.auth_chain(read, &room, &cited)?;
                chain.extend(cited);
                let ids: BTreeSet<_> = chain.iter().map(|stored| stored.pdu.event_id().to_owned()).collect();
                Ok(Some(ids.into_iter().collect()))
            })
            .await
    }

    /// The ids of the auth chain of some state events that are known here.
    pub async fn auth_chain_ids(&self, room: &Arc<Room>, of: &[OwnedEventId]) -> Result<Vec<OwnedEventId>, Error> {
        let (rooms, room, of) = (self.clone(), room.clone(), of.to_vec());
        self.0
            .store
            .read(move |read| {
                let known = rooms.known(read, &room, of.iter().map(|id| &**id))?;
                let known: Vec<_> = known.into_iter().map(|(stored, _)| stored).collect();
                let state: Vec<_> = known.into_iter().filter(|stored| stored.pdu.state_key().is_some()).collect();
                let chain = rooms.auth_chain(read, &room, &state)?;
                Ok(chain.iter().map(|stored| stored.pdu.event_id().to_owned()).collect())
            })
            .await
    }

    /// The events of a snapshot of the state.
    pub(crate) fn events_of(
        &self,
        read: &Read<'_>,
        room: &Room,
        snapshot: SnapshotNo,
    ) -> Result<Vec<Arc<Stored>>, Error> {
        if snapshot.0 == 0 {
            return Ok(Vec::new());
        }
        let found = self.0.states.snapshot(read, room.no, snapshot)?;
        let found = found.ok_or_else(|| Error::Damaged(format!("state {snapshot} is missing")))?;
        let nos: Vec<_> = self.0.states.all(read, &found)?.into_iter().map(|(_, no)| no).collect();
        self.stored(read, room, &nos)
    }

    /// The auth chain of some state events: what they cite, and what that cites.
    pub(crate) fn auth_chain(
        &self,
        read: &Read<'_>,
        room: &Room,
        events: &[Arc<Stored>],
    ) -> Result<Vec<Arc<Stored>>, Error> {
        let of: Vec<EventNo> = events.iter().map(|event| event.no).collect();
        let (mut chain, mut next) = (Vec::new(), None);
        loop {
            let piece = self.0.chains.chain(read, room.no, &of, next, PIECE)?;
            chain.extend(self.stored(read, room, &piece.events)?);
            next = piece.next;
            if next.is_none() {
                return Ok(chain);
            }
        }
    }

    /// Those of the events that are known in this room, with where they stand.
    pub(crate) fn known<'a>(
        &self,
        read: &Read<'_>,
        room: &Room,
        ids: impl Iterator<Item = &'a EventId>,
    ) -> Result<Vec<(Arc<Stored>, Place)>, Error> {
        let ids: BTreeSet<&str> = ids.map(EventId::as_str).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let mut places = Vec::with_capacity(ids.len());
        for piece in ids.chunks(1000) {
            places.extend(events::places(read, piece)?);
        }
        places.retain(|(_, of, _, _)| *of == room.no);
        let nos: Vec<_> = places.iter().map(|(_, _, no, _)| *no).collect();
        let mut stored = self.stored_map(read, room, &nos)?;
        Ok(places.into_iter().filter_map(|(_, _, no, place)| Some((stored.remove(&no)?, place))).collect())
    }

    /// Walks back along `prev_events`, breadth first, and answers what it meets, not further than `stop` and not the start.
    fn walk(
        &self,
        read: &Read<'_>,
        room: &Room,
        starts: &[Pdu],
        limit: usize,
        min_depth: u64,
        stop: &dyn Fn(&EventId) -> bool,
    ) -> Result<Vec<Arc<Stored>>, Error> {
        let mut seen: HashSet<OwnedEventId> = HashSet::new();
        let mut found = Vec::new();
        let mut open: VecDeque<Vec<OwnedEventId>> =
            VecDeque::from([starts.iter().flat_map(|pdu| pdu.prev_events().to_vec()).collect()]);
        while let Some(ids) = open.pop_front() {
            let ids: Vec<_> = ids.into_iter().filter(|id| !stop(id) && seen.insert(id.clone())).collect();
            if ids.is_empty() || found.len() >= limit || seen.len() > MAX_WALK {
                continue;
            }
            let mut known = self.known(read, room, ids.iter().map(|id| &**id))?;
            known.sort_unstable_by_key(|(stored, _)| std::cmp::Reverse((stored.pdu.depth(), stored.no)));
            let mut next = Vec::new();
            for (stored, place) in known {
                if found.len() == limit || stored.pdu.depth() < min_depth || place.standing.is_outlier() {
                    continue;
                }
                next.extend(stored.pdu.prev_events().iter().cloned());
                if !place.standing.is_rejected() {
                    found.push(stored);
                }
            }
            open.push_back(next);
        }
        Ok(found)
    }

    /// The servers of a room's joined members, those first whose members have been there for the longest.
    pub async fn servers(&self, room: &Room) -> Result<Known<Vec<OwnedServerName>>, Error> {
        let no = room.no;
        self.0
            .store
            .read(move |read| {
                let row = rooms::by_no(read, no)?.ok_or(Error::UnknownRoom)?;
                let members = memberships::of_room_as(read, no, Membership::Join, i64::MAX)?;
                let (mut seen, mut servers) = (HashSet::new(), Vec::new());
                for piece in members.chunks(1000) {
                    let nos: Vec<_> = piece.iter().map(|member| member.user).collect();
                    let names: HashMap<_, _> = users_no::names(read, &nos)?.into_iter().collect();
                    for user in nos.iter().filter_map(|no| names.get(no)) {
                        if seen.insert(user.server_name().to_owned()) {
                            servers.push(user.server_name().to_owned());
                        }
                    }
                }
                if !row.head.members.is_partial() {
                    return Ok(Known::Whole(servers));
                }
                // Of the others it was told with the join which servers they are on.
                let told = rooms::partial_one(read, no)?.map(|partial| partial.servers).unwrap_or_default();
                let told: Vec<OwnedServerName> = serde_json::from_str(&told).unwrap_or_default();
                servers.extend(told.into_iter().filter(|server| seen.insert(server.clone())));
                Ok(Known::Partial(servers))
            })
            .await
    }

    /// Whether a server has a joined member in a room, and the room's access control list admits it.
    pub async fn admits(&self, room: &Arc<Room>, server: &ServerName) -> Result<Admitted, Error> {
        let (rooms, room, server) = (self.clone(), room.clone(), server.to_owned());
        self.0
            .store
            .read(move |read| {
                let acl = rooms.current(read, &room, "m.room.server_acl", "")?;
                if acl.is_some_and(|acl| !ServerAcl::of(acl.pdu.content()).allows(&server)) {
                    return Ok(Admitted::Denied);
                }
                let members = memberships::of_server(read, room.no, Membership::Join, &server, 1)?;
                Ok(if members.is_empty() { Admitted::Outside } else { Admitted::Inside })
            })
            .await
    }

    /// An event as it would be put after the room's tips now, for a server that is to sign it: `make_join` and its like. It
    /// is refused where the authorisation rules would.
    pub async fn draft(&self, room: &Arc<Room>, event: NewEvent) -> Result<Draft, Error> {
        let wanted = self.want(room, event, None).await?;
        let (rooms, room) = (self.clone(), room.clone());
        self.0
            .store
            .read(move |read| {
                let mut head: Head = rooms.load_head(read, &room)?;
                loop {
                    match head.draft_if_allowed(&rooms.0.identity, &room.id, &wanted)? {
                        Ok(draft) => return Ok(draft),
                        Err(keys) => {
                            let needs = crate::commit::Needs { keys, transactions: Vec::new() };
                            for (key, fact) in rooms.find(read, &room, &needs)?.facts {
                                head.learn(&key, fact);
                            }
                        }
                    }
                }
            })
            .await
    }
}
