//! HTTP servers on loopback.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The name that the client wanted a certificate for.
    pub sni: Option<String>,
}

impl Seen {
    /// The Host header, or what HTTP/2 has instead.
    #[must_use]
    pub fn host(&self) -> String {
        let header = self.headers.get("host").and_then(|value| value.to_str().ok());
        header.map(str::to_owned).or_else(|| self.uri.authority().map(ToString::to_string)).unwrap_or_default()
    }
}

/// What a server answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers as pairs of name and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// 200 with a body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }

    /// Another status without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Handler = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

#[derive(Default)]
struct Records {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

/// A server that answers by a function and remembers what it was asked. It ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    records: Arc<Records>,
    running: AbortHandle,
}

impl Server {
    /// Serves on a free port of 127.0.0.1, with TLS if there is a configuration for it; with HTTP/2 if TLS agrees on it.
    ///
    /// # Panics
    /// When there is no free port.
    #[expect(clippy::disallowed_methods, reason = "servers of tests run on the tests' runtime")]
    pub async fn start(
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let records = Arc::<Records>::default();
        let (handler, kept): (Handler, _) = (Arc::new(handler), Arc::clone(&records));
        let running = tokio::spawn(async move {
            // Connections end with the listener.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                kept.connections.fetch_add(1, Ordering::SeqCst);
                let (tls, handler, records) = (tls.clone(), Arc::clone(&handler), Arc::clone(&kept));
                connections.spawn(async move {
                    let Some(config) = tls else {
                        return converse(stream, None, false, handler, records).await;
                    };
                    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
                    let (_, session) = stream.get_ref();
                    let sni = session.server_name().map(str::to_owned);
                    let http2 = session.alpn_protocol() == Some(b"h2");
                    converse(stream, sni, http2, handler, records).await;
                });
            }
        });
        Self { address, records, running: running.abort_handle() }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.records.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections were made to it so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.records.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    sni: Option<String>,
    http2: bool,
    handler: Handler,
    records: Arc<Records>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, records, sni) = (Arc::clone(&handler), Arc::clone(&records), sni.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let seen = Seen {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                headers: parts.headers,
                body,
                sni,
            };
            records.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
            Ok::<_, hyper::Error>(respond(handler(&seen)))
        }
    });
    // A client that goes away has its reasons.
    if http2 {
        let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("a status");
    for (name, value) in answer.headers {
        let name = http::HeaderName::try_from(name).expect("a header's name");
        response.headers_mut().append(name, value.parse().expect("a header's value"));
    }
    response
}
