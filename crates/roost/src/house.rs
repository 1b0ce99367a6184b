//! Everything behind the doors: the store and the domains over it. The server opens it, and so do commands while no server
//! runs.

use std::{sync::Arc, time::Duration};

use roost_matrix::{
    ids::{self, OwnedUserId},
    room_version::RoomVersion,
    signing::KeyPair,
};
use roost_rooms::{Identity, Rooms};
use roost_store::{
    Database, Store,
    server_keys::{self, ServerKey},
};
use roost_users::{HashCost, NewAccount, NewRegistrationToken, Users};
use roost_world::{WorkerState, Workers, World};
use serde_json::{Value, json};

use crate::{
    config::{self, Config, Problems},
    data_dir::DataDir,
    socket::Request,
};

/// How often there is a look for room states that nothing refers to any more. What is found is reclaimed the next time.
const RECLAIM_PAUSE: Duration = Duration::from_secs(30 * 60);

/// Everything behind the doors. Cheap to clone.
#[derive(Clone)]
pub struct House {
    /// Time, chance and execution.
    pub world: World,
    /// The background loops.
    pub workers: Workers,
    /// All SQL.
    pub store: Store,
    /// The room engine.
    pub rooms: Rooms,
    /// Accounts and what belongs to them.
    pub users: Users,
}

/// Why the house could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum HouseError {
    /// The configuration does not fit.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The database.
    #[error("database: {0}")]
    Store(#[from] roost_store::Error),
    /// The rooms.
    #[error("{0}")]
    Rooms(#[from] roost_rooms::Error),
    /// The accounts.
    #[error("{0}")]
    Users(#[from] roost_users::Error),
    /// The signing key in the database has no valid id.
    #[error("the signing key in the database has no valid id")]
    KeyId,
}

impl House {
    /// Opens the house on a data directory; a new one gets its database and signing key.
    pub async fn open(config: &Config, data_dir: &DataDir, world: World) -> Result<Self, HouseError> {
        let server_name = config.server_name()?;
        let database = Database::parse(&config.database.url, data_dir.path())?;
        let durability = match config.database.durability {
            config::Durability::Full => roost_store::Durability::Full,
            config::Durability::Process => roost_store::Durability::Process,
        };
        let options = roost_store::Options {
            durability,
            readers: size(config.database.readers),
            ..roost_store::Options::new(database)
        };
        let store = Store::open(options, world.clone()).await?;
        let workers = Workers::new(world.clone());
        workers.start_future("log", |stop| store.clone().compact_log(world.clone(), stop));
        let key = Arc::new(signing_key(&store, &world).await?);
        let identity = Identity { server_name: server_name.clone(), key };
        // Checked when the configuration was read.
        let default_room_version = config.top.default_room_version.parse().unwrap_or(RoomVersion::V12);
        let event_cache_bytes = u64::from(config.cache.events_mib) << 20;
        let state_cache_bytes = u64::from(config.cache.states_mib) << 20;
        let options = roost_rooms::Options {
            default_room_version,
            event_cache_bytes,
            state_cache_bytes,
            ..roost_rooms::Options::default()
        };
        let rooms = Rooms::open(store.clone(), identity, options, world.clone()).await?;
        workers.start_future("removals", |stop| rooms.clone().follow_removals(stop));
        workers.start_future("room deletions", |stop| rooms.clone().keep_deleting(stop));
        workers.start_future("room states", |stop| rooms.reclaimer().run(world.clone(), RECLAIM_PAUSE, stop));
        if let Some(days) = config.retention.redacted_days.0 {
            let after = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
            workers.start_future("erasure", |stop| rooms.clone().keep_erasing(after, stop));
        }
        let hash_cost = HashCost { memory_kib: config.passwords.memory_kib, passes: config.passwords.iterations };
        let cached_sessions = size(config.cache.sessions);
        let access_token_lifetime = Duration::from_secs(config.sessions.access_token_lifetime.into());
        let options = roost_users::Options {
            hash_cost,
            cached_sessions,
            access_token_lifetime,
            ..roost_users::Options::new(server_name)
        };
        let users = Users::open(store.clone(), rooms.clone(), options, world.clone(), &workers).await?;
        Ok(Self { world, workers, store, rooms, users })
    }

    /// Does what a command wants; the error is for whoever typed it.
    pub async fn answer(&self, request: Request) -> Result<Value, String> {
        match request {
            Request::CreateUser { name, password, admin } => {
                let user_id = self.create_user(&name, password, admin).await.map_err(|error| error.to_string())?;
                Ok(json!({ "user_id": user_id }))
            }
            Request::Room(request) => self.answer_about_room(request).await,
            Request::Workers => {
                let workers = self.workers.list().into_iter().map(|worker| {
                    let state = match worker.state {
                        WorkerState::Running => "running",
                        WorkerState::Stopped => "stopped",
                        WorkerState::Failed => "failed",
                    };
                    json!({ "name": worker.name, "state": state })
                });
                Ok(json!({ "workers": workers.collect::<Value>() }))
            }
        }
    }

    /// Creates an account.
    pub async fn create_user(
        &self,
        name: &str,
        password: String,
        admin: bool,
    ) -> Result<OwnedUserId, roost_users::Error> {
        let server = self.users.server_name();
        // A whole id names this server or nobody.
        let localpart = match name.strip_prefix('@') {
            Some(id) => id.strip_suffix(server.as_str()).and_then(|id| id.strip_suffix(':')),
            None => Some(name),
        };
        let localpart = localpart.ok_or(roost_users::Error::InvalidUsername)?;
        let user_id = roost_users::new_user_id(localpart, server)?;
        let account = NewAccount { admin, ..NewAccount::new(user_id.clone(), Some(password)) };
        self.users.create(account).await?;
        Ok(user_id)
    }

    /// The registration token for the first account: the one that is there, or a new one.
    pub async fn first_token(&self) -> Result<String, roost_users::Error> {
        for token in self.users.registration_tokens().await? {
            if self.users.registration_token_is_valid(&token.token).await? {
                return Ok(token.token);
            }
        }
        self.users
            .create_registration_token(NewRegistrationToken {
                uses_allowed: Some(1),
                ..NewRegistrationToken::default()
            })
            .await
    }

    /// Ends the background loops and closes the database.
    pub async fn close(&self) {
        self.workers.stop().await;
        self.store.close().await;
    }
}

/// A number of the configuration as a size in memory.
fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The key that the server signs with; made on the first start.
async fn signing_key(store: &Store, world: &World) -> Result<KeyPair, HouseError> {
    let new = ServerKey { key_id: format!("ed25519:a_{}", world.random_text(6)), seed: world.random_bytes() };
    let now = world.now_ms();
    let key = store.write(move |tx| server_keys::first(tx, &new, now)).await?;
    let version = key.key_id.strip_prefix("ed25519:").filter(|version| ids::is_key_version(version));
    Ok(KeyPair::from_seed(key.seed, version.ok_or(HouseError::KeyId)?))
}
