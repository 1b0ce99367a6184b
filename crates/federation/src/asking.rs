//! What the room engine lacks, asked of other servers.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http::Method;
use roost_matrix::{
    event::Pdu,
    ids::{EventId, OwnedEventId, OwnedServerName, ServerName},
};
use roost_net::client::Limits;
use roost_rooms::{Peers, Room, StateIds};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    Error, Exchange,
    path::{path, query},
};

/// Servers that are asked, in their order, for what a room lacks.
#[derive(Clone, Debug)]
pub struct Asking {
    exchange: Exchange,
    first: Vec<OwnedServerName>,
    /// Whether those that are in the room are asked, too. They are looked up when there is something to ask.
    members: bool,
}

/// Requests for single events that are under way at a time.
const AT_ONCE: usize = 16;
/// What an answer may have that holds many events: a hundred of the largest.
const EVENTS: Limits = Limits { bytes: 100 * 70_000, silence: Duration::from_secs(30), total: Duration::from_secs(60) };
/// What the ids of a state may take: those of half a million events.
const IDS: Limits = Limits { bytes: 32 << 20, silence: Duration::from_secs(60), total: Duration::from_secs(180) };

#[derive(Deserialize)]
struct Events {
    #[serde(alias = "events")]
    pdus: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Ids {
    pdu_ids: Vec<OwnedEventId>,
    auth_chain_ids: Vec<OwnedEventId>,
}

impl Exchange {
    /// Asks these servers, and then those that are in the room.
    #[must_use]
    pub fn asking(&self, first: Vec<OwnedServerName>) -> Asking {
        Asking { exchange: self.clone(), first, members: true }
    }

    /// Asks these servers alone.
    #[must_use]
    pub fn asking_only(&self, servers: Vec<OwnedServerName>) -> Asking {
        Asking { exchange: self.clone(), first: servers, members: false }
    }
}

impl Asking {
    async fn servers(&self, room: &Room) -> Vec<OwnedServerName> {
        let mut servers = self.first.clone();
        if self.members {
            let members = self.exchange.servers_in(room).await.unwrap_or_default();
            servers.extend(members.into_iter().filter(|server| !self.first.contains(server)));
        }
        servers
    }

    /// One event, from whoever has it.
    async fn one(&self, room: &Room, servers: &[OwnedServerName], id: &EventId) -> Vec<Pdu> {
        let path = path(&["federation", "v1", "event", id.as_str()]);
        for server in self.exchange.candidates(servers) {
            let found = self.events_at(server, room, Method::GET, &path, None, Limits::default()).await;
            // Who answers with something else has not got it.
            let found: Vec<_> = found.into_iter().filter(|pdu| pdu.event_id() == id).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    async fn many(&self, room: &Room, method: Method, path: &str, body: Option<String>) -> Vec<Pdu> {
        let servers = self.servers(room).await;
        for server in self.exchange.candidates(&servers) {
            let found = self.events_at(server, room, method.clone(), path, body.clone(), EVENTS).await;
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// What one server answers, verified; nothing when it does not help.
    async fn events_at(
        &self,
        server: &ServerName,
        room: &Room,
        method: Method,
        path: &str,
        body: Option<String>,
        limits: Limits,
    ) -> Vec<Pdu> {
        let answer: Result<Events, Error> = self.exchange.ask(server, method, path, body, limits).await;
        let found = match answer {
            Ok(answer) => self.exchange.verified(room.rules, &answer.pdus).await,
            Err(error) => Err(error),
        };
        found.unwrap_or_else(|error| {
            tracing::debug!(%server, %error, "a server did not help");
            Vec::new()
        })
    }
}

impl Peers for Asking {
    fn events<'a>(&'a self, room: &'a Room, ids: &'a [OwnedEventId]) -> BoxFuture<'a, Vec<Pdu>> {
        async move {
            // There is no request for several, so a few are under way at a time.
            let ids: BTreeSet<&OwnedEventId> = ids.iter().collect();
            let servers = self.servers(room).await;
            let requests: Vec<_> = ids.into_iter().map(|id| self.one(room, &servers, id)).collect();
            stream::iter(requests).buffer_unordered(AT_ONCE).concat().await
        }
        .boxed()
    }

    fn missing_events<'a>(
        &'a self,
        room: &'a Room,
        earliest: &'a [OwnedEventId],
        latest: &'a [OwnedEventId],
        limit: usize,
    ) -> BoxFuture<'a, Vec<Pdu>> {
        async move {
            let path = path(&["federation", "v1", "get_missing_events", room.id.as_str()]);
            let body = json!({ "earliest_events": earliest, "latest_events": latest, "limit": limit, "min_depth": 0 });
            self.many(room, Method::POST, &path, Some(body.to_string())).await
        }
        .boxed()
    }

    fn state_ids<'a>(&'a self, room: &'a Room, event: &'a EventId) -> BoxFuture<'a, Option<StateIds>> {
        async move {
            let path = path(&["federation", "v1", "state_ids", room.id.as_str()]);
            let path = query(&path, &[("event_id", event.as_str())]);
            let servers = self.servers(room).await;
            for server in self.exchange.candidates(&servers) {
                let answer: Result<Ids, Error> = self.exchange.ask(server, Method::GET, &path, None, IDS).await;
                match answer {
                    Ok(ids) => return Some(StateIds { state: ids.pdu_ids, auth_chain: ids.auth_chain_ids }),
                    Err(error) => tracing::debug!(%server, %error, "a server did not help"),
                }
            }
            None
        }
        .boxed()
    }

    fn backfill<'a>(&'a self, room: &'a Room, from: &'a [OwnedEventId], limit: usize) -> BoxFuture<'a, Vec<Pdu>> {
        async move {
            let path = path(&["federation", "v1", "backfill", room.id.as_str()]);
            let limit = limit.to_string();
            let mut named: Vec<_> = from.iter().take(20).map(|id| ("v", id.as_str())).collect();
            named.push(("limit", &limit));
            self.many(room, Method::GET, &query(&path, &named), None).await
        }
        .boxed()
    }
}
