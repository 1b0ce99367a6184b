//! Accounts and what belongs to them: sessions, devices, profiles, account data, filters, receipts, typing.
//!
//! [`Users`] is the door. What /sync reads for many rooms at once it reads with the functions of
//! [`roost_store::account_data`], [`roost_store::receipts`] and their neighbours, inside its own snapshot.

use std::{sync::Arc, time::Duration};

use roost_matrix::ids::{OwnedServerName, ServerName};
use roost_rooms::Rooms;
use roost_store::Store;
use roost_world::{Workers, World};

mod account_data;
mod accounts;
mod devices;
mod error;
mod filters;
mod names;
mod openid;
mod password;
mod profiles;
mod push_rules;
mod receipts;
mod registration_tokens;
mod sessions;
mod typing;
mod user_directory;

pub use account_data::MAX_TAGS;
pub use accounts::{Account, LoggedIn, NewAccount, NewDevice, check_new_password};
pub use devices::Device;
pub use error::Error;
pub use names::{local_user_id, new_user_id};
pub use openid::OPENID_TOKEN_LIFETIME;
pub use password::{HashCost, MAX_PASSWORD_BYTES};
pub use profiles::{Field, MAX_PROFILE_BYTES};
pub use push_rules::{Neighbours, NewPushRule, PushRule, PushRuleError, PushRuleKind, PushRules, PushRuleset};
pub use receipts::{Markers, ReceiptKind};
pub use registration_tokens::NewRegistrationToken;
pub use roost_store::registration_tokens::RegistrationToken;
pub use sessions::{Authentication, DEFAULT_ACCESS_TOKEN_LIFETIME, Known, Session, Sessions, Tokens};
pub use typing::{DEFAULT_TIMEOUT as DEFAULT_TYPING_TIMEOUT, MAX_TIMEOUT as MAX_TYPING_TIMEOUT, Typing, TypingRoom};
pub use user_directory::Found;

/// What the configuration says about users.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of this homeserver.
    pub server_name: OwnedServerName,
    /// What hashing a new password costs.
    pub hash_cost: HashCost,
    /// How long the access tokens of clients that can refresh them last.
    pub access_token_lifetime: Duration,
    /// How many sessions are kept in memory.
    pub cached_sessions: usize,
}

impl Options {
    /// The usual options for a server of that name.
    #[must_use]
    pub fn new(server_name: OwnedServerName) -> Self {
        Self {
            server_name,
            hash_cost: HashCost::default(),
            access_token_lifetime: DEFAULT_ACCESS_TOKEN_LIFETIME,
            cached_sessions: 50_000,
        }
    }
}

/// The users of this server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Users(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    rooms: Rooms,
    world: World,
    server_name: OwnedServerName,
    hasher: password::Hasher,
    sessions: Sessions,
    typing: Typing,
}

impl Users {
    /// Opens the door, and starts the workers behind it.
    pub async fn open(
        store: Store,
        rooms: Rooms,
        options: Options,
        world: World,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let hasher = password::Hasher::new(options.hash_cost, world.clone()).await?;
        let sessions =
            Sessions::new(store.clone(), world.clone(), options.access_token_lifetime, options.cached_sessions);
        let typing = Typing::new(world.clone());
        let users =
            Self(Arc::new(Inner { store, rooms, world, server_name: options.server_name, hasher, sessions, typing }));
        let typing = users.typing().clone();
        workers.start_future("typing", |stop| typing.expire(stop));
        let sessions = users.sessions().clone();
        workers.start_future("last seen", |stop| async move { sessions.last_seen().run(stop).await });
        let departures = users.clone();
        workers.start_future("departures", |stop| departures.finish_departures(stop));
        Ok(users)
    }

    /// The sessions: who a request comes from.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Who is typing where.
    #[must_use]
    pub fn typing(&self) -> &Typing {
        &self.0.typing
    }

    /// The name of this homeserver.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.0.server_name
    }
}

#[cfg(test)]
mod tests;
