//! Tokens with which users prove to others who they are.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#openid>

use std::time::Duration;

use roost_matrix::ids::OwnedUserId;
use roost_store::{UserNo, openid_tokens};
use sha2::{Digest as _, Sha256};

use crate::{Error, Users};

/// How long such a token is good.
pub const OPENID_TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

impl Users {
    /// A new token of a user. Only its SHA-256 is kept.
    pub async fn new_openid_token(&self, user: UserNo) -> Result<String, Error> {
        let token = format!("rso_{}", self.0.world.random_text(40));
        let (hash, now) = (hash(&token), self.0.world.now_ms());
        let lifetime = u64::try_from(OPENID_TOKEN_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let expires_at = now.saturating_add(lifetime);
        let write =
            self.0.store.write(move |tx| Ok::<_, Error>(openid_tokens::insert(tx, &hash, user, now, expires_at)?));
        write.await?;
        Ok(token)
    }

    /// Whose token this is; `None` when it is unknown, has expired, or the account is gone.
    pub async fn openid_user(&self, token: &str) -> Result<Option<OwnedUserId>, Error> {
        let (hash, now) = (hash(token), self.0.world.now_ms());
        self.0.store.read(move |read| Ok(openid_tokens::user(read, &hash, now)?)).await
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
