//! The identity server alone, with its listeners and its command socket.

use std::net::SocketAddr;

use roost_http::{Doors, Front, IdentityState, Serves};
use roost_world::World;

use crate::{
    config::{Config, Listen},
    data_dir::{DataDir, IDENTITY},
    identity::IdentityHouse,
    listen::{Bound, Connections},
    server::{STOP, StartError, front},
    socket, telemetry,
};

/// A running identity server.
pub struct IdentityServer {
    house: IdentityHouse,
    connections: Connections,
    addresses: Vec<SocketAddr>,
    urls: Vec<String>,
    data_dir: DataDir,
}

impl IdentityServer {
    /// Starts an identity server. It answers once this returns.
    pub async fn start(config: &Config, world: World) -> Result<Self, StartError> {
        let data_dir = DataDir::open_for(&config.data_dir(), IDENTITY)?;
        let configured: Vec<Listen> = config.serving(Serves::Identity).cloned().collect();
        let listeners = if configured.is_empty() { vec![Listen::identity_alone()] } else { configured };
        let mut bound = Vec::new();
        for listen in &listeners {
            bound.push((Bound::open(listen).await?, listen.serves.0.clone()));
        }
        let addresses = bound.iter().map(|(bound, _)| bound.address()).collect();
        let urls: Vec<String> = bound.iter().map(|(bound, _)| bound.url()).collect();
        let url = urls.first().cloned().unwrap_or_default();
        let metrics_text = telemetry::metrics();
        let house = IdentityHouse::open(config, &data_dir, &url, world.clone()).await?;
        telemetry::keep_metrics(&house.workers, &world);
        let identity = house.identity.clone();
        let ready = Box::new(move || -> roost_world::BoxFuture<Result<(), String>> {
            let identity = identity.clone();
            Box::pin(async move { identity.is_ready().await.map_err(|error| error.to_string()) })
        });
        let front: Front = front(config, &world, &house.workers, ready, metrics_text);
        let identity = IdentityState { front: front.clone(), identity: house.identity.clone() };
        let doors = Doors { front, homeserver: None, identity: Some(identity) };
        let connections = Connections::new(world, &config.http, house.workers.stop_signal());
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

    /// The domain.
    #[must_use]
    pub fn identity(&self) -> &roost_identity::Identity {
        &self.house.identity
    }

    /// Ends it within 5 s: no new requests, running ones finish, everything is written down.
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
