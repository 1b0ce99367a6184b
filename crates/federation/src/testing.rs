//! For the tests of this crate: servers that say what their keys are.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use http::Method;
use roost_matrix::{
    base64,
    ids::OwnedServerName,
    signing::{KeyPair, sign_json},
};
use roost_net::{
    client::{Client, Options},
    discovery::Discovery,
    guard::Guard,
    network::{Network, Table},
    testing::{self, Answer, Authority, Seen, Server, TurnedClock},
};
use roost_store::testing::{TestStore, store};
use roost_world::World;
use serde_json::{Value, json};

use crate::{Federation, Identity, Peers};

pub(crate) fn name(text: &str) -> OwnedServerName {
    OwnedServerName::try_from(text).unwrap()
}

pub(crate) fn key(number: u8) -> KeyPair {
    KeyPair::from_seed([number; 32], &format!("k{number}"))
}

/// An answer about keys, unsigned.
pub(crate) fn answer(server: &str, current: &[u8], old: &[(u8, u64)], valid_until: u64) -> Value {
    let public = |number: u8| base64::encode(&key(number).public_key());
    let current: serde_json::Map<_, _> =
        current.iter().map(|n| (format!("ed25519:k{n}"), json!({ "key": public(*n) }))).collect();
    let old: serde_json::Map<_, _> =
        old.iter().map(|(n, end)| (format!("ed25519:k{n}"), json!({ "key": public(*n), "expired_ts": end }))).collect();
    json!({ "server_name": server, "verify_keys": current, "old_verify_keys": old, "valid_until_ts": valid_until })
}

pub(crate) fn signed(answer: &Value, by: &str, number: u8) -> Value {
    let json = sign_json(answer.to_string().as_bytes(), by, &key(number)).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// This server, on a network of its own with others that are made up.
pub(crate) struct House {
    pub(crate) federation: Federation,
    pub(crate) world: World,
    pub(crate) clock: Arc<TurnedClock>,
    pub(crate) table: Table,
    pub(crate) authority: Authority,
    pub(crate) store: TestStore,
    addresses: AtomicU8,
}

pub(crate) async fn house(key_servers: &[&str]) -> House {
    let (authority, table, store) = (Authority::new(), Table::new(), store().await);
    let (world, clock) = testing::world();
    let federation = open(&authority, &table, &store, &world, key_servers).await;
    House { federation, world, clock, table, authority, store, addresses: AtomicU8::new(1) }
}

async fn open(authority: &Authority, table: &Table, store: &TestStore, world: &World, notaries: &[&str]) -> Federation {
    let network: Arc<dyn Network> = Arc::new(table.clone());
    let (guard, options) = (Guard::default(), Options::default());
    let client = Client::new(Arc::clone(&network), guard, &authority.trust(), options, world.clone()).unwrap();
    let discovery = Discovery::new(client.clone(), network, world.clone());
    let peers = Peers::new(Identity { server_name: name("us.example:1"), key: Arc::new(key(99)) }, client, discovery);
    let notaries = notaries.iter().map(|notary| name(notary)).collect();
    Federation::open((**store).clone(), peers, notaries, world.clone()).await.unwrap()
}

impl House {
    /// The same after a restart: what is in memory is lost.
    pub(crate) async fn reopened(&self) -> Federation {
        open(&self.authority, &self.table, &self.store, &self.world, &[]).await
    }

    /// A server at `NAME:1` that answers by a function.
    pub(crate) async fn peer(&self, host: &str, handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Server {
        let server = Server::start(Some(self.authority.server(&[host], &[])), handler).await;
        let address: IpAddr = [9, 9, 9, self.addresses.fetch_add(1, Ordering::SeqCst)].into();
        self.table.host(host, &[address]);
        self.table.route(SocketAddr::new(address, 1), server.address());
        server
    }

    /// A server at `NAME:1` that says what is in the cell of its keys, signed with the key of that number.
    pub(crate) async fn says(&self, host: &str, says: &Arc<Mutex<Value>>) -> Server {
        let says = Arc::clone(says);
        self.peer(host, move |seen| {
            assert_eq!((&seen.method, seen.uri.path()), (&Method::GET, "/_matrix/key/v2/server"));
            Answer::ok(says.lock().unwrap().to_string())
        })
        .await
    }

    pub(crate) fn in_hours(&self, hours: u64) -> u64 {
        self.world.now_ms() + hours * 3_600_000
    }
}
