//! What servers exchange about rooms.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use http::Method;
use roost_matrix::{
    event::Pdu,
    ids::{OwnedServerName, OwnedUserId, ServerName},
    room_version::Rules,
    signing::VerifyEventError,
};
use roost_net::client::Limits;
use roost_rooms::{Known, Room, Rooms};
use roost_store::{Position, Tx, destinations, events};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::{Error, Federation};

/// Rooms that are shared with other servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The way to other servers.
    pub federation: Federation,
    /// The rooms here.
    pub rooms: Rooms,
    /// What is handed to the sender beside the log.
    pub(crate) handed: Arc<Handed>,
}

/// Servers that something waits for in the database, and the bell that says so.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    servers: Mutex<HashSet<OwnedServerName>>,
    pub(crate) bell: Notify,
}

impl Handed {
    /// Those that were handed in since this was asked.
    pub(crate) fn take(&self) -> HashSet<OwnedServerName> {
        std::mem::take(&mut *self.servers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Servers that are asked at most, when the first ones do not answer.
pub(crate) const CANDIDATES: usize = 20;

impl Exchange {
    /// Joins the two.
    #[must_use]
    pub fn new(federation: Federation, rooms: Rooms) -> Self {
        Self { federation, rooms, handed: Arc::default() }
    }

    /// The name of this server.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        self.federation.server_name()
    }

    /// Asks a server, signed, and reads its answer. Any status but 200 is [`Error::Refused`].
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        server: &ServerName,
        method: Method,
        path: &str,
        body: Option<String>,
        limits: Limits,
    ) -> Result<T, Error> {
        let body = body.map(Into::into);
        let response = self.federation.peers.send(server, method, path, body, limits).await?;
        let status = response.status.as_u16();
        let bytes = response.body.collect().await.map_err(|source| Error::Net { server: server.to_owned(), source })?;
        if status != 200 {
            return Err(Error::refused(server, status, &bytes));
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Answer { server: server.to_owned(), why: error.to_string() })
    }

    /// Events as they came, verified: what is no event of the room's version, or not signed by those who must have, is left out,
    /// and what does not match its hash is redacted.
    /// <https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>
    pub(crate) async fn verified(&self, rules: &'static Rules, raw: &[Box<RawValue>]) -> Result<Vec<Pdu>, Error> {
        let pdus: Vec<Pdu> = raw.iter().filter_map(|raw| Pdu::parse(raw.get().as_bytes(), rules).ok()).collect();
        Ok(self.verify(pdus).await?.into_iter().filter_map(Result::ok).collect())
    }

    /// The same for events that are read already, with the reason for each that is of no use.
    pub(crate) async fn verify(&self, pdus: Vec<Pdu>) -> Result<Vec<Result<Pdu, VerifyEventError>>, Error> {
        let verdicts = self.federation.verify(pdus.clone()).await?;
        Ok(pdus
            .into_iter()
            .zip(verdicts)
            .map(|(pdu, verdict)| {
                let verified = verdict?;
                // Who vouches for a join must have signed it; without that it is as if nobody had vouched.
                if verified.join_authorised == Some(false) {
                    return Err(VerifyEventError::NoSignature(voucher(&pdu)));
                }
                Ok(if verified.content_hash_matches { pdu } else { pdu.redacted() })
            })
            .collect())
    }

    /// Has an event that another server has sent passed on to those that can not know of it: joins and leaves of its users.
    pub(crate) async fn pass_on(
        &self,
        room: &Room,
        origin: &ServerName,
        event: &Pdu,
        at: Position,
    ) -> Result<(), Error> {
        let mut servers = self.servers_in(room).await?;
        servers.retain(|server| server != origin);
        if servers.is_empty() {
            return Ok(());
        }
        let (names, id) = (servers.clone(), event.event_id().to_string());
        let push = move |tx: &Tx<'_>| {
            let Some(row) = events::by_id(tx, &id)? else { return Ok(()) };
            let rows: Vec<_> = names.iter().map(|server| (server.as_str(), at, row.event)).collect();
            destinations::push(tx, &rows)
        };
        self.rooms.store().write(push).await?;
        self.handed.servers.lock().unwrap_or_else(PoisonError::into_inner).extend(servers);
        self.handed.bell.notify_one();
        Ok(())
    }

    /// The servers that are in a room, this one not among them; those of the members who have been there longest first.
    pub(crate) async fn servers_in(&self, room: &Room) -> Result<Vec<OwnedServerName>, Error> {
        let servers = match self.rooms.servers(room).await? {
            Known::Whole(servers) | Known::Partial(servers) => servers,
        };
        Ok(servers.into_iter().filter(|server| server != self.server_name()).collect())
    }

    /// The servers to be asked one after the other until one answers: a few of them, and never this one.
    pub(crate) fn candidates<'a>(
        &'a self,
        servers: &'a [OwnedServerName],
    ) -> impl Iterator<Item = &'a OwnedServerName> + Send {
        servers.iter().filter(|server| *server != self.server_name()).take(CANDIDATES)
    }
}

/// The server of the user who vouches for a join.
fn voucher(pdu: &Pdu) -> OwnedServerName {
    let named = pdu.content_member("join_authorised_via_users_server");
    let user = named.and_then(|json| serde_json::from_str::<OwnedUserId>(json).ok());
    user.as_deref().unwrap_or(pdu.sender()).server_name().to_owned()
}
