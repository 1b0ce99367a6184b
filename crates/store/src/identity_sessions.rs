//! Sessions in which somebody proves that an address is theirs.

use crate::{Error, Read, Row, Tx, params, statements};

statements! {
    GET = "SELECT sid, secret_hash, medium, address, send_attempt, token_hash, previous_hash, wrong, next_link, modified_at, \
        validated_at FROM identity_sessions WHERE sid = $1";
    BY_SCOPE = "SELECT sid, secret_hash, medium, address, send_attempt, token_hash, previous_hash, wrong, next_link, \
        modified_at, validated_at FROM identity_sessions WHERE scope = $1";
    INSERT = "INSERT INTO identity_sessions (sid, scope, secret_hash, medium, address, send_attempt, token_hash, wrong, \
        next_link, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9) ON CONFLICT DO NOTHING";
    RESEND = "UPDATE identity_sessions SET send_attempt = $2, token_hash = $3, previous_hash = token_hash, wrong = 0, \
        next_link = $4 WHERE sid = $1 AND send_attempt < $2";
    UNSENT = "UPDATE identity_sessions SET send_attempt = $3 WHERE sid = $1 AND send_attempt = $2";
    GUESS = "UPDATE identity_sessions SET wrong = wrong + 1 WHERE sid = $1";
    VALIDATE = "UPDATE identity_sessions SET validated_at = $2, modified_at = $2 WHERE sid = $1 AND validated_at IS NULL";
    DELETE = "DELETE FROM identity_sessions WHERE sid = $1";
    DELETE_OLD = "DELETE FROM identity_sessions WHERE modified_at < $1";
    DELETE_OF = "DELETE FROM identity_sessions WHERE medium = $1 AND address = $2";
}

/// A SHA-256.
pub type Hash = [u8; 32];

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub sid: String,
    /// The hash of the client's secret.
    pub secret_hash: Hash,
    /// The kind of address.
    pub medium: String,
    /// The canonical address.
    pub address: String,
    /// The highest `send_attempt` for which a message was sent.
    pub send_attempt: i64,
    /// The hash of the token that was sent last.
    pub token_hash: Hash,
    /// That of the one before.
    pub previous_hash: Option<Hash>,
    /// How many wrong tokens have been tried.
    pub wrong: u64,
    /// Where the user goes afterwards.
    pub next_link: Option<String>,
    /// When it was begun or validated.
    pub modified_at: u64,
    /// When it was validated.
    pub validated_at: Option<u64>,
}

impl Session {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            sid: row.get(0)?,
            secret_hash: row.get(1)?,
            medium: row.get(2)?,
            address: row.get(3)?,
            send_attempt: row.get(4)?,
            token_hash: row.get(5)?,
            previous_hash: row.get(6)?,
            wrong: row.get(7)?,
            next_link: row.get(8)?,
            modified_at: row.get(9)?,
            validated_at: row.get(10)?,
        })
    }
}

/// A session to be.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub sid: String,
    /// What `send_attempt` counts within: a hash of the address as given and the client's secret.
    pub scope: Hash,
    /// The hash of the client's secret.
    pub secret_hash: Hash,
    /// The kind of address.
    pub medium: &'static str,
    /// The canonical address.
    pub address: String,
    /// The request's `send_attempt`.
    pub send_attempt: i64,
    /// The hash of the token that is sent.
    pub token_hash: Hash,
    /// Where the user goes afterwards.
    pub next_link: Option<String>,
}

/// The session of that id.
pub fn get(read: &Read<'_>, sid: &str) -> Result<Option<Session>, Error> {
    read.one(GET, params![sid], Session::from_row)
}

/// The session of that scope.
pub fn by_scope(read: &Read<'_>, scope: &Hash) -> Result<Option<Session>, Error> {
    read.one(BY_SCOPE, params![scope], Session::from_row)
}

/// Begins a session; `false` when another request has begun one of the same scope.
pub fn insert(tx: &Tx<'_>, new: &NewSession, now_ms: u64) -> Result<bool, Error> {
    let NewSession { sid, scope, secret_hash, medium, address, send_attempt, token_hash, next_link } = new;
    let rows = tx.execute(
        INSERT,
        params![sid, scope, secret_hash, *medium, address, *send_attempt, token_hash, next_link, now_ms],
    )?;
    Ok(rows > 0)
}

/// Takes a higher `send_attempt` with a new token; `false` when it is not higher.
pub fn resend(
    tx: &Tx<'_>,
    sid: &str,
    send_attempt: i64,
    token: &Hash,
    next_link: &Option<String>,
) -> Result<bool, Error> {
    Ok(tx.execute(RESEND, params![sid, send_attempt, token, next_link])? > 0)
}

/// The message for `send_attempt` could not be sent: it counts as not asked for, and `before` is the last one again.
pub fn unsent(tx: &Tx<'_>, sid: &str, send_attempt: i64, before: i64) -> Result<(), Error> {
    tx.execute(UNSENT, params![sid, send_attempt, before])?;
    Ok(())
}

/// Counts a wrong token.
pub fn count_wrong(tx: &Tx<'_>, sid: &str) -> Result<(), Error> {
    tx.execute(GUESS, params![sid])?;
    Ok(())
}

/// The address is proved.
pub fn validate(tx: &Tx<'_>, sid: &str, now_ms: u64) -> Result<(), Error> {
    tx.execute(VALIDATE, params![sid, now_ms])?;
    Ok(())
}

/// Ends a session.
pub fn delete(tx: &Tx<'_>, sid: &str) -> Result<(), Error> {
    tx.execute(DELETE, params![sid])?;
    Ok(())
}

/// Removes the sessions that have not changed since `before_ms`; how many.
pub fn delete_old(tx: &Tx<'_>, before_ms: u64) -> Result<u64, Error> {
    tx.execute(DELETE_OLD, params![before_ms])
}

/// Removes the sessions of an address.
pub fn delete_of(tx: &Tx<'_>, medium: &str, address: &str) -> Result<u64, Error> {
    tx.execute(DELETE_OF, params![medium, address])
}
