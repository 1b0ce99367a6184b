//! Who may use the identity server: users of homeservers, their access tokens, and the terms that they have accepted.

use ruma::{OwnedUserId, UserId};

use crate::{Error, Read, Tx, params, statements};

statements! {
    INSERT = "INSERT INTO identity_accounts (user_id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    INSERT_TOKEN = "INSERT INTO identity_tokens (token_hash, user_id, created_at) VALUES ($1, $2, $3)";
    BY_TOKEN = "SELECT user_id FROM identity_tokens WHERE token_hash = $1";
    DELETE_TOKEN = "DELETE FROM identity_tokens WHERE token_hash = $1";
    DELETE_OLD = "DELETE FROM identity_tokens WHERE user_id = $1 AND created_at <= \
        (SELECT created_at FROM identity_tokens WHERE user_id = $1 ORDER BY created_at DESC LIMIT 1 OFFSET $2)";
    DELETE_TOKENS = "DELETE FROM identity_tokens WHERE user_id = $1";
    DELETE_TERMS = "DELETE FROM identity_accepted_terms WHERE user_id = $1";
    DELETE = "DELETE FROM identity_accounts WHERE user_id = $1";
    ACCEPT = "INSERT INTO identity_accepted_terms (user_id, url, accepted_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    ACCEPTED = "SELECT url FROM identity_accepted_terms WHERE user_id = $1 AND url IN texts($2)";
}

/// How many access tokens an account has at most; more push out the oldest.
const MAX_TOKENS: i64 = 50;

/// The SHA-256 of an access token.
pub type TokenHash = [u8; 32];

/// Adds an access token, and the account if it is new.
pub fn register(tx: &Tx<'_>, user: &UserId, token: &TokenHash, now_ms: u64) -> Result<(), Error> {
    tx.execute(INSERT, params![user, now_ms])?;
    tx.execute(DELETE_OLD, params![user, MAX_TOKENS - 1])?;
    tx.execute(INSERT_TOKEN, params![token, user, now_ms])?;
    Ok(())
}

/// Whose access token this is.
pub fn by_token(read: &Read<'_>, token: &TokenHash) -> Result<Option<OwnedUserId>, Error> {
    read.one(BY_TOKEN, params![token], |row| row.get(0))
}

/// Removes an access token; `false` when there was none.
pub fn log_out(tx: &Tx<'_>, token: &TokenHash) -> Result<bool, Error> {
    Ok(tx.execute(DELETE_TOKEN, params![token])? > 0)
}

/// Removes an account with its tokens and accepted terms; `false` when there was none.
pub fn delete(tx: &Tx<'_>, user: &UserId) -> Result<bool, Error> {
    tx.execute(DELETE_TOKENS, params![user])?;
    tx.execute(DELETE_TERMS, params![user])?;
    Ok(tx.execute(DELETE, params![user])? > 0)
}

/// Notes that a user has accepted what is at these URLs, beside those accepted before.
pub fn accept(tx: &Tx<'_>, user: &UserId, urls: &[String], now_ms: u64) -> Result<(), Error> {
    for url in urls {
        tx.execute(ACCEPT, params![user, url, now_ms])?;
    }
    Ok(())
}

/// Which of these URLs a user has accepted.
pub fn accepted(read: &Read<'_>, user: &UserId, urls: &[String]) -> Result<Vec<String>, Error> {
    read.all(ACCEPTED, params![user, urls], |row| row.get(0))
}
