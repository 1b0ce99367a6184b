//! The room engine: one appender per room as the only door to its history; state, membership, aliases, the directory.
//!
//! Whatever reads takes a [`Read`], so that one snapshot can serve many rooms. Rooms, users and events are numbers
//! inside; [`Room`] joins a room's number to its id and the rules of its version.
//!
//! Events form a graph; around each there are snapshots of the state (`roost_store::state_map`). Events of this server are put
//! after all tips of the graph, those of others where their `prev_events` say ([`Rooms::receive`]). What clients are shown is a line: the
//! history, in which each accepted event has a place, and the changes of the room's current state along it.

mod adopt;
mod aliases;
mod appender;
mod backfill;
mod check;
mod commit;
mod create;
mod delete;
mod directory;
mod erase;
mod error;
mod filter;
mod head;
mod history;
mod inspect;
mod members;
mod purge;
mod receive;
mod render;
mod reset;
mod resolve;
mod send;
mod serve;
mod state;
mod stored;
mod summary;
mod surround;
#[cfg(test)]
mod testing;
mod upgrade;
mod visibility;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use quick_cache::sync::Cache;
use roost_matrix::{
    ids::{OwnedRoomId, OwnedServerName, RoomId},
    room_version::{RoomVersion, Rules},
    signing::KeyPair,
};
use roost_store::{Read, RoomNo, Store, auth_chains::AuthChains, rooms, state_map::StateMaps};
use roost_world::World;

pub use adopt::Adoption;
pub use appender::Appended;
pub use check::Checked;
pub use create::{CreateRoom, InitialState, Preset};
pub use delete::Deleted;
pub use directory::{DirectoryPage, DirectoryQuery, PublicRoom, RoomSummary};
pub use error::Error;
pub use filter::EventFilter;
pub use history::{Chunk, Context, Direction, Messages, MessagesQuery, Scan};
pub use members::{MemberProfile, MembershipEntry};
pub use purge::Purged;
pub use receive::{Nobody, Outcome, Peers, StateIds};
pub use render::{Reader, Rendered};
pub use roost_store::Membership;
pub use send::{NewEvent, Transaction};
pub use stored::{OUTSIDE, Sent, Stored};
pub use summary::Summary;
pub use visibility::{HistoryVisibility, Range, Sight, Vision};

/// Who this server is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub server_name: OwnedServerName,
    /// The key with which it signs events.
    pub key: Arc<KeyPair>,
}

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The version of rooms that are created without naming one.
    pub default_room_version: RoomVersion,
    /// What the cache of events may take.
    pub event_cache_bytes: u64,
    /// What the cache of room states may take.
    pub state_cache_bytes: u64,
    /// What the cache of auth chains may take.
    pub chain_cache_bytes: u64,
    /// How many appenders stay open while nobody writes. More may be open while they have work.
    pub appenders: usize,
    /// How long an appender waits for another request before it closes.
    pub idle: Duration,
    /// How many requests wait at a door before others have to wait outside.
    pub queue: usize,
    /// How many events one commit holds at most.
    pub batch: usize,
    /// How often a batch is built when others keep moving the head, before the room's row is locked.
    pub tries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_room_version: RoomVersion::V12,
            event_cache_bytes: 24 << 20,
            state_cache_bytes: 8 << 20,
            chain_cache_bytes: 4 << 20,
            appenders: 512,
            idle: Duration::from_secs(60),
            queue: 256,
            batch: 64,
            tries: 3,
        }
    }
}

/// A room as everything here knows it. Nothing of it ever changes.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its number.
    pub no: RoomNo,
    /// Its id.
    pub id: OwnedRoomId,
    /// The rules of its version.
    pub rules: &'static Rules,
}

/// The room engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) identity: Identity,
    pub(crate) options: Options,
    pub(crate) world: World,
    pub(crate) events: stored::EventCache,
    pub(crate) states: StateMaps,
    pub(crate) chains: AuthChains,
    pub(crate) doors: appender::Doors,
    /// When the last room was created.
    pub(crate) created_at: AtomicU64,
    by_id: Cache<OwnedRoomId, Arc<Room>>,
    by_no: Cache<RoomNo, Arc<Room>>,
}

/// How many rooms are remembered by number and id; a hundred-odd bytes each.
const ROOMS: usize = 10_000;

impl Rooms {
    /// The engine over a store.
    pub async fn open(store: Store, identity: Identity, options: Options, world: World) -> Result<Self, Error> {
        let states = StateMaps::open(&store, &world, options.state_cache_bytes).await?;
        let chains = AuthChains::open(&store, options.chain_cache_bytes);
        Ok(Self(Arc::new(Inner {
            states,
            chains,
            events: stored::EventCache::new(options.event_cache_bytes),
            doors: appender::Doors::default(),
            created_at: AtomicU64::new(0),
            by_id: Cache::new(ROOMS),
            by_no: Cache::new(ROOMS),
            store,
            identity,
            options,
            world,
        })))
    }

    /// Who this server is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The store underneath, for readers that take their own snapshot.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The version of rooms that are created without naming one.
    #[must_use]
    pub fn default_room_version(&self) -> RoomVersion {
        self.0.options.default_room_version
    }

    /// The room of that id.
    pub fn room_in(&self, read: &Read<'_>, id: &RoomId) -> Result<Arc<Room>, Error> {
        if let Some(room) = self.0.by_id.get(id) {
            return Ok(room);
        }
        let row = rooms::by_id(read, id.as_str())?.ok_or(Error::UnknownRoom)?;
        self.remember(&row)
    }

    /// The room of that id.
    pub async fn room(&self, id: &RoomId) -> Result<Arc<Room>, Error> {
        if let Some(room) = self.0.by_id.get(id) {
            return Ok(room);
        }
        let (rooms, id) = (self.clone(), id.to_owned());
        self.0.store.read(move |read| rooms.room_in(read, &id)).await
    }

    /// The rooms of those numbers, in that order. Numbers that do not exist are left out.
    pub fn rooms_in(&self, read: &Read<'_>, nos: &[RoomNo]) -> Result<Vec<Arc<Room>>, Error> {
        let missing: Vec<_> = nos.iter().copied().filter(|no| self.0.by_no.get(no).is_none()).collect();
        let mut loaded = Vec::new();
        for piece in missing.chunks(1000) {
            for row in rooms::many(read, piece)? {
                loaded.push(self.remember(&row)?);
            }
        }
        // The cache may be too small for all of them at once, so what was loaded is looked for first.
        let loaded: HashMap<_, _> = loaded.into_iter().map(|room| (room.no, room)).collect();
        Ok(nos.iter().filter_map(|no| loaded.get(no).cloned().or_else(|| self.0.by_no.get(no))).collect())
    }

    pub(crate) fn remember(&self, row: &rooms::RoomRow) -> Result<Arc<Room>, Error> {
        let damaged = |what: &str| Error::Damaged(format!("room {}: {what}", row.room_id));
        let version: RoomVersion = row.version.parse().map_err(|_| damaged("its version"))?;
        let id = RoomId::parse(&row.room_id).map_err(|_| damaged("its id"))?;
        let room = Arc::new(Room { no: row.room, id: id.clone(), rules: version.rules() });
        self.0.by_id.insert(id, room.clone());
        self.0.by_no.insert(room.no, room.clone());
        Ok(room)
    }

    pub(crate) fn is_local(&self, user: &roost_matrix::ids::UserId) -> bool {
        user.server_name() == self.0.identity.server_name
    }
}
