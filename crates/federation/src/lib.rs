//! Talking with other homeservers: who they are, and proving to each other who asks.
//!
//! * [`peers`]: requests to other servers, signed where that is wanted;
//! * [`keys`]: this server's own keys, those of others, and what is said of them to third parties;
//! * [`verify`]: whether events are signed by those who must have;
//! * [`authenticate`]: who it is that asks us;
//! * [`examine`]: what happens on the way to a server, for whoever wonders.

pub mod asking;
pub mod authenticate;
mod error;
pub mod examine;
mod exchange;
mod inbound;
mod join;
pub mod keys;
mod path;
pub mod peers;
mod sender;
pub mod verify;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use roost_matrix::{
    ids::{OwnedServerName, ServerName},
    signing::KeyPair,
};
use roost_store::Store;
use roost_world::World;

pub use self::{
    asking::Asking,
    error::Error,
    exchange::Exchange,
    inbound::{Transaction, TransactionError},
    join::{Answered, Handshake},
    keys::KeyRing,
    peers::Peers,
    sender::{Sender, Status},
};

/// Who this server is to others.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub server_name: OwnedServerName,
    /// The key with which it signs.
    pub key: Arc<KeyPair>,
}

/// Everything about other servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Federation {
    /// Requests to them.
    pub peers: Peers,
    /// Their keys, and ours.
    pub keys: KeyRing,
    world: World,
}

impl Federation {
    /// Opens federation. `key_servers` are the notaries that are asked for the keys of servers which do not answer themselves.
    pub async fn open(
        store: Store,
        peers: Peers,
        key_servers: Vec<OwnedServerName>,
        world: World,
    ) -> Result<Self, Error> {
        let keys = KeyRing::open(store, peers.clone(), key_servers, world.clone()).await?;
        Ok(Self { peers, keys, world })
    }

    /// Time, chance and execution.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// The name of this server.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.peers.identity().server_name
    }
}
