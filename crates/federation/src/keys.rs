//! [Server keys](https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys): this server's own, those of others
//! with where they come from, and what is said of them to third parties.

mod answer;
mod fetch;
mod notary;
mod own;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use quick_cache::sync::Cache;
use roost_matrix::{
    ids::{OwnedServerName, ServerName},
    signing::{self, PublicKey, ServerKey},
};
use roost_net::flights::Flights;
use roost_store::{Store, remote_keys};
use roost_world::World;
use tokio::sync::Semaphore;

use self::own::Own;
pub use self::{
    answer::{Answer, AnswerError},
    notary::{Criteria, MAX_SERVERS, Query},
};
use crate::{Error, Peers};

/// How many servers' keys are kept in memory, and how many servers that do not answer are remembered.
const CACHED: usize = 10_000;

/// How many servers are asked for their keys at a time.
const AT_ONCE: usize = 32;

/// A key that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Whose.
    pub server: OwnedServerName,
    /// Its identifier, such as `ed25519:abc`.
    pub key_id: String,
    /// When it has to be valid, in milliseconds since the epoch: an event's time, or now for a request.
    pub valid_at: u64,
}

/// Keys of some servers, as they were known at one moment.
#[derive(Debug, Clone, Default)]
pub struct Known(HashMap<OwnedServerName, Arc<ServerKeys>>);

impl signing::KeyRing for Known {
    fn key(&self, server: &ServerName, key_id: &str) -> Option<ServerKey> {
        self.0.get(server)?.keys.get(key_id).copied()
    }
}

/// The keys of one server.
#[derive(Debug, Default)]
struct ServerKeys {
    keys: BTreeMap<String, ServerKey>,
    /// When the server, or somebody for it, was heard last; in milliseconds since the epoch.
    fetched_ms: u64,
}

impl ServerKeys {
    /// Whether nothing better can be had for a want by asking anew.
    fn satisfies(&self, key_id: &str, valid_at: u64, now_ms: u64) -> bool {
        // Nobody promises today for times beyond it: of a key that is to be valid in the future, the present counts.
        self.keys.get(key_id).is_some_and(|key| key.expired || key.valid_until_ts >= valid_at.min(now_ms))
    }
}

/// The keys of servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KeyRing {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    peers: Peers,
    notaries: Vec<OwnedServerName>,
    own: Own,
    known: Cache<OwnedServerName, Arc<ServerKeys>>,
    failed: Cache<OwnedServerName, Failed>,
    direct: Flights<OwnedServerName, bool>,
    batches: Flights<(OwnedServerName, String), ()>,
    fetching: Semaphore,
    world: World,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyRing")
    }
}

/// A server that has not answered.
#[derive(Debug, Clone, Copy)]
struct Failed {
    /// When it may be asked again, by the monotonic clock.
    until: Duration,
    times: u32,
}

impl KeyRing {
    /// Opens the ring on what the store holds.
    pub async fn open(store: Store, peers: Peers, notaries: Vec<OwnedServerName>, world: World) -> Result<Self, Error> {
        let own = Own::open(&store, peers.identity().clone(), world.clone()).await?;
        let notaries = notaries.into_iter().filter(|notary| *notary != peers.identity().server_name).collect();
        let inner = Inner {
            store,
            peers,
            notaries,
            own,
            known: Cache::new(CACHED),
            failed: Cache::new(CACHED),
            direct: Flights::default(),
            batches: Flights::default(),
            fetching: Semaphore::new(AT_ONCE),
            world,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What this server says of its own keys, signed: the body of `GET /_matrix/key/v2/server`.
    pub fn own_answer(&self) -> Result<String, Error> {
        Ok(self.inner.own.answer()?)
    }

    /// The keys that are needed, as far as they can be had: those at hand, and for what is missing the servers themselves are
    /// asked, then the notaries. Keys that nobody has are missing from the answer, for the caller to find out.
    pub async fn keys(&self, wants: &[Want]) -> Result<Known, Error> {
        let mut known = self.at_hand(wants).await?;
        let missing = self.missing(&known, wants);
        if missing.is_empty() {
            return Ok(known);
        }
        // Beyond this many, servers wait for each other.
        let fetches: Vec<_> = missing.iter().map(|server| self.fetch_direct(server)).collect();
        stream::iter(fetches).buffer_unordered(AT_ONCE).for_each(|_| std::future::ready(())).await;
        known = self.at_hand(wants).await?;
        for notary in &self.inner.notaries {
            let missing = self.missing(&known, wants);
            if missing.is_empty() {
                break;
            }
            let wanted: Vec<_> =
                wants.iter().filter(|want| missing.contains(&want.server) && want.server != *notary).cloned().collect();
            self.fetch_through(notary, &wanted).await;
            known = self.at_hand(wants).await?;
        }
        Ok(known)
    }

    /// The servers of which some key is missing, or may no longer be what they sign with.
    fn missing(&self, known: &Known, wants: &[Want]) -> Vec<OwnedServerName> {
        let now = self.inner.world.now_ms();
        let mut servers: Vec<_> = wants
            .iter()
            .filter(|want| want.server != self.inner.own.identity().server_name)
            .filter(|want| {
                !known.0.get(&want.server).is_some_and(|keys| keys.satisfies(&want.key_id, want.valid_at, now))
            })
            .map(|want| want.server.clone())
            .collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }

    async fn at_hand(&self, wants: &[Want]) -> Result<Known, Error> {
        let mut known = HashMap::new();
        for want in wants {
            if !known.contains_key(&want.server) {
                known.insert(want.server.clone(), self.inner.of(&want.server).await?);
            }
        }
        Ok(Known(known))
    }
}

impl Inner {
    /// What is known of a server's keys without asking anybody.
    async fn of(&self, server: &ServerName) -> Result<Arc<ServerKeys>, Error> {
        if *server == *self.own.identity().server_name {
            return Ok(Arc::new(self.own.keys()));
        }
        if let Some(keys) = self.known.get(server) {
            return Ok(keys);
        }
        let name = server.to_string();
        let rows = self.store.read(move |read| remote_keys::of(read, &name)).await?;
        let mut keys = ServerKeys::default();
        for row in rows {
            keys.fetched_ms = keys.fetched_ms.max(row.fetched_ms);
            // What is no key any more was none when it was stored.
            let Ok(key) = PublicKey::from_bytes(&row.public_key) else { continue };
            let key = ServerKey { key, valid_until_ts: row.valid_until, expired: row.expired };
            keys.keys.insert(row.key_id, key);
        }
        let keys = Arc::new(keys);
        self.known.insert(server.to_owned(), Arc::clone(&keys));
        Ok(keys)
    }
}
