//! Tokens with which users of this homeserver prove to others who they are.

use ruma::OwnedUserId;

use crate::{Error, Read, Tx, UserNo, params, statements};

statements! {
    INSERT = "INSERT INTO openid_tokens (token_hash, user_no, expires_at) VALUES ($1, $2, $3)";
    DELETE_OLD = "DELETE FROM openid_tokens WHERE user_no = $1 AND expires_at <= \
        (SELECT expires_at FROM openid_tokens WHERE user_no = $1 ORDER BY expires_at DESC LIMIT 1 OFFSET $2)";
    DELETE_EXPIRED = "DELETE FROM openid_tokens WHERE expires_at <= $1";
    USER = "SELECT users_no.user_id FROM openid_tokens JOIN accounts ON accounts.user_no = openid_tokens.user_no \
        JOIN users_no ON users_no.user_no = openid_tokens.user_no \
        WHERE openid_tokens.token_hash = $1 AND openid_tokens.expires_at > $2 AND accounts.deactivated_at IS NULL";
}

/// How many tokens a user has at most; more push out the oldest.
const MAX_TOKENS: i64 = 100;

/// Adds a token, of which only the SHA-256 is kept, and removes those that have expired.
pub fn insert(tx: &Tx<'_>, token: &[u8; 32], user: UserNo, now_ms: u64, expires_at: u64) -> Result<(), Error> {
    tx.execute(DELETE_EXPIRED, params![now_ms])?;
    tx.execute(DELETE_OLD, params![user, MAX_TOKENS - 1])?;
    tx.execute(INSERT, params![token, user, expires_at])?;
    Ok(())
}

/// Whose token this is, if it is good and the account is still there.
pub fn user(read: &Read<'_>, token: &[u8; 32], now_ms: u64) -> Result<Option<OwnedUserId>, Error> {
    read.one(USER, params![token, now_ms], |row| row.get(0))
}
