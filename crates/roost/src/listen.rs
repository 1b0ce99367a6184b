//! Listening: sockets, TLS, connections, and ending them.

mod connection;
mod places;
mod polite;
mod progress;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use roost_world::{Stop, World};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch},
};

use self::places::Places;
pub use self::tls::TlsError;
use crate::{
    config::{Http, Listen},
    house::size,
};

/// How long connections may take to finish their requests once the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// An open listener, not yet serving.
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<tokio_rustls::TlsAcceptor>,
}

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address can not be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// As configured.
        address: String,
        /// How it failed.
        source: std::io::Error,
    },
    /// Certificate or key are of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Bound {
    /// Opens the socket that `listen` names.
    pub(crate) async fn open(listen: &Listen) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address: listen.address.clone(), source };
        let tls = match (&listen.tls_certificate, &listen.tls_private_key) {
            (Some(certificate), Some(key)) => Some(tls::acceptor(certificate.as_ref(), key.as_ref())?),
            _ => None,
        };
        let listener = TcpListener::bind(&listen.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, tls })
    }

    /// Where it listens; a configured port 0 has become a real one.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) head_timeout: Duration,
    pub(crate) write_timeout: Duration,
    places: Arc<Places>,
    /// Resolves when no new request is to be begun.
    pub(crate) stop: Stop,
    /// Resolves when even running ones have to go.
    kill: watch::Receiver<bool>,
    /// Each connection holds one, so that their end can be awaited.
    _alive: mpsc::Sender<()>,
}

/// The connections of a server.
pub(crate) struct Connections {
    shared: Shared,
    kill: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
}

impl Connections {
    /// None yet; they begin to end once `stop` is set.
    pub(crate) fn new(world: World, http: &Http, stop: Stop) -> Self {
        let (kill, killed) = watch::channel(false);
        let (alive, ended) = mpsc::channel(1);
        // Behind a proxy they all come from one address.
        let proxied = !http.client_address_header.is_empty();
        let per_address = if proxied { usize::MAX } else { size(http.max_connections_per_address) };
        let shared = Shared {
            world,
            permits: Arc::new(Semaphore::new(size(http.max_connections).min(Semaphore::MAX_PERMITS))),
            head_timeout: Duration::from_secs(http.head_timeout.into()),
            write_timeout: Duration::from_secs(http.write_timeout.into()),
            places: Places::new(per_address),
            stop,
            kill: killed,
            _alive: alive,
        };
        Self { shared, kill, ended }
    }

    /// Accepts connections on a listener and serves `router` on them.
    pub(crate) fn serve(&self, bound: Bound, router: Router) {
        let shared = self.shared.clone();
        self.shared.world.executor.spawn("listener", Box::pin(accept(bound, router, shared)));
    }

    /// Waits for the connections to end, once the stop signal was given; after a grace period they are cut.
    pub(crate) async fn ended(self) {
        let Self { shared, kill, mut ended } = self;
        let world = shared.world.clone();
        drop(shared);
        if world.timeout(GRACE, ended.recv()).await.is_none() {
            tracing::warn!("some connections did not end in time and are cut");
            kill.send_replace(true);
            let _ = world.timeout(Duration::from_millis(500), ended.recv()).await;
        }
    }
}

async fn accept(bound: Bound, router: Router, shared: Shared) {
    let mut stop = shared.stop.clone();
    loop {
        // First room for it, then the connection: what waits, waits in the kernel's queue.
        let accepted = tokio::select! {
            biased;
            () = stop.wait() => break,
            accepted = one(&bound, &shared) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let Some(place) = shared.places.take(peer.ip()) else {
                    tracing::debug!(%peer, "an address has too many connections, and is refused another");
                    continue;
                };
                let serving = connection::serve(stream, peer, bound.tls.clone(), router.clone(), shared.clone());
                shared.world.executor.spawn(
                    "connection",
                    Box::pin(async move {
                        serving.await;
                        drop((permit, place));
                    }),
                );
            }
            Err(error) => {
                // Out of file descriptors, most likely: to ask again at once would only burn a core.
                tracing::warn!(%error, "a connection could not be accepted");
                shared.world.clock.sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

type Accepted = (TcpStream, SocketAddr, Option<tokio::sync::OwnedSemaphorePermit>);

async fn one(bound: &Bound, shared: &Shared) -> std::io::Result<Accepted> {
    // The semaphore is never closed, so there always is a permit.
    let permit = Arc::clone(&shared.permits).acquire_owned().await.ok();
    let (stream, peer) = bound.listener.accept().await?;
    Ok((stream, peer, permit))
}

impl Shared {
    /// Resolves when even running requests have to go.
    pub(crate) async fn killed(&mut self) {
        // An error means that the server itself is gone.
        let _ = self.kill.wait_for(|kill| *kill).await;
    }
}
