//! Registration tokens: who holds one may register.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration>

use std::time::Duration;

use roost_store::registration_tokens::{self, RegistrationToken};

use crate::{Error, Users};

/// The longest token.
const MAX_TOKEN_BYTES: usize = 64;

/// A registration token to be.
#[derive(Clone, Debug, Default)]
pub struct NewRegistrationToken {
    /// What it reads; invented when `None`.
    pub token: Option<String>,
    /// How many accounts it is good for; any number when `None`.
    pub uses_allowed: Option<u64>,
    /// How long it is good for; for ever when `None`.
    pub lifetime: Option<Duration>,
}

impl Users {
    /// Whether a registration token is good at the moment.
    pub async fn registration_token_is_valid(&self, token: &str) -> Result<bool, Error> {
        let (token, now) = (token.to_owned(), self.0.world.now_ms());
        let found = self.0.store.read(move |read| Ok::<_, Error>(registration_tokens::get(read, &token)?)).await?;
        Ok(found.is_some_and(|token| token.is_valid(now)))
    }

    /// Makes a registration token; what it reads.
    pub async fn create_registration_token(&self, new: NewRegistrationToken) -> Result<String, Error> {
        let token = new.token.unwrap_or_else(|| self.0.world.random_text(24));
        // https://spec.matrix.org/v1.19/appendices/#opaque-identifiers
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.bytes().all(fits) {
            return Err(Error::UnfitRegistrationToken);
        }
        let now = self.0.world.now_ms();
        let expires_at =
            new.lifetime.map(|lifetime| now.saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX)));
        let write = self.0.store.write(move |tx| {
            if registration_tokens::get(tx, &token)?.is_some() {
                return Err(Error::UnfitRegistrationToken);
            }
            registration_tokens::insert(tx, &token, new.uses_allowed, now, expires_at)?;
            Ok(token.clone())
        });
        write.await
    }

    /// All registration tokens, oldest first.
    pub async fn registration_tokens(&self) -> Result<Vec<RegistrationToken>, Error> {
        self.0.store.read(|read| Ok(registration_tokens::list(read)?)).await
    }

    /// Deletes a registration token; `false` when there was none.
    pub async fn delete_registration_token(&self, token: &str) -> Result<bool, Error> {
        let token = token.to_owned();
        self.0.store.write(move |tx| Ok::<_, Error>(registration_tokens::delete(tx, &token)?)).await
    }
}
