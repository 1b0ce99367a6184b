//! The identity server: it proves that addresses belong to people, and says which user an address belongs to.
//!
//! [`Identity`] is the door. Nothing here knows HTTP endpoints or homeserver accounts: whoever calls is a user for whom a
//! homeserver vouches.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/>

use std::{sync::Arc, time::Duration};

use roost_matrix::ids::{OwnedServerName, ServerName};
use roost_net::{
    client::{Client, Target},
    discovery::Discovery,
    mail::Mailer,
};
use roost_store::{Store, identity_peppers};
use roost_world::{BoxFuture, Workers, World};
use tokio::sync::Notify;

mod accounts;
mod address;
mod associations;
mod deliveries;
mod error;
mod homeservers;
mod invites;
mod keys;
mod lookup;
mod mail;
mod pages;
mod peppers;
mod sessions;
mod sms;
mod sweep;
mod template;
mod terms;
mod texts;
mod x_matrix;

pub use accounts::Account;
pub use address::{Medium, ThirdPartyId};
pub use error::Error;
pub use homeservers::OwnHomeserver;
pub use invites::{InviteDetails, Stored};
pub use keys::PublicKey;
pub use lookup::HashDetails;
pub use roost_store::{identity_associations::Association, identity_invites::Delivery};
pub use sessions::{MAX_WRONG, Validated, Wanted};
pub use sms::{GatewayError, GatewayOptions, Gateways};
pub use template::TemplateError;
pub use terms::{Policy, PolicyText};
pub use texts::{Texts, TextsError};

/// What the configuration says about the identity server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name under which it signs.
    pub server_name: OwnedServerName,
    /// Where clients and mail readers reach it, without a trailing slash.
    pub base_url: String,
    /// What users have to accept.
    pub policies: Vec<Policy>,
    /// Whether lookups by the address itself are answered (`none`).
    pub plain_lookups: bool,
    /// How many addresses a lookup may ask for.
    pub max_lookup: usize,
    /// How long a pepper is handed out.
    pub pepper_lifetime: Duration,
    /// How long it is still accepted afterwards.
    pub pepper_grace: Duration,
    /// The hosts that a `next_link` may lead to.
    pub next_link_hosts: Vec<String>,
    /// From whom mails come.
    pub mail_from: String,
    /// A web client, for the links in invitations.
    pub web_client: Option<String>,
    /// The gateways for SMS.
    pub gateways: Gateways,
    /// The texts that people read.
    pub texts: Texts,
}

/// How homeservers are found.
pub trait Discover: Send + Sync + 'static {
    /// Where the homeserver of that name is reached; the error is for the operator.
    fn target(&self, server: &ServerName) -> BoxFuture<Result<Target, String>>;
}

impl Discover for Discovery {
    fn target(&self, server: &ServerName) -> BoxFuture<Result<Target, String>> {
        let (discovery, server) = (self.clone(), server.to_owned());
        Box::pin(async move { discovery.find(&server).await.map_err(|error| error.to_string()) })
    }
}

/// How the identity server reaches others.
pub struct Outside {
    /// A client for homeservers, which strangers name.
    pub federation: Client,
    /// How they are found.
    pub discover: Arc<dyn Discover>,
    /// The homeserver in this process.
    pub own: Option<Arc<dyn OwnHomeserver>>,
    /// A client for what the operator names.
    pub trusted: Client,
    /// The mail server, if there is one.
    pub mailer: Option<Mailer>,
}

/// The identity server's domain. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Store,
    world: World,
    options: Options,
    ring: keys::Ring,
    homeservers: homeservers::Homeservers,
    sms: sms::Sms,
    mailer: Option<Mailer>,
    /// Something has been queued for a homeserver.
    parcels: Notify,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// Opens the door, and starts the workers behind it. On the first start there come a signing key and a pepper.
    pub async fn open(
        store: Store,
        options: Options,
        outside: Outside,
        world: World,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let ring = keys::Ring::open(&store, &world).await?;
        let Outside { federation, discover, own, trusted, mailer } = outside;
        let homeservers = homeservers::Homeservers { client: federation, discover, own, world: world.clone() };
        let sms = sms::Sms {
            gateways: options.gateways.clone(),
            client: trusted,
            text: options.texts.sms.clone(),
            server_name: options.server_name.to_string(),
        };
        let parcels = Notify::new();
        let identity = Self(Arc::new(Inner { store, world, options, ring, homeservers, sms, mailer, parcels }));
        let (pepper, now) = (identity.new_pepper(), identity.0.world.now_ms());
        let first = identity.0.store.write(move |tx| Ok::<_, Error>(identity_peppers::first(tx, &pepper, now)?));
        first.await?;
        workers.start_future("identity peppers", |stop| identity.clone().turn_peppers(stop));
        workers.start_future("identity deliveries", |stop| identity.clone().deliver_regularly(stop));
        workers.start_future("identity sweep", |stop| identity.clone().sweep_regularly(stop));
        Ok(identity)
    }

    /// The name under which this server signs.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.0.options.server_name
    }

    /// Where this server is reached, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.0.options.base_url
    }

    /// Whether the database answers.
    pub async fn is_ready(&self) -> Result<(), Error> {
        self.0.store.read(|read| identity_peppers::list(read).map(drop).map_err(Error::from)).await
    }
}

#[cfg(test)]
mod tests;
