//! What a client sees: `/sync`.
//!
//! A request that has nothing new to learn is answered, or waits, without a query: the tail knows. Otherwise the rooms in
//! which something changed are read in one snapshot, up to the position that the answer's `next_batch` names: nothing after
//! it is told, and nothing before it is missing.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#syncing>

mod answer;
mod assemble;
mod ephemeral;
pub mod filter;
mod json;
mod lazy;
mod load;
mod request;
mod tail;
mod turns;
mod window;

use std::{collections::HashMap, sync::Arc, time::Duration};

use roost_matrix::ids::OwnedUserId;
use roost_rooms::{Membership, Rooms};
use roost_store::{Position, RoomNo, Store, token::SyncToken};
use roost_users::Users;
use roost_world::{Stop, Workers, World};
use tokio::sync::{Semaphore, watch};

use crate::{
    answer::Answer,
    assemble::Ingredients,
    lazy::{Client, Sent},
    tail::{News, Tail},
    turns::{Turn, Turns},
};

pub use filter::{Filter, FilterError};
pub use request::SyncRequest;

/// For how long a request waits at most, whatever it asks for: proxies lose patience soon after.
const MAX_WAIT: Duration = Duration::from_secs(120);
/// For how long the log is waited for when a client is ahead of it, which happens when it has spoken to another node before.
const CATCH_UP: Duration = Duration::from_secs(5);
/// How often users who are away are let go.
const SWEEP: Duration = Duration::from_secs(60);
/// From how many rooms with new events on an answer counts as a large one.
const MANY_ROOMS: usize = 50;

/// What the configuration says about `/sync`.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The size of an answer, in bytes, from which on each further room is told with one event of its timeline, marked as
    /// limited. State is always told in full, since a client has no other way to learn of it, and does not stop at this size.
    pub answer_bytes: usize,
    /// How many answers that begin from nothing, hold full state or reach many rooms are put together at once; others wait.
    pub large_at_once: usize,
    /// How many requests of one device are answered at once; the oldest ends early for one too many.
    pub per_device: usize,
    /// How many requests of one user are answered at once, until the last byte is written; further ones are refused.
    pub per_user: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { answer_bytes: 64 << 20, large_at_once: 4, per_device: 5, per_user: 100 }
    }
}

/// Why a request was not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The user has too many requests under way.
    #[error("too many /sync requests of this user are under way")]
    Busy,
    /// A room could not be read.
    #[error(transparent)]
    Rooms(#[from] roost_rooms::Error),
    /// The database failed.
    #[error(transparent)]
    Store(Arc<roost_store::Error>),
}

impl From<roost_store::Error> for Error {
    fn from(error: roost_store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// What clients see of the server's changes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sync(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    rooms: Rooms,
    users: Users,
    world: World,
    stop: Stop,
    tail: Tail,
    sent: Sent,
    options: Options,
    /// One permit for each large answer that is being put together.
    large: Semaphore,
    turns: Arc<Turns>,
}

/// The bytes of an answer. As long as they are kept, the request counts as one that is under way.
#[derive(Debug)]
pub struct Reply {
    bytes: Vec<u8>,
    _turn: Turn,
}

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Sync {
    /// Starts to follow the log.
    #[must_use]
    pub fn open(store: Store, rooms: Rooms, users: Users, options: Options, world: World, workers: &Workers) -> Self {
        let tail = Tail::new(&store);
        let stop = workers.stop_signal();
        let large = Semaphore::new(options.large_at_once.min(Semaphore::MAX_PERMITS));
        let turns = Turns::new(options.per_device, options.per_user);
        let sent = Sent::default();
        let sync = Self(Arc::new(Inner { store, rooms, users, world, stop, tail, sent, options, large, turns }));
        let follower = sync.clone();
        workers.start_future("sync", |stop| follower.follow(stop));
        sync
    }

    /// What is new for a client, as the bytes of the answer. Waits for something new as long as the request allows, or until
    /// the server is stopped or the device has begun too many newer requests.
    pub async fn sync(&self, request: SyncRequest) -> Result<Reply, Error> {
        let inner = &self.0;
        let turn = inner.turns.take(Client::new(request.user, &request.device)).ok_or(Error::Busy)?;
        let bytes = self.answer(request, &turn).await?;
        Ok(Reply { bytes, _turn: turn })
    }

    async fn answer(&self, request: SyncRequest, turn: &Turn) -> Result<Vec<u8>, Error> {
        let inner = &self.0;
        let clock = &inner.world.clock;
        let request = Arc::new(request);
        let deadline = clock.monotonic() + request.timeout.min(MAX_WAIT);
        let mut seen = self.reachable(request.since).await?;
        let incremental = seen.is_some();
        let stale = request.since.is_some() && !incremental;
        loop {
            let serial = inner.users.typing().serial();
            let (news, changed, typing) = self.news(&request, seen, serial).await?;
            let token = SyncToken { generation: inner.store.generation(), position: news.to, ephemeral: serial };
            let finish = |answer: Answer| Ok(answer.finish(&token.to_string(), incremental));
            if seen.is_none() || request.full_state || news.any || !typing.is_empty() {
                let since = seen.map(|seen| seen.position);
                let answer = self.assemble(&request, Ingredients { since, stale, news, typing }).await?;
                if seen.is_none() || request.full_state || !answer.is_empty() {
                    return finish(answer);
                }
            }
            // Nothing for this client up to here.
            seen = Some(token);
            let left = deadline.saturating_sub(clock.monotonic());
            if left.is_zero() || inner.stop.is_set() || !self.wait(changed, serial, left, turn).await {
                return finish(Answer::default());
            }
        }
    }

    /// The token, if there is an answer that goes on from it: one of this generation, of a place that the log has reached.
    async fn reachable(&self, since: Option<SyncToken>) -> Result<Option<SyncToken>, Error> {
        let inner = &self.0;
        let Some(since) = since.filter(|since| since.generation == inner.store.generation()) else { return Ok(None) };
        let reached = inner.world.timeout(CATCH_UP, inner.store.reach(since.position)).await.transpose()?;
        Ok(Some(since).filter(|_| reached == Some(true)))
    }

    /// What the tail and the typing lists have for a user.
    async fn news(
        &self,
        request: &SyncRequest,
        seen: Option<SyncToken>,
        serial: i64,
    ) -> Result<(News, watch::Receiver<()>, HashMap<RoomNo, Vec<OwnedUserId>>), Error> {
        let inner = &self.0;
        let typing = inner.users.typing();
        let since = seen.map_or(Position::START, |seen| seen.position);
        let typed = seen.is_none_or(|seen| seen.ephemeral != serial);
        let all = typed || request.full_state || seen.is_none();
        let (news, changed) = loop {
            let now = inner.world.clock.monotonic();
            match inner.tail.news(&inner.store, request.user, since, all, now) {
                Some(found) => break found,
                None => load::load(inner, request.user).await?,
            }
        };
        if !typed && !news.any {
            return Ok((news, changed, HashMap::new()));
        }
        let mut lists: HashMap<RoomNo, Vec<OwnedUserId>> = HashMap::new();
        let joined = news.rooms.iter().filter(|touched| touched.member.membership == Membership::Join);
        match seen {
            // A run of the server that this one knows nothing of may have shown people typing: nobody is, any more.
            Some(seen) if seen.ephemeral < typing.started_at() => {
                lists.extend(joined.map(|touched| {
                    (touched.room, typing.in_room(touched.room).map_or_else(Vec::new, |list| list.users))
                }));
            }
            _ => {
                let moved: HashMap<_, _> = match seen {
                    Some(seen) if typed => {
                        typing.since(seen.ephemeral).into_iter().map(|list| (list.room, list.users)).collect()
                    }
                    _ => HashMap::new(),
                };
                for touched in joined {
                    let users = if touched.member.position > since {
                        typing.in_room(touched.room).map(|list| list.users).filter(|users| !users.is_empty())
                    } else {
                        moved.get(&touched.room).cloned()
                    };
                    if let Some(users) = users {
                        lists.insert(touched.room, users);
                    }
                }
            }
        }
        Ok((news, changed, lists))
    }

    async fn assemble(&self, request: &Arc<SyncRequest>, ingredients: Ingredients) -> Result<Answer, Error> {
        let (inner, request) = (Arc::clone(&self.0), Arc::clone(request));
        let rooms = ingredients.news.rooms.iter().filter(|touched| touched.events).count();
        let large = ingredients.since.is_none() || request.full_state || rooms > MANY_ROOMS;
        // The semaphore is never closed, so there always is a permit.
        let _permit = if large { self.0.large.acquire().await.ok() } else { None };
        self.0.store.read(move |read| assemble::assemble(&inner, read, &request, &ingredients)).await
    }

    /// Waits until there may be something new; false when the time or the request's turn is over, or the server stops.
    async fn wait(&self, mut changed: watch::Receiver<()>, serial: i64, left: Duration, turn: &Turn) -> bool {
        let inner = &self.0;
        // Somebody may have begun to type before this request could be woken.
        if inner.users.typing().serial() != serial {
            return true;
        }
        let mut stop = inner.stop.clone();
        tokio::select! {
            biased;
            () = stop.wait() => false,
            () = turn.ended() => false,
            // An error means that the tail has lost the log: then it is to be asked again, too.
            _ = changed.changed() => true,
            () = inner.world.clock.sleep(left) => false,
        }
    }

    /// Follows the log and the typing lists, and wakes whom they concern.
    async fn follow(self, mut stop: Stop) {
        let inner = &self.0;
        let mut frontier = inner.store.frontier_changes();
        let typing = inner.users.typing();
        let mut typed = typing.subscribe();
        let mut serial = typing.serial();
        let mut sweep = inner.world.clock.sleep(SWEEP);
        loop {
            tokio::select! {
                () = stop.wait() => return,
                changed = frontier.changed() => {
                    if changed.is_err() {
                        // The store has gone, and the server with it.
                        stop.wait().await;
                        return;
                    }
                    inner.tail.advance(&inner.store);
                }
                changed = typed.changed() => {
                    if changed.is_err() {
                        stop.wait().await;
                        return;
                    }
                    let lists = typing.since(serial);
                    serial = lists.iter().map(|list| list.serial).max().unwrap_or(serial);
                    inner.tail.wake_rooms(lists.iter().map(|list| list.room));
                }
                () = &mut sweep => {
                    inner.tail.sweep(inner.world.clock.monotonic());
                    sweep = inner.world.clock.sleep(SWEEP);
                }
            }
        }
    }
}
