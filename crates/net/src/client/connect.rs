//! Connections: lookup, guard, TCP, TLS, and the beginning of HTTP.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use roost_world::{Executor, World};
use rustls::ClientConfig;
use tokio_rustls::TlsConnector;

use super::target::{Host, Target};
use crate::{
    Error,
    guard::Guard,
    network::{BoxStream, Network},
    tls::{TlsError, Trust},
};

/// How long one address is tried before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(300);

/// The most addresses of one target that are tried.
const MAX_ADDRESSES: usize = 16;

/// The most bytes of an answer's head.
const HEAD: usize = 64 * 1024;

/// What requests are sent on.
pub(super) enum Connection {
    /// One request at a time.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// Many requests at a time.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Makes connections.
pub(super) struct Connector {
    network: Arc<dyn Network>,
    guard: Guard,
    tls: Arc<ClientConfig>,
    timeout: Duration,
    world: World,
}

impl Connector {
    pub(super) fn new(
        network: Arc<dyn Network>,
        guard: Guard,
        trust: &Trust,
        timeout: Duration,
        world: World,
    ) -> Result<Self, TlsError> {
        let tls = Arc::new(trust.client(&[b"h2", b"http/1.1"], &world)?);
        Ok(Self { network, guard, tls, timeout, world })
    }

    /// Connects to a target.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connection, Error> {
        // Large: a TLS handshake is in it.
        let connecting = Box::pin(self.establish(target));
        self.world.timeout(self.timeout, connecting).await.ok_or(Error::Timeout("the connection"))?
    }

    async fn establish(&self, target: &Target) -> Result<Connection, Error> {
        let stream = reach(&*self.network, &self.guard, &self.world, target).await?;
        let Some(name) = target.server_name() else {
            return self.http1(stream).await;
        };
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name.clone(), stream)
            .await
            .map_err(|source| Error::Tls { name: name.to_str().into_owned(), source })?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let (sender, connection) = http2::Builder::new(Spawner(Arc::clone(&self.world.executor)))
                .max_header_list_size(u32::try_from(HEAD).unwrap_or(u32::MAX))
                .handshake(TokioIo::new(stream))
                .await?;
            self.drive(connection);
            return Ok(Connection::Http2(sender));
        }
        self.http1(stream).await
    }

    async fn http1(&self, stream: impl crate::network::Stream) -> Result<Connection, Error> {
        let (sender, connection) = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
        self.drive(connection);
        Ok(Connection::Http1(sender))
    }

    fn drive(&self, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
        self.world.executor.spawn(
            "outgoing connection",
            Box::pin(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "an outgoing connection broke");
                }
            }),
        );
    }
}

/// Connects to the first candidate that can be reached at an address which the guard permits.
pub(crate) async fn reach(
    network: &dyn Network,
    guard: &Guard,
    world: &World,
    target: &Target,
) -> Result<BoxStream, Error> {
    let mut last = Error::NoAddress(target.authority().to_owned());
    for candidate in target.candidates() {
        let addresses = match &candidate.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => match network.addresses(name).await {
                Ok(addresses) if addresses.is_empty() => {
                    last = Error::NoAddress(name.clone());
                    continue;
                }
                Ok(addresses) => addresses,
                Err(source) => {
                    last = Error::Dns { host: name.clone(), source };
                    continue;
                }
            },
        };
        let permitted: Vec<_> =
            addresses.iter().copied().filter(|address| guard.permits(*address)).take(MAX_ADDRESSES).collect();
        let Some(_) = permitted.first() else {
            if let Some(address) = addresses.first() {
                last = Error::Forbidden { host: candidate.host.to_string(), address: *address };
            }
            continue;
        };
        let addresses = interleave(permitted).map(|address| SocketAddr::new(address, candidate.port)).collect();
        match race(network, world, addresses).await {
            Ok(stream) => return Ok(stream),
            Err((address, source)) => last = Error::Connect { address, source },
        }
    }
    Err(last)
}

/// IPv6 and IPv4 by turns, so that a family without a way out costs one [`STAGGER`] only.
fn interleave(addresses: Vec<IpAddr>) -> impl Iterator<Item = IpAddr> {
    let (mut six, mut four): (VecDeque<_>, VecDeque<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let mut turn = false;
    std::iter::from_fn(move || {
        turn = !turn;
        let (first, second) = if turn { (&mut six, &mut four) } else { (&mut four, &mut six) };
        first.pop_front().or_else(|| second.pop_front())
    })
}

/// Connects to the first address that answers; the next one is tried when one fails or [`STAGGER`] has passed.
async fn race(
    network: &dyn Network,
    world: &World,
    addresses: VecDeque<SocketAddr>,
) -> Result<BoxStream, (SocketAddr, io::Error)> {
    let mut left = addresses.into_iter();
    let mut tries = FuturesUnordered::new();
    let unreachable = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
    let mut last = (unreachable, io::Error::from(io::ErrorKind::HostUnreachable));
    loop {
        if let Some(address) = left.next() {
            let connecting = network.connect(address);
            tries.push(async move { (address, connecting.await) });
        } else if tries.is_empty() {
            return Err(last);
        }
        let more = left.len() > 0;
        loop {
            let ended = if more { world.timeout(STAGGER, tries.next()).await } else { Some(tries.next().await) };
            match ended {
                Some(Some((_, Ok(stream)))) => return Ok(stream),
                Some(Some((address, Err(error)))) => last = (address, error),
                // None are left running, or the time for the next one has come.
                Some(None) | None => break,
            }
            if more {
                break;
            }
        }
    }
}

#[derive(Clone)]
struct Spawner(Arc<dyn Executor>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, future: F) {
        self.0.spawn("outgoing stream", Box::pin(future));
    }
}
