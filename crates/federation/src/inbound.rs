//! Events that other servers send: transactions.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#transactions>

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use roost_matrix::{
    event::Pdu,
    ids::{OwnedEventId, OwnedRoomId, OwnedServerName, ServerName},
};
use roost_rooms::{Admitted, Outcome};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Error, Exchange};

/// The most events of a transaction.
const MAX_PDUS: usize = 50;
/// The most other things of a transaction.
const MAX_EDUS: usize = 100;
/// Rooms of one transaction that are worked on at once.
const ROOMS_AT_ONCE: usize = 8;

/// What a server sends at once.
#[derive(Debug, Deserialize)]
pub struct Transaction {
    #[serde(default)]
    pdus: Vec<Box<RawValue>>,
    #[serde(default)]
    edus: Vec<Box<RawValue>>,
}

/// Why a transaction is not looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// It is not what a transaction is.
    #[error("not a transaction: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It has too much in it.
    #[error("a transaction has at most 50 PDUs and 100 EDUs")]
    TooLarge,
}

/// For each event of a transaction what went wrong with it, if anything did.
type Results = BTreeMap<OwnedEventId, Option<String>>;

#[derive(Deserialize)]
struct Bare {
    room_id: Option<OwnedRoomId>,
}

impl Transaction {
    /// Reads a request body.
    pub fn read(body: &[u8]) -> Result<Self, TransactionError> {
        let transaction: Self = serde_json::from_slice(body)?;
        if transaction.pdus.len() > MAX_PDUS || transaction.edus.len() > MAX_EDUS {
            return Err(TransactionError::TooLarge);
        }
        Ok(transaction)
    }
}

impl Exchange {
    /// Takes in what a server sends. Each event is judged by itself; those of one room in the order in which they build on
    /// each other, rooms beside each other. A transaction that is sent twice changes nothing the second time, since events are
    /// taken in once.
    ///
    /// Whatever is no event of a room that is known here is left out of the answer, which names events by ids that only
    /// the room's version can tell.
    pub async fn transaction(&self, origin: &ServerName, transaction: Transaction) -> Result<Results, Error> {
        let mut rooms: BTreeMap<OwnedRoomId, Vec<Box<RawValue>>> = BTreeMap::new();
        for raw in transaction.pdus {
            if let Ok(Bare { room_id: Some(room) }) = serde_json::from_str(raw.get()) {
                rooms.entry(room).or_default().push(raw);
            }
        }
        let work = rooms.into_iter().map(|(room, raw)| self.events_of(origin, room, raw));
        let mut done = stream::iter(work.collect::<Vec<_>>()).buffer_unordered(ROOMS_AT_ONCE);
        let mut results = Results::new();
        while let Some(found) = done.next().await {
            results.extend(found?);
        }
        Ok(results)
    }

    async fn events_of(
        &self,
        origin: &ServerName,
        room: OwnedRoomId,
        raw: Vec<Box<RawValue>>,
    ) -> Result<Results, Error> {
        let room = match self.rooms.room(&room).await {
            Ok(room) => room,
            Err(roost_rooms::Error::UnknownRoom) => return Ok(Results::new()),
            Err(error) => return Err(error.into()),
        };
        let pdus: Vec<Pdu> = raw.iter().filter_map(|raw| Pdu::parse(raw.get().as_bytes(), room.rules).ok()).collect();
        let ids: Vec<OwnedEventId> = pdus.iter().map(|pdu| pdu.event_id().to_owned()).collect();
        if self.rooms.admits(&room, origin).await? == Admitted::Denied {
            let denied = || Some("The room's access control list shuts your server out".to_owned());
            return Ok(ids.into_iter().map(|id| (id, denied())).collect());
        }
        let mut results = Results::new();
        let mut good = Vec::with_capacity(pdus.len());
        for (id, verdict) in ids.into_iter().zip(self.verify(pdus).await?) {
            match verdict {
                Ok(pdu) => good.push(pdu),
                Err(error) => drop(results.insert(id, Some(error.to_string()))),
            }
        }
        let origin: OwnedServerName = origin.to_owned();
        let asking = self.asking(vec![origin.clone()]);
        for (id, outcome) in self.rooms.receive(&room, &origin, good, &asking).await? {
            results.insert(id, problem(outcome));
        }
        Ok(results)
    }
}

/// What the sender is told. That an event was soft-failed is nobody's business but ours.
fn problem(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Accepted(_) | Outcome::Known | Outcome::SoftFailed(_) => None,
        Outcome::Rejected(why) => Some(why),
        Outcome::Missing => Some("Events that this one builds on could not be had".to_owned()),
    }
}
