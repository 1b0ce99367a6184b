//! Sessions: who a request comes from.
//!
//! Tokens are random and opaque, and only their SHA-256 is kept. A session is an access token with the refresh token
//! that came with it; refreshing makes a new one, which replaces the old one when it is first used, so that a client that
//! never got the answer can ask again. <https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens>

use std::{
    net::IpAddr,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use roost_matrix::ids::{OwnedDeviceId, OwnedUserId};
use roost_store::{
    Store, UserNo, devices,
    sessions::{self, TokenHash},
};
use roost_world::World;
use sha2::{Digest, Sha256};

use crate::Error;

mod cache;
mod last_seen;

pub(crate) use last_seen::LastSeen;

/// How long the tokens of clients that can refresh them last.
pub const DEFAULT_ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A session, as a request needs it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session(Arc<Known>);

/// What is known of a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Known {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// That user's number.
    pub user_no: UserNo,
    /// The device that it belongs to.
    pub device_id: OwnedDeviceId,
    /// Whether the user administers the server.
    pub admin: bool,
    /// Whether the account is locked: then it can do nothing but log out.
    pub locked: bool,
    /// Whether the account is suspended: then it can read but not act.
    pub suspended: bool,
    access_hash: TokenHash,
    expires_at: Option<u64>,
}

impl Deref for Session {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.0
    }
}

impl Session {
    fn new(row: sessions::Session) -> Self {
        Self(Arc::new(Known {
            user_id: row.user_id,
            user_no: row.user,
            device_id: row.device_id,
            admin: row.admin,
            locked: row.locked,
            suspended: row.suspended,
            access_hash: row.access_hash,
            expires_at: row.expires_at,
        }))
    }
}

/// What an access token turned out to be.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Good.
    Valid(Session),
    /// It was good; its session goes on with a refreshed one (`soft_logout`).
    Expired,
    /// Never seen, or logged out.
    Unknown,
}

/// Tokens as they are handed to a client, once.
#[derive(Clone)]
pub struct Tokens {
    /// The access token.
    pub access_token: String,
    /// The refresh token, for clients that can use it.
    pub refresh_token: Option<String>,
    /// How long the access token lasts; for ever when `None`.
    pub expires_in: Option<Duration>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Tokens and what is stored of them.
pub(crate) struct NewTokens {
    pub(crate) tokens: Tokens,
    access_hash: TokenHash,
    refresh_hash: Option<TokenHash>,
    expires_at: Option<u64>,
}

impl NewTokens {
    /// The row for them.
    pub(crate) fn row<'a>(
        &self,
        user: UserNo,
        device_id: &'a str,
        replaces: Option<TokenHash>,
    ) -> sessions::NewSession<'a> {
        sessions::NewSession {
            access_hash: self.access_hash,
            refresh_hash: self.refresh_hash,
            user,
            device_id,
            expires_at: self.expires_at,
            replaces,
        }
    }
}

/// The sessions of this server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    world: World,
    lifetime: Duration,
    cache: Mutex<cache::Cache>,
    last_seen: LastSeen,
}

impl Sessions {
    pub(crate) fn new(store: Store, world: World, lifetime: Duration, cached: usize) -> Self {
        let cache = Mutex::new(cache::Cache::new(store.clone(), cached));
        let last_seen = LastSeen::new(store.clone(), world.clone());
        Self(Arc::new(Inner { store, world, lifetime, cache, last_seen }))
    }

    /// Whose access token this is.
    pub async fn authenticate(&self, access_token: &str) -> Result<Authentication, Error> {
        let hash = token_hash(access_token);
        let cached = self.cache().get(&hash);
        let session = match cached {
            Some(session) => session,
            None => match self.load(hash).await? {
                Some(session) => session,
                None => return Ok(Authentication::Unknown),
            },
        };
        if session.expires_at.is_some_and(|end| end <= self.0.world.now_ms()) {
            return Ok(Authentication::Expired);
        }
        Ok(Authentication::Valid(session))
    }

    /// Whether a session that was good when a request began still is: while it waited, its device may have been logged out.
    pub async fn is_alive(&self, session: &Session) -> Result<bool, Error> {
        let cached = self.cache().get(&session.access_hash).is_some();
        Ok(cached || self.load(session.access_hash).await?.is_some())
    }

    /// Notes that the session has just been used, from that address. Written down seldom and in batches.
    pub fn seen(&self, session: &Session, ip: Option<IpAddr>) {
        self.0.last_seen.note(session.user_no, &session.device_id, ip);
    }

    /// New tokens for the session of a refresh token, on the same device.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, Error> {
        let hash = token_hash(refresh_token);
        let new = self.new_tokens(true);
        let tokens = new.tokens.clone();
        let now = self.0.world.now_ms();
        let refreshed = self.0.store.write(move |tx| {
            let old = sessions::by_refresh(tx, &hash)?.ok_or(Error::RefreshToken)?;
            // Using its refresh token is using a session.
            sessions::confirm(tx, &old)?;
            sessions::insert(tx, &new.row(old.user, old.device_id.as_str(), Some(old.access_hash)), now)?;
            Ok::<_, Error>(())
        });
        refreshed.await?;
        Ok(tokens)
    }

    /// Ends a session, and its device with it.
    pub async fn log_out(&self, session: &Session) -> Result<(), Error> {
        let session = session.clone();
        let write = self.0.store.write(move |tx| {
            Ok::<_, Error>(devices::delete(tx, session.user_no, devices::Which::These(&[session.device_id.as_str()]))?)
        });
        write.await
    }

    /// Ends all sessions of a user, and removes their devices.
    pub async fn log_out_all(&self, user: UserNo) -> Result<(), Error> {
        let write = self.0.store.write(move |tx| Ok::<_, Error>(devices::delete(tx, user, devices::Which::All)?));
        write.await
    }

    pub(crate) fn last_seen(&self) -> &LastSeen {
        &self.0.last_seen
    }

    /// Random tokens: short-lived with a refresh token for clients that can use one, else for ever.
    pub(crate) fn new_tokens(&self, refreshable: bool) -> NewTokens {
        let world = &self.0.world;
        // 40 letters and digits hold 238 bits of chance. The prefixes help those who search leaked files for secrets.
        let access_token = format!("rst_{}", world.random_text(40));
        let refresh_token = refreshable.then(|| format!("rsr_{}", world.random_text(40)));
        let lifetime = refreshable.then_some(self.0.lifetime);
        let millis = |lifetime: Duration| u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        NewTokens {
            access_hash: token_hash(&access_token),
            refresh_hash: refresh_token.as_deref().map(token_hash),
            expires_at: lifetime.map(|lifetime| world.now_ms().saturating_add(millis(lifetime))),
            tokens: Tokens { access_token, refresh_token, expires_in: lifetime },
        }
    }

    async fn load(&self, hash: TokenHash) -> Result<Option<Session>, Error> {
        let found = self.0.store.read(move |read| {
            let session = sessions::by_access(read, &hash)?;
            Ok::<_, Error>(match session {
                Some(session) => Some((session, read.frontier()?)),
                None => None,
            })
        });
        let Some((row, loaded_at)) = found.await? else { return Ok(None) };
        if row.replaces.is_some() {
            return self.confirm(hash).await;
        }
        let session = Session::new(row);
        self.cache().insert(session.access_hash, &session, loaded_at);
        Ok(Some(session))
    }

    /// The session is used for the first time: what it replaces goes before the answer does.
    async fn confirm(&self, hash: TokenHash) -> Result<Option<Session>, Error> {
        let confirmed = self.0.store.write(move |tx| {
            // Read again: on the way here it may have been revoked, or confirmed by a request beside this one.
            let session = sessions::by_access(tx, &hash)?;
            if let Some(session) = &session {
                sessions::confirm(tx, session)?;
            }
            Ok::<_, Error>(session)
        });
        // Not cached: the log's entry for what went would drop it anyway. The next request will.
        Ok(confirmed.await?.map(Session::new))
    }

    /// The cache, advanced to the frontier.
    fn cache(&self) -> MutexGuard<'_, cache::Cache> {
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.advance();
        cache
    }
}

fn token_hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}
