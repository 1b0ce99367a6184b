//! One keep-alive connection to a homeserver, with as little of our own work per request as hyper allows: the generator
//! shares two cores with the server it measures.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What went wrong with one request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("can not connect to {0}: {1}")]
    Connect(SocketAddr, std::io::Error),
    #[error("{path}: {source}")]
    Http { path: String, source: hyper::Error },
    #[error("{path}: no answer within {seconds} s")]
    Timeout { path: String, seconds: u64 },
    #[error("{path}: {status} {body}{}", hint(*status))]
    Refused { path: String, status: StatusCode, body: String },
    #[error("{0}")]
    Unexpected(String),
}

fn hint(status: StatusCode) -> &'static str {
    if status == StatusCode::TOO_MANY_REQUESTS { " (switch the server's rate limits off to measure it)" } else { "" }
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// One connection; it is opened at the first request and opened again when the server has closed it.
pub(crate) struct Connection {
    address: SocketAddr,
    host: HeaderValue,
    patience: Duration,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr, host: HeaderValue, patience: Duration) -> Self {
        Self { address, host, patience, sender: None }
    }

    /// Sends one request and reads the whole answer, whatever its status.
    pub(crate) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        bearer: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let patience = self.patience;
        let attempt = async {
            let reused = self.sender.as_ref().is_some_and(SendRequest::is_ready);
            match self.attempt(method.clone(), path, bearer, body.clone()).await {
                // The server closed an idle connection just as it was used again. Every request of the generator may be
                // repeated: it carries a transaction id or does the same thing twice.
                Err(Failure::Http { source, .. })
                    if reused && (source.is_incomplete_message() || source.is_canceled() || source.is_closed()) =>
                {
                    self.sender = None;
                    self.attempt(method, path, bearer, body).await
                }
                other => other,
            }
        };
        if let Ok(answer) = tokio::time::timeout(patience, attempt).await {
            answer
        } else {
            // An abandoned exchange leaves the connection in the middle of an answer.
            self.sender = None;
            Err(Failure::Timeout { path: short(path), seconds: patience.as_secs() })
        }
    }

    async fn attempt(
        &mut self,
        method: Method,
        path: &str,
        bearer: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let failed = |source| Failure::Http { path: short(path), source };
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::Unexpected(format!("{path}: {error}")))?;
        let sender = self.ready().await.map_err(|error| error.unwrap_or_else(failed))?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(failed)?.to_bytes();
        Ok(Answer { status, body })
    }

    async fn ready(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, NotReady> {
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream =
                TcpStream::connect(self.address).await.map_err(|error| NotReady::Connect(self.address, error))?;
            stream.set_nodelay(true).map_err(|error| NotReady::Connect(self.address, error))?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(NotReady::Http)?;
            // An error of the connection reaches the caller through the request that it breaks.
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        self.sender.as_mut().ok_or_else(|| NotReady::Connect(self.address, std::io::ErrorKind::NotConnected.into()))
    }
}

enum NotReady {
    Connect(SocketAddr, std::io::Error),
    Http(hyper::Error),
}

impl NotReady {
    fn unwrap_or_else(self, http: impl FnOnce(hyper::Error) -> Failure) -> Failure {
        match self {
            Self::Connect(address, error) => Failure::Connect(address, error),
            Self::Http(error) => http(error),
        }
    }
}

impl Answer {
    /// The answer, if it is a success.
    pub(crate) fn success(self, path: &str) -> Result<Bytes, Failure> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.refused(path)) }
    }

    /// The answer as a failure of the path.
    pub(crate) fn refused(&self, path: &str) -> Failure {
        let text = String::from_utf8_lossy(&self.body);
        Failure::Refused { path: short(path), status: self.status, body: text.chars().take(300).collect() }
    }
}

/// A path without its query, which may be long.
fn short(path: &str) -> String {
    path.split('?').next().unwrap_or(path).to_owned()
}
