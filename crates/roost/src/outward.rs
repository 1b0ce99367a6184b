//! The ways out: to homeservers, to what the operator names, to the mail server.

use std::{path::PathBuf, sync::Arc};

use roost_net::{
    client::{self, Client},
    discovery::Discovery,
    guard::{Guard, RangeError},
    mail::Mailer,
    network::{Network, System},
    tls::{TlsError, Trust},
};
use roost_world::World;

use crate::config::{Config, filled};

/// The ways out.
pub(crate) struct Outward {
    /// A client for servers that strangers name.
    pub(crate) federation: Client,
    /// How homeservers are found.
    pub(crate) discovery: Discovery,
    /// A client for what the operator names.
    pub(crate) trusted: Client,
    /// The mail server, if there is one.
    pub(crate) mailer: Option<Mailer>,
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub enum OutwardError {
    /// A network that is none.
    #[error("outbound.allow_ranges: {0}")]
    Ranges(#[from] RangeError),
    /// Certificates.
    #[error("federation.extra_ca_files: {0}")]
    Tls(#[from] TlsError),
    /// The mail server.
    #[error("email.smtp_url: {0}")]
    Mail(roost_net::Error),
    /// A client.
    #[error("{0}")]
    Client(#[from] roost_net::Error),
}

impl Outward {
    pub(crate) fn open(config: &Config, world: &World) -> Result<Self, OutwardError> {
        let trust = Trust::system(config.federation.extra_ca_files.iter().map(PathBuf::from))?;
        let network: Arc<dyn Network> = Arc::new(System::new());
        let client = |guard, trust: &Trust| {
            Client::new(Arc::clone(&network), guard, trust, client::Options::default(), world.clone())
        };
        // Federation always checks certificates.
        let federation = client(Guard::new(&config.outbound.allow_ranges)?, &trust)?;
        let discovery = Discovery::new(federation.clone(), Arc::clone(&network), world.clone());
        let lenient = trust.verifying(config.outbound.verify_certificates);
        // Whoever runs the server may name their own machines.
        let trusted = client(Guard::new(["0.0.0.0/0", "::/0"])?, &lenient)?;
        let mailer = filled(&config.email.smtp_url)
            .map(|url| Mailer::new(url, &config.top.server_name, Arc::clone(&network), &lenient, world.clone()));
        Ok(Self { federation, discovery, trusted, mailer: mailer.transpose().map_err(OutwardError::Mail)? })
    }
}
