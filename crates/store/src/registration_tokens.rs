//! Tokens that let their bearer register.

use crate::{Error, Read, Row, Tx, params, statements};

statements! {
    GET = "SELECT token, uses_allowed, uses, created_at, expires_at FROM registration_tokens WHERE token = $1";
    LIST = "SELECT token, uses_allowed, uses, created_at, expires_at FROM registration_tokens ORDER BY created_at, token";
    INSERT = "INSERT INTO registration_tokens (token, uses_allowed, uses, created_at, expires_at) VALUES ($1, $2, 0, $3, $4)";
    USE = "UPDATE registration_tokens SET uses = uses + 1 WHERE token = $1 \
        AND (uses_allowed IS NULL OR uses < uses_allowed) AND (expires_at IS NULL OR expires_at > $2)";
    DELETE = "DELETE FROM registration_tokens WHERE token = $1";
}

/// A registration token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationToken {
    /// What its bearer shows.
    pub token: String,
    /// How many accounts it is good for; any number when `None`.
    pub uses_allowed: Option<u64>,
    /// How many it has made.
    pub uses: u64,
    /// When it was made, in milliseconds since the epoch.
    pub created_at: u64,
    /// When it stops being good.
    pub expires_at: Option<u64>,
}

impl RegistrationToken {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            token: row.get(0)?,
            uses_allowed: row.get(1)?,
            uses: row.get(2)?,
            created_at: row.get(3)?,
            expires_at: row.get(4)?,
        })
    }

    /// Whether it is good at `now_ms`.
    #[must_use]
    pub fn is_valid(&self, now_ms: u64) -> bool {
        self.uses_allowed.is_none_or(|allowed| self.uses < allowed) && self.expires_at.is_none_or(|end| now_ms < end)
    }
}

/// The token that reads so.
pub fn get(read: &Read<'_>, token: &str) -> Result<Option<RegistrationToken>, Error> {
    read.one(GET, params![token], RegistrationToken::from_row)
}

/// Every token, oldest first.
pub fn list(read: &Read<'_>) -> Result<Vec<RegistrationToken>, Error> {
    read.all(LIST, params![], RegistrationToken::from_row)
}

/// Makes a token.
pub fn insert(
    tx: &Tx<'_>,
    token: &str,
    uses_allowed: Option<u64>,
    now_ms: u64,
    expires_at: Option<u64>,
) -> Result<(), Error> {
    tx.execute(INSERT, params![token, uses_allowed, now_ms, expires_at])?;
    Ok(())
}

/// Uses a token once; `false`, and nothing has changed, when it is not good.
pub fn spend(tx: &Tx<'_>, token: &str, now_ms: u64) -> Result<bool, Error> {
    Ok(tx.execute(USE, params![token, now_ms])? > 0)
}

/// Deletes a token; `false` when there was none.
pub fn delete(tx: &Tx<'_>, token: &str) -> Result<bool, Error> {
    Ok(tx.execute(DELETE, params![token])? > 0)
}
