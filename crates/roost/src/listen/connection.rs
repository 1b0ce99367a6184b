//! One connection.

use std::{net::SocketAddr, pin::pin};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use roost_http::Peer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use super::{Shared, polite::Polite, progress::Progress};

/// The most bytes of a request head that are read at all. Below it the router refuses with a Matrix error; above it (and
/// above hyper's 100 headers) [`Polite`] turns hyper's own refusal into one.
const HEAD: usize = 192 * 1024;

/// How many bytes may wait in the kernel before the socket counts as full. Without it the kernel would take megabytes at once
/// and then nothing for minutes, while a slow client reads: that would look as if it read nothing.
const UNSENT: u32 = 128 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    shared: Shared,
) {
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    let stream = Progress::new(stream, shared.write_timeout, shared.world.clone());
    let Some(acceptor) = tls else {
        return http(stream, peer, router, shared).await;
    };
    match shared.world.timeout(shared.head_timeout, acceptor.accept(stream)).await {
        Some(Ok(stream)) => http(stream, peer, router, shared).await,
        Some(Err(error)) => tracing::debug!(%error, %peer, "no TLS with a client"),
        None => tracing::debug!(%peer, "a client took too long over TLS"),
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    router: Router,
    mut shared: Shared,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        // A router is always ready.
        router.clone().call(request)
    });
    let io = TokioIo::new(Polite::new(stream, shared.world.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.head_timeout)
        .max_buf_size(HEAD)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut stop = shared.stop.clone();
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, %peer, "a connection broke");
                }
                break;
            }
            () = stop.wait(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = shared.killed() => break,
        }
    }
}
