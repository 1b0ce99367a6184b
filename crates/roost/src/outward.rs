//! What it takes to connect to others, as the configuration has it.

use std::sync::Arc;

use roost_federation::{Identity, Peers};
use roost_net::{
    client::{Client, Options},
    discovery::Discovery,
    guard::{Guard, RangeError},
    network::{Network, System},
    tls::{TlsError, Trust},
};
use roost_world::World;

use crate::config::Config;

/// Why nobody can be connected to.
#[derive(Debug, thiserror::Error)]
pub enum OutwardError {
    /// `outbound.allow_ranges`.
    #[error("outbound.allow_ranges: {0}")]
    Ranges(#[from] RangeError),
    /// `federation.extra_ca_files`.
    #[error("federation.extra_ca_files: {0}")]
    Tls(#[from] TlsError),
    /// The client.
    #[error("{0}")]
    Net(#[from] roost_net::Error),
}

/// The way to other homeservers.
pub(crate) struct Outward {
    network: Arc<dyn Network>,
    client: Client,
    world: World,
}

impl Outward {
    /// Opens it: nobody is connected to yet.
    pub(crate) fn open(config: &Config, world: &World) -> Result<Self, OutwardError> {
        let network: Arc<dyn Network> = Arc::new(System::new());
        let guard = Guard::new(&config.outbound.allow_ranges)?;
        // Certificates of other homeservers are always checked, whatever outbound.verify_certificates says.
        let trust = Trust::system(&config.federation.extra_ca_files)?;
        let client = Client::new(Arc::clone(&network), guard, &trust, Options::default(), world.clone())?;
        Ok(Self { network, client, world: world.clone() })
    }

    /// Requests to other homeservers in the name of `identity`.
    pub(crate) fn peers(&self, identity: Identity) -> Peers {
        let discovery = Discovery::new(self.client.clone(), Arc::clone(&self.network), self.world.clone());
        Peers::new(identity, self.client.clone(), discovery)
    }
}
