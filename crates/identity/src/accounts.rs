//! Who may use this server: users whose homeservers vouch for them.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#authentication>

use roost_matrix::ids::{self, OwnedUserId, ServerName, UserId};
use roost_store::identity_accounts::{self, TokenHash};
use sha2::{Digest as _, Sha256};

use crate::{Error, Identity};

/// The longest OpenID token that is passed on, in bytes.
const MAX_OPENID_TOKEN: usize = 4096;

/// Whoever calls, by their access token.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user_id: OwnedUserId,
    token: TokenHash,
}

impl Identity {
    /// Asks a homeserver whose OpenID token this is, and makes that user an access token.
    pub async fn register(&self, server: &str, openid_token: &str) -> Result<String, Error> {
        if !ids::is_server_name(server) {
            return Err(Error::InvalidParam("matrix_server_name is not the name of a server"));
        }
        let server = ServerName::parse(server)
            .map_err(|_| Error::InvalidParam("matrix_server_name is not the name of a server"))?;
        if openid_token.is_empty() || openid_token.len() > MAX_OPENID_TOKEN {
            return Err(Error::InvalidParam("access_token is not an OpenID token"));
        }
        let user_id = self.0.homeservers.openid_user(&server, openid_token).await?;
        // 40 letters and digits hold 238 bits of chance. The prefix helps those who search leaked files for secrets.
        let token = format!("rsi_{}", self.0.world.random_text(40));
        let (hash, now) = (token_hash(&token), self.0.world.now_ms());
        self.0.store.write(move |tx| Ok::<_, Error>(identity_accounts::register(tx, &user_id, &hash, now)?)).await?;
        Ok(token)
    }

    /// Whose access token this is.
    pub async fn authenticate(&self, token: &str) -> Result<Account, Error> {
        let token = token_hash(token);
        let user_id = self.0.store.read(move |read| Ok::<_, Error>(identity_accounts::by_token(read, &token)?)).await?;
        Ok(Account { user_id: user_id.ok_or(Error::UnknownToken)?, token })
    }

    /// Ends an access token.
    pub async fn log_out(&self, account: &Account) -> Result<(), Error> {
        let token = account.token;
        self.0.store.write(move |tx| identity_accounts::log_out(tx, &token).map(drop).map_err(Error::from)).await
    }

    /// Removes an account, its access tokens and what it has accepted; `false` when there was none.
    pub async fn delete_account(&self, user: &UserId) -> Result<bool, Error> {
        let user = user.to_owned();
        self.0.store.write(move |tx| Ok(identity_accounts::delete(tx, &user)?)).await
    }
}

fn token_hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}
