//! A whole server: the house, its listeners and its command socket.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderName;
use roost_http::{
    Doors, Front, FrontParts, FrontSettings, IdentityState, Parts, Ready, RegistrationMode, Serves, Settings, State,
    Support,
    limits::{Class, Limits, Rates},
};
use roost_world::{BoxFuture, Workers, World};

use crate::{
    config::{Config, Mode, Problems},
    data_dir::{DataDir, DataDirError},
    house::{House, HouseError},
    listen::{Bound, Connections, ListenError},
    socket, telemetry,
};

/// All that happens at the end has to happen within this.
pub(crate) const STOP: Duration = Duration::from_millis(4500);

/// A running server.
pub struct Server {
    house: House,
    connections: Connections,
    addresses: Vec<SocketAddr>,
    urls: Vec<String>,
    data_dir: DataDir,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not fit.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The data directory.
    #[error("{0}")]
    DataDir(#[from] DataDirError),
    /// A listener.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// The database or a domain.
    #[error("{0}")]
    House(#[from] HouseError),
}

impl Server {
    /// Starts a server. It answers once this returns.
    pub async fn start(config: &Config, world: World) -> Result<Self, StartError> {
        let data_dir = DataDir::open(&config.data_dir())?;
        // Sockets before the database: what can not listen should not begin anything.
        let mut bound = Vec::new();
        for listen in &config.listen {
            bound.push((Bound::open(listen).await?, listen.serves.0.clone()));
        }
        if !config.outbound.verify_certificates {
            tracing::warn!(
                "outbound.verify_certificates is false: certificates of push gateways and others are not checked"
            );
        }
        if config.identity.enabled && config.serving(Serves::Identity).next().is_none() {
            tracing::warn!("identity.enabled is true, but no listener serves \"identity\"");
        }
        let metrics_text = telemetry::metrics();
        let url = bound.iter().find(|(_, families)| families.contains(&Serves::Identity)).map(|(bound, _)| bound.url());
        let config = &with_identity_url(config, url);
        let house = House::open(config, &data_dir, world.clone()).await?;
        telemetry::keep_metrics(&house.workers, &world);
        let users = house.users.clone();
        let ready = Box::new(move || -> BoxFuture<Result<(), String>> {
            let users = users.clone();
            // Any small question will do: what counts is that it is answered.
            Box::pin(async move { users.has_accounts().await.map(drop).map_err(|error| error.to_string()) })
        });
        let front = front(config, &world, &house.workers, ready, metrics_text);
        let state = State::new(Parts {
            front: front.clone(),
            rooms: house.rooms.clone(),
            users: house.users.clone(),
            sync: roost_sync::Sync::open(
                house.store.clone(),
                house.rooms.clone(),
                house.users.clone(),
                world.clone(),
                &house.workers,
            ),
            settings: settings(config)?,
        });
        let identity = house.identity.clone();
        let identity = identity.map(|identity| IdentityState { front: front.clone(), identity });
        let doors = Doors { front, homeserver: Some(state), identity };
        let connections = Connections::new(world, &config.http, house.workers.stop_signal());
        let addresses = bound.iter().map(|(bound, _)| bound.address()).collect();
        let urls = bound.iter().map(|(bound, _)| bound.url()).collect();
        let path = data_dir.socket_path();
        match socket::open(&path) {
            Ok(listener) => {
                let behind = house.clone();
                house.workers.start_future("commands", |stop| socket::serve(listener, behind, stop));
            }
            // A path can be too long for a socket; the server is of use without it.
            Err(error) => tracing::warn!(%error, path = %path.display(), "commands can not reach this server"),
        }
        // Last, since whoever is answered takes the server for ready, commands included.
        for (bound, families) in bound {
            connections.serve(bound, roost_http::router(doors.clone(), &families));
        }
        Ok(Self { house, connections, addresses, urls, data_dir })
    }

    /// Where it listens, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The same as URLs.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// What is behind the doors.
    #[must_use]
    pub fn house(&self) -> &House {
        &self.house
    }

    /// Ends it within 5 s: no new requests, long polls end early, running requests finish, everything is written down.
    pub async fn stop(self) {
        let Self { house, connections, data_dir, .. } = self;
        let world = house.world.clone();
        let ending = async {
            // The workers' signal is also the connections'.
            tokio::join!(house.workers.stop(), connections.ended());
            house.store.close().await;
        };
        if world.timeout(STOP, ending).await.is_none() {
            tracing::warn!("the server did not end in time; what was acknowledged is on the disk");
        }
        let _ = std::fs::remove_file(data_dir.socket_path());
    }
}

fn settings(config: &Config) -> Result<Settings, Problems> {
    let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
    Ok(Settings {
        server_name: config.server_name()?,
        public_base_url: config.top.public_base_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
        default_room_version: config
            .top
            .default_room_version
            .as_str()
            .try_into()
            .map_err(|error| Problems(vec![format!("default_room_version: {error}")]))?,
        registration: match config.registration.mode {
            Mode::Open => RegistrationMode::Open,
            Mode::Token => RegistrationMode::Token,
            Mode::Closed => RegistrationMode::Closed,
        },
        registration_secret: filled(&config.registration.shared_secret),
        federation: config.federation.enabled,
        directory_requires_authentication: config.directory.require_authentication,
        support: Support {
            page: filled(&config.support.page),
            email: filled(&config.support.email),
            matrix_id: filled(&config.support.matrix_id),
        },
    })
}

/// What every listener has.
pub(crate) fn front(
    config: &Config,
    world: &World,
    workers: &Workers,
    ready: Box<Ready>,
    metrics_text: Option<Arc<dyn Fn() -> String + Send + Sync>>,
) -> Front {
    let bytes = |kib: u32| usize::try_from(kib).unwrap_or(usize::MAX).saturating_mul(1024);
    let settings = FrontSettings {
        max_body: bytes(config.http.max_body_kib),
        body_timeout: Duration::from_secs(config.http.body_timeout.into()),
        max_head: bytes(config.http.max_head_kib),
        client_address_header: HeaderName::try_from(&config.http.client_address_header).ok(),
        log_requests: config.log.requests,
    };
    let (world, workers, limits) = (world.clone(), workers.clone(), limits(config, world));
    Front::new(FrontParts { world, workers, settings, limits, ready, metrics_text })
}

/// The configuration with the identity server's URL, when the configuration does not say how it is reached.
fn with_identity_url(config: &Config, url: Option<String>) -> Config {
    let mut config = config.clone();
    let known = config.identity.public_base_url.take().or_else(|| config.top.public_base_url.clone());
    config.identity.public_base_url = known.or(url);
    config
}

fn limits(config: &Config, world: &World) -> Limits {
    let limits = &config.rate_limits;
    if !limits.enabled {
        return Limits::off();
    }
    Limits::new(world, |class| match class {
        Class::Login => Rates { address: limits.login_per_address.0, user: limits.login_per_user.0 },
        Class::Registration => Rates { address: limits.registration_per_address.0, user: None },
        Class::Sending => Rates { address: limits.sending_per_address.0, user: limits.sending_per_user.0 },
        Class::Rooms => Rates { address: limits.rooms_per_address.0, user: limits.rooms_per_user.0 },
        Class::Costly => Rates { address: limits.costly_per_address.0, user: limits.costly_per_user.0 },
        Class::IdentityRegistration => Rates { address: limits.identity_registration_per_address.0, user: None },
        Class::IdentityMessages => {
            Rates { address: limits.identity_messages_per_address.0, user: limits.identity_messages_per_user.0 }
        }
        Class::IdentityThirdPartyId => Rates { address: None, user: limits.identity_messages_per_third_party_id.0 },
        Class::IdentityBinding => {
            Rates { address: limits.identity_binding_per_address.0, user: limits.identity_binding_per_user.0 }
        }
        Class::IdentityLookup => {
            Rates { address: limits.identity_lookups_per_address.0, user: limits.identity_lookups_per_user.0 }
        }
        Class::IdentityAddresses => Rates { address: None, user: limits.identity_looked_up_per_user.0 },
    })
}
