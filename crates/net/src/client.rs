//! HTTP as a client.
//!
//! Requests go out with their whole body and a Content-Length; answers come in as a stream with a limit on size, pauses and
//! total time. Connections are kept for further requests, HTTP/2 where the other side speaks it. Redirects are followed only
//! where the caller says how often.

mod body;
mod connect;
mod pool;
mod target;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use roost_world::World;
use serde_json::Value;
use url::Url;

pub(crate) use self::connect::reach;
pub use self::{
    body::Body,
    target::{Candidate, Host, Target},
};
use crate::{Error, guard::Guard, network::Network, tls::Trust};

/// What this server calls itself.
const USER_AGENT: &str = concat!("Roost/", env!("CARGO_PKG_VERSION"));

/// How a client treats its connections. The defaults suit federation.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a connection, TLS included, may take.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub keep: Duration,
    /// How many requests to one destination run at a time; more wait. Also the most connections to it.
    pub per_destination: usize,
    /// How many requests run at a time in all; more wait.
    pub requests: usize,
    /// How many unused connections are kept in all.
    pub kept: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            keep: Duration::from_secs(60),
            per_destination: 16,
            requests: 1024,
            kept: 512,
        }
    }
}

/// How much of an answer is wanted, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the body.
    pub bytes: u64,
    /// How long the other side may be silent: before the answer's head, and between two pieces of its body.
    pub silence: Duration,
    /// How long all of it may take, waiting for a free connection included.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 20, silence: Duration::from_secs(30), total: Duration::from_secs(60) }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Whom to ask.
    pub target: Target,
    /// Path and query, such as `/_matrix/key/v2/server`.
    pub path: String,
    /// Headers beside Host, Content-Length and User-Agent.
    pub headers: HeaderMap,
    /// The body; an empty one is sent as Content-Length 0 where the method can have one.
    pub body: Bytes,
    /// What is wanted of the answer.
    pub limits: Limits,
    /// How many redirects are followed, each to a target that passes the guard anew, never from https to http. Only GET.
    pub redirects: u8,
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: Method, target: Target, path: impl Into<String>) -> Self {
        Self {
            method,
            target,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            limits: Limits::default(),
            redirects: 0,
        }
    }

    /// A request for an `http` or `https` URL.
    pub fn to_url(method: Method, url: &str) -> Result<Self, Error> {
        let (target, path) = Target::from_url(&parse(url)?)?;
        Ok(Self::new(method, target, path))
    }

    /// The same with a header.
    pub fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        self.headers.insert(name, HeaderValue::from_str(value).map_err(http::Error::from)?);
        Ok(self)
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = body.into();
        self
    }

    /// The same with limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same, following at most so many redirects.
    #[must_use]
    pub fn follow(mut self, redirects: u8) -> Self {
        self.redirects = redirects;
        self
    }
}

fn parse(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|_| Error::Url { url: url.chars().take(200).collect(), problem: "it is not a URL" })
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// A small answer that is JSON.
#[derive(Debug, Clone)]
pub struct JsonAnswer {
    /// The status.
    pub status: StatusCode,
    /// The body; null when it is empty.
    pub body: Value,
}

/// An HTTP client with its connections. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Client {
    pool: Arc<pool::Pool>,
    world: World,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client without any connection yet.
    pub fn new(
        network: Arc<dyn Network>,
        guard: Guard,
        trust: &Trust,
        options: Options,
        world: World,
    ) -> Result<Self, Error> {
        let connector = connect::Connector::new(network, guard, trust, options.connect_timeout, world.clone())?;
        Ok(Self { pool: pool::Pool::new(connector, options, &world), world })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// A request that met a connection which the other side had closed in the meantime is sent once more, unless it may have been
    /// acted on and doing so twice would matter (POST).
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let deadline = self.world.clock.monotonic() + request.limits.total;
        let (mut request, mut followed) = (request, 0);
        loop {
            let response = self.once(&request, deadline).await?;
            let Some(location) = location(&request, &response) else { return Ok(response) };
            let next = request.target.url(&request.path)?.join(&location).map_err(|_| Error::Url {
                url: location.chars().take(200).collect(),
                problem: "a redirect to what is no URL",
            })?;
            if followed == request.redirects {
                return Err(Error::TooManyRedirects(next.to_string()));
            }
            followed += 1;
            if request.target.is_tls() && next.scheme() != "https" {
                return Err(Error::Url { url: next.to_string(), problem: "a redirect away from https" });
            }
            let (target, path) = Target::from_url(&next)?;
            if target.authority() != request.target.authority() {
                // What proves something to one server is not for another.
                request.headers.remove(header::AUTHORIZATION);
                request.headers.remove(header::COOKIE);
            }
            (request.target, request.path) = (target, path);
        }
    }

    async fn once(&self, request: &Request, deadline: Duration) -> Result<Response, Error> {
        let left = deadline.saturating_sub(self.world.clock.monotonic());
        let answer = self.world.timeout(left, self.pool.send(request)).await;
        let (response, lease) = answer.ok_or(Error::Timeout("the request"))??;
        let (parts, incoming) = response.into_parts();
        let body = Body::new(incoming, &parts.headers, request.limits, deadline, lease, self.world.clone())?;
        Ok(Response { status: parts.status, headers: parts.headers, body })
    }

    /// Asks for JSON, whatever the status. Headers are pairs of name and value.
    pub async fn get_json(&self, url: &str, headers: &[(&str, &str)]) -> Result<JsonAnswer, Error> {
        self.json(with_headers(Request::to_url(Method::GET, url)?, headers)?).await
    }

    /// Sends JSON and reads JSON, whatever the status. Headers are pairs of name and value.
    pub async fn post_json(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> Result<JsonAnswer, Error> {
        let request = Request::to_url(Method::POST, url)?.json(body.to_string());
        self.json(with_headers(request, headers)?).await
    }

    /// Sends a request and reads an answer that must be JSON or empty.
    pub async fn json(&self, request: Request) -> Result<JsonAnswer, Error> {
        let response = self.send(request).await?;
        let body = response.body.collect().await?;
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(Error::NotJson)? };
        Ok(JsonAnswer { status: response.status, body })
    }

    /// How many connections are kept unused at present.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.pool.kept()
    }
}

fn with_headers(mut request: Request, headers: &[(&str, &str)]) -> Result<Request, Error> {
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
        request = request.header(name, value)?;
    }
    Ok(request)
}

/// Where an answer sends us, if it does and the request may go there.
fn location(request: &Request, response: &Response) -> Option<String> {
    let redirects = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if request.redirects == 0 || request.method != Method::GET || !redirects {
        return None;
    }
    response.headers.get(header::LOCATION)?.to_str().ok().map(str::to_owned)
}
