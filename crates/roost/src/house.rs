//! Everything behind the doors: the store and the domains over it. The server opens it, and so do commands while no server
//! runs.

use std::sync::Arc;

use roost_matrix::{ids, signing::KeyPair};
use roost_store::{
    Database, Store,
    server_keys::{self, ServerKey},
};
use roost_world::{WorkerState, Workers, World};
use serde_json::{Value, json};

use crate::{
    config::{self, Config, Problems},
    data_dir::DataDir,
    socket::Request,
};

/// Everything behind the doors. Cheap to clone.
#[derive(Clone)]
pub struct House {
    /// Time, chance and execution.
    pub world: World,
    /// The background loops.
    pub workers: Workers,
    /// All SQL.
    pub store: Store,
    /// The key that the server signs with.
    pub key: Arc<KeyPair>,
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
    /// The signing key in the database has no valid id.
    #[error("the signing key in the database has no valid id")]
    KeyId,
}

impl House {
    /// Opens the house on a data directory; a new one gets its database and signing key.
    pub async fn open(config: &Config, data_dir: &DataDir, world: World) -> Result<Self, HouseError> {
        let database = Database::parse(&config.database.url, data_dir.path())?;
        let durability = match config.database.durability {
            config::Durability::Full => roost_store::Durability::Full,
            config::Durability::Process => roost_store::Durability::Process,
        };
        let store = Store::open(roost_store::Options::new(database).durability(durability), world.clone()).await?;
        let workers = Workers::new(world.clone());
        let key = Arc::new(signing_key(&store, &world).await?);
        Ok(Self { world, workers, store, key })
    }

    /// Does what a command wants; the error is for whoever typed it.
    pub async fn answer(&self, request: Request) -> Result<Value, String> {
        match request {
            Request::CreateUser { .. } => Err("there are no accounts yet".to_owned()),
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

    /// Ends the background loops and closes the database.
    pub async fn close(&self) {
        self.workers.stop().await;
        self.store.close().await;
    }
}

/// The key that the server signs with; made on the first start.
async fn signing_key(store: &Store, world: &World) -> Result<KeyPair, HouseError> {
    let new = ServerKey { key_id: format!("ed25519:a_{}", world.random_text(6)), seed: world.random_bytes() };
    let now = world.now_ms();
    let key = store.write(move |tx| server_keys::first(tx, &new, now)).await?;
    let version = key.key_id.strip_prefix("ed25519:").filter(|version| ids::is_key_version(version));
    Ok(KeyPair::from_seed(key.seed, version.ok_or(HouseError::KeyId)?))
}
