//! Rooms of other servers: from the answer to a join to a room that is known here.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>

use std::{collections::BTreeMap, sync::Arc};

use roost_matrix::{
    event::Pdu,
    ids::{OwnedEventId, OwnedServerName},
    room_version::RoomVersion,
};
use roost_store::{
    EventNo, RoomNo, Sequence, Tx,
    rooms::{self, Known, PartialRoom},
};

use crate::{
    Error, Outcome, Room, Rooms,
    commit::{NewRoom, NotCommitted, Plan},
    head::Head,
    receive::{
        Bundle, Incoming,
        judge::{Judged, Verdict},
        sort,
    },
};

/// What a server has answered to a join. All events are verified as [`crate::Peers`] says.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The server that answered.
    pub origin: OwnedServerName,
    /// The version of the room.
    pub version: RoomVersion,
    /// The join, as it was accepted.
    pub join: Pdu,
    /// The state before it.
    pub state: Vec<Pdu>,
    /// The auth chain of that state.
    pub auth_chain: Vec<Pdu>,
    /// Whether members are missing from the state, and which servers know them. Whoever has the room adopted calls [`Rooms::complete`]
    /// then.
    pub partial: Option<Vec<OwnedServerName>>,
}

impl Rooms {
    /// Takes a room in that a user of this server has joined through another server. A room that is known goes on from there:
    /// if nobody of this server was left in it, with the new state alone.
    pub async fn adopt(&self, adoption: Adoption) -> Result<Arc<Room>, Error> {
        let id = adoption.join.room_id().to_owned();
        match self.room(&id).await {
            // A room that is known keeps what is known of its members: what is new is told as a whole or not at all.
            Ok(_) if adoption.partial.is_some() => {
                Err(Error::BadState("The room is known here, and can not be taken in without its members".to_owned()))
            }
            Ok(room) => {
                let alone = self.is_left_by_all(&room).await?;
                let bundle = bundle(adoption, alone);
                let outcome = self.enqueue_received(&room, Arc::new(bundle)).await?.pop();
                accepted(outcome)?;
                Ok(room)
            }
            Err(Error::UnknownRoom) => {
                for _ in 0..3 {
                    if let Some(room) = self.try_to_adopt(&adoption).await? {
                        return Ok(room);
                    }
                }
                Err(Error::Contended)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether no user of this server is joined to the room.
    async fn is_left_by_all(&self, room: &Arc<Room>) -> Result<bool, Error> {
        let (rooms, room) = (self.clone(), room.clone());
        self.0.store.read(move |read| Ok(rooms.local_members(read, &room, 1)?.is_empty())).await
    }

    /// `None` when the room became known meanwhile.
    async fn try_to_adopt(&self, adoption: &Adoption) -> Result<Option<Arc<Room>>, Error> {
        let rules = adoption.version.rules();
        let no = RoomNo(self.0.store.take_numbers(Sequence::Room, 1).await?);
        let room = Arc::new(Room { no, id: adoption.join.room_id().to_owned(), rules });
        let bundle = bundle(adoption.clone(), true);
        let names = self.intern_bundle(&bundle).await?;
        let count = u32::try_from(bundle.outliers.len() + 1).map_err(|_| Error::TooLarge)?;
        let first = EventNo(self.0.store.take_numbers(Sequence::Event, count).await?);
        let (engine, at) = (self.clone(), room.clone());
        let head = Head::new_room(no, rules);
        let judging = move |read: &roost_store::Read<'_>| engine.judge(read, &at, head, &bundle, 0, &names, first);
        let Judged { mut head, built, planner, chains, mut verdicts, .. } = self.0.store.read(judging).await?;
        let join = built.last().map(|built| built.stored.no);
        match verdicts.pop() {
            Some(Verdict::Accepted(_)) => {}
            Some(Verdict::Other(outcome)) => accepted(Some(outcome))?,
            None => return Err(Error::Damaged("a join can not be judged".to_owned())),
        }
        let partial = match &adoption.partial {
            Some(servers) => {
                head.at.members = Known::Partial(head.at.members.so_far());
                let servers = serde_json::to_string(servers).map_err(|error| Error::BadJson(error.to_string()))?;
                join.map(|event| PartialRoom { room: no, event, servers })
            }
            None => None,
        };
        let new = NewRoom {
            room_id: room.id.to_string(),
            version: rules.version.as_str(),
            published: false,
            creator: roost_store::UserNo(0),
            alias: None,
        };
        let states = planner.finish().await?;
        let plan =
            Arc::new(Plan::new(no, &mut head, built, states, Some(Arc::new(chains)), Some(new), self.0.world.now_ms()));
        let job = plan.clone();
        let written = move |tx: &Tx<'_>| {
            let slots = job.write(tx)?;
            if let Some(partial) = &partial {
                rooms::join_partially(tx, partial, job.now)?;
            }
            Ok(slots)
        };
        match self.0.store.write(written).await {
            Ok(_) => self.room(&room.id).await.map(Some),
            Err(NotCommitted::Stale) => Ok(None),
            Err(NotCommitted::Error(error)) => Err(error),
        }
    }
}

fn bundle(adoption: Adoption, starts_over: bool) -> Bundle {
    let mut outliers: BTreeMap<OwnedEventId, Pdu> = BTreeMap::new();
    let given = adoption.state.iter().map(|pdu| pdu.event_id().to_owned()).collect();
    for pdu in adoption.state.into_iter().chain(adoption.auth_chain) {
        if pdu.room_id() == adoption.join.room_id() {
            outliers.entry(pdu.event_id().to_owned()).or_insert(pdu);
        }
    }
    outliers.remove(adoption.join.event_id());
    Bundle {
        origin: adoption.origin,
        outliers: sort::by(&outliers.into_values().collect::<Vec<_>>(), Pdu::auth_events),
        events: vec![Incoming { pdu: adoption.join, given: Some(given) }],
        starts_over,
        fills: None,
    }
}

fn accepted(outcome: Option<Outcome>) -> Result<(), Error> {
    match outcome {
        Some(Outcome::Accepted(_) | Outcome::Known) => Ok(()),
        Some(Outcome::Rejected(why) | Outcome::SoftFailed(why)) => Err(Error::Forbidden(why)),
        Some(Outcome::Missing) | None => {
            Err(Error::BadJson("The state of the room is not complete in the answer to the join".to_owned()))
        }
    }
}
