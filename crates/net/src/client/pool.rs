//! Connections that are kept for further requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, Version, header};
use http_body_util::Full;
use hyper::{
    Response,
    body::Incoming,
    client::conn::{http1, http2},
};
use roost_world::World;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Options, Request, USER_AGENT,
    connect::{Connection, Connector},
    target::Target,
};
use crate::Error;

/// How long a connection may take to become free again after its answer has ended.
const SETTLE: Duration = Duration::from_millis(250);

type Http1 = http1::SendRequest<Full<Bytes>>;
type Http2 = http2::SendRequest<Full<Bytes>>;

/// All connections of a client.
pub(super) struct Pool {
    connector: Connector,
    options: Options,
    world: World,
    running: Arc<Semaphore>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    me: Weak<Pool>,
}

/// The connections to one destination.
struct Slot {
    running: Arc<Semaphore>,
    /// Held while connecting, so that many requests do not make many HTTP/2 connections.
    connecting: tokio::sync::Mutex<()>,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    http1: Vec<(Http1, Duration)>,
    http2: Option<(Http2, Duration)>,
    /// Whether the last connection was HTTP/1.1, of which several are made at a time.
    one_at_a_time: bool,
}

/// A request's hold on its destination; gives the connection back when the answer has been read.
pub(super) struct Lease {
    pool: Weak<Pool>,
    slot: Arc<Slot>,
    connection: Option<Http1>,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Pool {
    pub(super) fn new(connector: Connector, options: Options, world: &World) -> Arc<Self> {
        let pool = Arc::new_cyclic(|me| Self {
            connector,
            running: Arc::new(Semaphore::new(options.requests.clamp(1, Semaphore::MAX_PERMITS))),
            options,
            world: world.clone(),
            slots: Mutex::default(),
            me: me.clone(),
        });
        world.executor.spawn("connections", Box::pin(sweep(Arc::downgrade(&pool), world.clone(), pool.options.keep)));
        pool
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&self, request: &Request) -> Result<(Response<Incoming>, Lease), Error> {
        let slot = self.slot(request.target.key());
        // Neither semaphore is ever closed.
        let closed = |_| Error::Timeout("the end of the server");
        let own = Arc::clone(&slot.running).acquire_owned().await.map_err(closed)?;
        let all = Arc::clone(&self.running).acquire_owned().await.map_err(closed)?;
        let mut lease = Lease { pool: self.me.clone(), slot, connection: None, _permits: (own, all) };
        let (connection, used) = self.connection(&lease.slot, &request.target).await?;
        match self.exchange(&mut lease, connection, request).await {
            Err(failure) if used && failure.may_repeat(&request.method) => {
                let fresh = self.fresh(&lease.slot, &request.target).await?;
                let response = self.exchange(&mut lease, fresh, request).await.map_err(|failure| failure.error)?;
                Ok((response, lease))
            }
            Err(failure) => Err(failure.error),
            Ok(response) => Ok((response, lease)),
        }
    }

    fn slot(&self, key: &str) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot {
            running: Arc::new(Semaphore::new(self.options.per_destination.clamp(1, Semaphore::MAX_PERMITS))),
            connecting: tokio::sync::Mutex::default(),
            idle: Mutex::default(),
        });
        slots.insert(key.to_owned(), Arc::clone(&slot));
        slot
    }

    /// A connection, and whether it has been used before.
    async fn connection(&self, slot: &Slot, target: &Target) -> Result<(Connection, bool), Error> {
        if let Some(kept) = self.take(slot).await {
            return Ok((kept, true));
        }
        if lock(&slot.idle).one_at_a_time {
            return Ok((self.fresh(slot, target).await?, false));
        }
        let _guard = slot.connecting.lock().await;
        match self.take(slot).await {
            Some(kept) => Ok((kept, true)),
            None => Ok((self.fresh(slot, target).await?, false)),
        }
    }

    async fn fresh(&self, slot: &Slot, target: &Target) -> Result<Connection, Error> {
        let connection = self.connector.connect(target).await?;
        if matches!(connection, Connection::Http2(_)) {
            self.make_room();
        }
        let mut idle = lock(&slot.idle);
        match &connection {
            Connection::Http1(_) => idle.one_at_a_time = true,
            Connection::Http2(sender) => {
                idle.one_at_a_time = false;
                idle.http2 = Some((sender.clone(), self.world.clock.monotonic()));
            }
        }
        Ok(connection)
    }

    async fn take(&self, slot: &Slot) -> Option<Connection> {
        let now = self.world.clock.monotonic();
        loop {
            let mut sender = {
                let mut idle = lock(&slot.idle);
                if let Some((sender, used)) = &mut idle.http2 {
                    if !sender.is_closed() {
                        *used = now;
                        return Some(Connection::Http2(sender.clone()));
                    }
                    idle.http2 = None;
                }
                let (sender, since) = idle.http1.pop()?;
                if sender.is_closed() || now.saturating_sub(since) > self.options.keep {
                    continue;
                }
                sender
            };
            if let Some(Ok(())) = self.world.timeout(SETTLE, sender.ready()).await {
                return Some(Connection::Http1(sender));
            }
        }
    }

    async fn exchange(
        &self,
        lease: &mut Lease,
        connection: Connection,
        request: &Request,
    ) -> Result<Response<Incoming>, Failure> {
        let (silence, slot) = (request.limits.silence, Arc::clone(&lease.slot));
        let failed = |error: Error| Failure { error, unsent: false, closed: false };
        match connection {
            Connection::Http1(mut sender) => {
                let message = message(request, Version::HTTP_11).map_err(failed)?;
                let answer = self.world.timeout(silence, sender.try_send_request(message)).await;
                let response = answer.ok_or_else(|| failed(Error::Timeout("the answer")))?.map_err(Failure::from)?;
                lease.connection = Some(sender);
                Ok(response)
            }
            Connection::Http2(mut sender) => {
                let message = message(request, Version::HTTP_2).map_err(failed)?;
                let answer = self.world.timeout(silence, sender.try_send_request(message)).await;
                let Some(answer) = answer else {
                    // Perhaps the whole connection is dead; the next request makes a new one.
                    lock(&slot.idle).http2 = None;
                    return Err(failed(Error::Timeout("the answer")));
                };
                answer.map_err(Failure::from)
            }
        }
    }

    /// How many connections are kept unused.
    pub(super) fn kept(&self) -> usize {
        lock(&self.slots).values().map(|slot| lock(&slot.idle).count()).sum()
    }

    /// Lets go of what has been unused for long, and of destinations that nobody asks.
    fn tidy(&self) {
        let (now, keep) = (self.world.clock.monotonic(), self.options.keep);
        lock(&self.slots).retain(|_, slot| {
            let mut idle = lock(&slot.idle);
            idle.http1.retain(|(sender, since)| !sender.is_closed() && now.saturating_sub(*since) <= keep);
            // Whoever reads an answer on it has a handle of their own.
            idle.http2 =
                idle.http2.take().filter(|(sender, used)| !sender.is_closed() && now.saturating_sub(*used) <= keep);
            idle.count() > 0 || Arc::strong_count(slot) > 1
        });
    }

    /// Lets go of the connection that has been unused for longest, if there is no room for another one.
    fn make_room(&self) {
        let slots = lock(&self.slots);
        let (mut count, mut oldest) = (0, None);
        for slot in slots.values() {
            let idle = lock(&slot.idle);
            count += idle.count();
            if let Some(since) = idle.oldest()
                && oldest.as_ref().is_none_or(|(before, _)| since < *before)
            {
                oldest = Some((since, slot));
            }
        }
        if count >= self.options.kept
            && let Some((since, slot)) = oldest
        {
            // Whoever reads an answer on it has a handle of their own.
            lock(&slot.idle).drop_unused_since(since);
        }
    }

    /// Keeps a connection for later.
    fn keep(&self, slot: &Slot, sender: Http1) {
        if sender.is_closed() || self.options.kept == 0 {
            return;
        }
        self.make_room();
        lock(&slot.idle).http1.push((sender, self.world.clock.monotonic()));
    }
}

impl Idle {
    fn count(&self) -> usize {
        self.http1.len() + usize::from(self.http2.is_some())
    }

    /// Since when the connection is unused that has been for longest.
    fn oldest(&self) -> Option<Duration> {
        let http2 = self.http2.as_ref().map(|(_, used)| *used);
        self.http1.iter().map(|(_, since)| *since).chain(http2).min()
    }

    fn drop_unused_since(&mut self, time: Duration) {
        if let Some(at) = self.http1.iter().position(|(_, since)| *since == time) {
            self.http1.remove(at);
        } else if self.http2.as_ref().is_some_and(|(_, used)| *used == time) {
            self.http2 = None;
        }
    }
}

impl Lease {
    /// The answer has been read to its end.
    pub(super) fn give_back(mut self) {
        if let (Some(pool), Some(sender)) = (self.pool.upgrade(), self.connection.take()) {
            pool.keep(&self.slot, sender);
        }
    }
}

/// A request that got no answer.
struct Failure {
    error: Error,
    /// Nothing of it was sent.
    unsent: bool,
    /// The connection broke before the answer.
    closed: bool,
}

impl From<hyper::client::conn::TrySendError<hyper::Request<Full<Bytes>>>> for Failure {
    fn from(mut failed: hyper::client::conn::TrySendError<hyper::Request<Full<Bytes>>>) -> Self {
        let unsent = failed.take_message().is_some();
        let error = failed.into_error();
        let closed = !error.is_parse() && !error.is_user();
        Self { error: error.into(), unsent, closed }
    }
}

impl Failure {
    fn may_repeat(&self, method: &Method) -> bool {
        self.unsent || (self.closed && method.is_idempotent())
    }
}

/// A request as it is written.
fn message(request: &Request, version: Version) -> Result<hyper::Request<Full<Bytes>>, Error> {
    let uri: Uri = if version == Version::HTTP_2 {
        format!("{}{}", request.target.base(), request.path).parse().map_err(http::Error::from)?
    } else {
        request.path.parse().map_err(http::Error::from)?
    };
    let mut message = hyper::Request::builder()
        .method(&request.method)
        .uri(uri)
        .version(version)
        .body(Full::new(request.body.clone()))?;
    let headers = message.headers_mut();
    *headers = request.headers.clone();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if request.body.is_empty() && matches!(request.method, Method::POST | Method::PUT) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if version != Version::HTTP_2 {
        headers.insert(header::HOST, HeaderValue::from_str(request.target.authority()).map_err(http::Error::from)?);
    }
    Ok(message)
}

async fn sweep(pool: Weak<Pool>, world: World, keep: Duration) {
    loop {
        world.clock.sleep(keep.max(Duration::from_millis(10)) / 2).await;
        let Some(pool) = pool.upgrade() else { break };
        pool.tidy();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
