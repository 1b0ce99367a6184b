//! Sending events to the servers that share their rooms.
//!
//! One follower reads the log from its saved cursor and notes, for each event of this server, which servers are to have it: rows that
//! stay until the server has taken them. Each server with rows has a task while it is up. A transaction is kept as it is about to be
//! sent, so that it is repeated byte for byte until it is answered, also after a crash. A server that fails is left alone for longer and
//! longer, until then or until it is heard from; it costs nothing meanwhile.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#transactions>

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Method;
use roost_matrix::ids::{OwnedServerName, ServerName, UserId};
use roost_net::client::Limits;
use roost_store::{
    Change, Entry, EventNo, Position, RoomNo,
    cursors::{self, Cursor},
    destinations::{self, Destination, Open},
    log,
};
use roost_world::Stop;
use serde_json::Value;

use crate::{Error, Exchange, path::path};

/// The follower's name among the cursors.
const NAME: &str = "federation";
/// Lines of the log that are read at once.
const PAGE: u32 = 500;
/// Events of a transaction.
const PDUS: i64 = 50;
/// Bytes of a transaction's events, beyond which the rest goes into the next.
const BYTES: usize = 2 << 20;
/// Servers that are sent to at a time.
const AT_ONCE: usize = 128;
/// Events that are kept for a server that is down.
const KEPT: i64 = 1_000;
/// The pause after a first failure, and the longest.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The outgoing side. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    exchange: Exchange,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Servers that may have rows and are not being sent to, with when to try.
    due: HashMap<OwnedServerName, i64>,
    /// Servers that are being sent to.
    busy: HashSet<OwnedServerName>,
    /// Servers that have failed and not been heard from since.
    down: HashSet<OwnedServerName>,
}

/// How a server stands, for whoever looks after this one.
#[derive(Clone, Debug)]
pub struct Status {
    /// What is known of it.
    pub destination: Destination,
    /// Events that wait for it.
    pub waiting: i64,
}

impl Sender {
    /// Over what is exchanged with other servers.
    #[must_use]
    pub fn new(exchange: Exchange) -> Self {
        Self(Arc::new(Inner { exchange, state: Mutex::default() }))
    }

    /// Sends until it is told to stop. What is under way then is repeated at the next start.
    pub async fn run(self, mut stop: Stop) {
        let store = self.0.exchange.rooms.store().clone();
        if let Err(error) = self.start().await {
            tracing::error!(%error, "what is to be sent to other servers could not be read");
        }
        let mut frontier = store.frontier_changes();
        let mut pause = Duration::ZERO;
        loop {
            if let Err(error) = self.follow().await {
                tracing::warn!(%error, "the log could not be followed for other servers");
                pause = Duration::from_secs(1);
            }
            self.note(self.0.exchange.handed.take());
            let next = self.dispatch();
            let clock = &self.0.exchange.federation.world().clock;
            let sleep = clock.sleep(next.unwrap_or(Duration::from_secs(3600)).max(pause));
            pause = Duration::ZERO;
            tokio::select! {
                biased;
                () = stop.wait() => return,
                changed = frontier.changed() => if changed.is_err() { return },
                () = self.0.exchange.handed.bell.notified() => {}
                () = sleep => {}
            }
        }
    }

    /// Takes up what was left at the last stop.
    async fn start(&self) -> Result<(), Error> {
        let store = self.0.exchange.rooms.store();
        let (all, waiting) = store
            .read(|read| Ok::<_, roost_store::Error>((destinations::all(read)?, destinations::waiting(read)?)))
            .await?;
        let waiting: HashSet<String> = waiting.into_iter().map(|(server, _)| server).collect();
        let mut state = self.state();
        for destination in all {
            let Ok(server) = OwnedServerName::try_from(destination.server.as_str()) else { continue };
            if destination.failures > 0 {
                state.down.insert(server.clone());
            }
            if destination.open.is_some() || waiting.contains(&destination.server) {
                state.due.insert(server, destination.next_try);
            }
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.0.exchange.federation.world().now_ms()).unwrap_or(i64::MAX)
    }

    /// Reads what is new in the log and notes who is to have it.
    async fn follow(&self) -> Result<(), Error> {
        let store = self.0.exchange.rooms.store().clone();
        loop {
            let (cursor, since) = store
                .read(|read| {
                    let cursor = cursors::load(read, NAME)?;
                    let since = match cursor {
                        Some(cursor) => Some(log::since(read, cursor.position, PAGE)?),
                        None => None,
                    };
                    Ok::<_, roost_store::Error>((cursor, since))
                })
                .await?;
            let generation = store.generation();
            let fresh = Cursor { generation, position: store.frontier() };
            let (entries, position) = match (cursor, since) {
                (Some(cursor), Some(log::Since::Changes { entries, position })) if cursor.generation == generation => {
                    (entries, position)
                }
                // At the first start nothing has been shared yet; in another life of the log, or after so long that the log no longer
                // reaches back, others find their way from the next event on.
                (cursor, _) => {
                    store.write(move |tx| cursors::advance(tx, NAME, cursor, fresh)).await?;
                    return Ok(());
                }
            };
            let Some(cursor) = cursor else { return Ok(()) };
            if position == cursor.position {
                return Ok(());
            }
            let rows = self.rows(&entries).await?;
            let to = Cursor { generation, position };
            let servers: HashSet<OwnedServerName> = rows.iter().map(|(server, _, _)| server.clone()).collect();
            let moved = store
                .write(move |tx| {
                    let moved = cursors::advance(tx, NAME, Some(cursor), to)?;
                    if moved {
                        let rows: Vec<_> =
                            rows.iter().map(|(server, at, event)| (server.as_str(), *at, *event)).collect();
                        destinations::push(tx, &rows)?;
                    }
                    Ok::<_, roost_store::Error>(moved)
                })
                .await?;
            if moved {
                self.note(servers);
            }
        }
    }

    /// Which servers are to have which of the events.
    async fn rows(&self, entries: &[Entry]) -> Result<Vec<(OwnedServerName, Position, EventNo)>, Error> {
        let exchange = &self.0.exchange;
        let mut rooms: HashMap<RoomNo, Vec<OwnedServerName>> = HashMap::new();
        let mut rows = Vec::new();
        for entry in entries {
            let Change::Event { room: no, event, member } = entry.change else { continue };
            let rooms_api = exchange.rooms.clone();
            let found = exchange.rooms.store().read(move |read| {
                let Some(room) = rooms_api.rooms_in(read, &[no])?.pop() else { return Ok(None) };
                let stored = rooms_api.stored(read, &room, &[event])?.pop();
                Ok::<_, roost_rooms::Error>(stored.map(|stored| (room, stored)))
            });
            let Some((room, stored)) = found.await? else { continue };
            if member.is_some() {
                // Who is in the room may be another one from here on.
                rooms.remove(&no);
            }
            if stored.pdu.sender().server_name() != exchange.server_name() {
                continue;
            }
            let servers = if let Some(servers) = rooms.get(&no) {
                servers.clone()
            } else {
                let servers = exchange.servers_in(&room).await?;
                rooms.insert(no, servers.clone());
                servers
            };
            // Whoever is sent away is to hear of it, too.
            let target = stored.pdu.state_key().filter(|_| stored.pdu.kind() == "m.room.member");
            let target = target.and_then(|key| UserId::parse(key).ok()).map(|user| user.server_name().to_owned());
            let target = target.filter(|server| server != exchange.server_name() && !servers.contains(server));
            rows.extend(servers.into_iter().chain(target).map(|server| (server, entry.position, event)));
        }
        Ok(rows)
    }

    /// Servers that have rows now. Those that are down wait for their time.
    fn note(&self, servers: impl IntoIterator<Item = OwnedServerName>) {
        let mut state = self.state();
        for server in servers {
            if !state.down.contains(&server) {
                state.due.insert(server, 0);
            }
        }
    }

    /// A server has sent something rightly signed: it is up.
    pub async fn heard_from(&self, server: &ServerName) -> Result<(), Error> {
        if !self.state().down.remove(server) {
            return Ok(());
        }
        self.retry_now(server).await
    }

    /// Tries a server again now.
    pub async fn retry_now(&self, server: &ServerName) -> Result<(), Error> {
        let name = server.to_string();
        self.0.exchange.rooms.store().write(move |tx| destinations::heard(tx, &name)).await?;
        self.state().down.remove(server);
        self.state().due.insert(server.to_owned(), 0);
        self.0.exchange.handed.bell.notify_one();
        Ok(())
    }

    /// How all servers stand that were ever sent to.
    pub async fn status(&self) -> Result<Vec<Status>, Error> {
        let store = self.0.exchange.rooms.store();
        let (all, waiting) = store
            .read(|read| Ok::<_, roost_store::Error>((destinations::all(read)?, destinations::waiting(read)?)))
            .await?;
        let waiting: HashMap<String, i64> = waiting.into_iter().collect();
        Ok(all
            .into_iter()
            .map(|destination| Status { waiting: waiting.get(&destination.server).copied().unwrap_or(0), destination })
            .collect())
    }

    /// Starts a task for each server that is due, and answers how long it is until the next one is.
    fn dispatch(&self) -> Option<Duration> {
        let now = self.now();
        let mut state = self.state();
        let ready: Vec<_> = state
            .due
            .iter()
            .filter(|(server, at)| **at <= now && !state.busy.contains(*server))
            .map(|(server, _)| server.clone())
            .take(AT_ONCE.saturating_sub(state.busy.len()))
            .collect();
        for server in ready {
            state.due.remove(&server);
            state.busy.insert(server.clone());
            let sender = self.clone();
            let task = async move {
                let outcome = sender.deliver(&server).await;
                sender.done(&server, outcome);
            };
            self.0.exchange.federation.world().executor.spawn("sending to a server", Box::pin(task));
        }
        let next = state.due.iter().filter(|(server, _)| !state.busy.contains(*server)).map(|(_, at)| *at).min()?;
        Some(Duration::from_millis(u64::try_from(next - now).unwrap_or(0)))
    }

    fn done(&self, server: &OwnedServerName, outcome: Result<Option<i64>, Error>) {
        let mut state = self.state();
        state.busy.remove(server);
        match outcome {
            Ok(None) => drop(state.down.remove(server)),
            Ok(Some(next_try)) => {
                state.down.insert(server.clone());
                state.due.insert(server.clone(), next_try);
            }
            Err(error) => {
                tracing::warn!(%server, %error, "sending to a server was interrupted");
                let again = self.now().saturating_add(1000);
                state.due.insert(server.clone(), again);
            }
        }
        drop(state);
        self.0.exchange.handed.bell.notify_one();
    }

    /// Sends what a server is still to have; when to try again if it does not take it.
    async fn deliver(&self, server: &OwnedServerName) -> Result<Option<i64>, Error> {
        let store = self.0.exchange.rooms.store().clone();
        loop {
            let name = server.to_string();
            let found = store.read(move |read| destinations::one(read, &name)).await?;
            let Some(destination) = found else { return Ok(None) };
            let open = match destination.open {
                Some(open) => open,
                None => match self.next(server).await? {
                    Some(open) => open,
                    None => return Ok(None),
                },
            };
            let path = path(&["federation", "v1", "send", &open.transaction_id]);
            let body = String::from_utf8_lossy(&open.body).into_owned();
            let answer: Result<Value, Error> =
                self.0.exchange.ask(server, Method::PUT, &path, Some(body), Limits::default()).await;
            let (name, now) = (server.to_string(), self.now());
            match answer {
                Ok(answer) => {
                    for (event, result) in answer.get("pdus").and_then(Value::as_object).into_iter().flatten() {
                        if let Some(error) = result.get("error").and_then(Value::as_str) {
                            tracing::info!(%server, event, error, "a server does not take an event");
                        }
                    }
                    store.write(move |tx| destinations::sent(tx, &name, &open, now)).await?;
                    metrics::counter!("roost_federation_transactions_total", "result" => "sent").increment(1);
                }
                Err(error) => {
                    metrics::counter!("roost_federation_transactions_total", "result" => "failed").increment(1);
                    let next_try = now.saturating_add(self.pause(destination.failures));
                    let why = error.to_string();
                    store.write(move |tx| destinations::failed(tx, &name, next_try, &why, KEPT)).await?;
                    return Ok(Some(next_try));
                }
            }
        }
    }

    /// How long a server is left alone that has failed so often: between the half and the whole of a time that doubles.
    fn pause(&self, failures: i64) -> i64 {
        let whole = PAUSE.saturating_mul(1 << failures.clamp(0, 16)).min(LONGEST);
        let whole = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        let draw = u64::from_le_bytes(self.0.exchange.federation.world().random_bytes());
        i64::try_from(whole / 2 + draw % (whole / 2 + 1)).unwrap_or(i64::MAX)
    }

    /// Makes the next transaction and keeps it; nothing when nothing waits.
    async fn next(&self, server: &OwnedServerName) -> Result<Option<Open>, Error> {
        let rooms = self.0.exchange.rooms.clone();
        let (name, origin, now) = (server.to_string(), self.0.exchange.server_name().to_string(), self.now());
        let generation = rooms.store().generation();
        let made = rooms
            .store()
            .clone()
            .read(move |read| {
                let waiting = destinations::next(read, &name, PDUS)?;
                let (mut body, mut last) = (String::new(), None);
                for (position, event) in waiting {
                    let pdu = rooms.pdu_of(read, event)?;
                    // The first goes in whatever its size.
                    if last.is_some() && body.len() + pdu.as_ref().map_or(0, |pdu| pdu.as_str().len()) > BYTES {
                        break;
                    }
                    if let Some(pdu) = pdu {
                        if !body.is_empty() {
                            body.push(',');
                        }
                        body.push_str(pdu.as_str());
                    }
                    last = Some(position);
                }
                let Some(upto) = last else { return Ok(None) };
                let origin = Value::from(origin);
                let body = format!("{{\"origin\":{origin},\"origin_server_ts\":{now},\"pdus\":[{body}]}}").into_bytes();
                let transaction_id = format!("{generation}_{upto}");
                Ok::<_, roost_rooms::Error>(Some(Open { transaction_id, body, upto }))
            })
            .await?;
        let Some(open) = made else { return Ok(None) };
        let (name, kept) = (server.to_string(), open.clone());
        let is_first = self.0.exchange.rooms.store().write(move |tx| destinations::open(tx, &name, &kept)).await?;
        if is_first {
            return Ok(Some(open));
        }
        // Another node has made one meanwhile: that one counts.
        let name = server.to_string();
        let found = self.0.exchange.rooms.store().read(move |read| destinations::one(read, &name)).await?;
        Ok(found.and_then(|destination| destination.open))
    }
}
