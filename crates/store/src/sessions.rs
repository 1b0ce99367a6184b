//! Sessions: access tokens and the refresh tokens that came with them, known by their SHA-256 alone.

use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{Change, Error, Read, Row, Tx, UserNo, params, statements};

statements! {
    BY_ACCESS = "SELECT s.access_hash, s.user_no, u.user_id, s.device_id, s.expires_at, s.replaces, a.admin, a.locked, a.suspended \
        FROM sessions s JOIN accounts a ON a.user_no = s.user_no JOIN users_no u ON u.user_no = s.user_no WHERE s.access_hash = $1";
    BY_REFRESH = "SELECT s.access_hash, s.user_no, u.user_id, s.device_id, s.expires_at, s.replaces, a.admin, a.locked, a.suspended \
        FROM sessions s JOIN accounts a ON a.user_no = s.user_no JOIN users_no u ON u.user_no = s.user_no WHERE s.refresh_hash = $1";
    INSERT = "INSERT INTO sessions (access_hash, refresh_hash, user_no, device_id, created_at, expires_at, replaces) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    CONFIRM = "UPDATE sessions SET replaces = NULL WHERE access_hash = $1";
    DELETE_REPLACED = "DELETE FROM sessions WHERE access_hash = $1 OR replaces = $1";
    SUCCESSORS = "SELECT access_hash FROM sessions WHERE replaces = $1 ORDER BY created_at DESC, access_hash";
    DELETE_ONE = "DELETE FROM sessions WHERE access_hash = $1";
    DELETE_ALL = "DELETE FROM sessions WHERE user_no = $1";
    DELETE_OTHERS = "DELETE FROM sessions WHERE user_no = $1 AND device_id <> $2";
    DELETE_OF_DEVICES = "DELETE FROM sessions WHERE user_no = $1 AND device_id IN texts($2)";
}

/// The SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// How many times a client may repeat a refresh whose answers it never used; older answers stop working.
const MAX_SUCCESSORS: usize = 3;

/// A session with what a request needs to know of its account.
#[derive(Clone, Debug)]
pub struct Session {
    /// What it is known by.
    pub access_hash: TokenHash,
    /// Whose it is.
    pub user: UserNo,
    /// The user's id.
    pub user_id: OwnedUserId,
    /// The device it belongs to.
    pub device_id: OwnedDeviceId,
    /// When its access token expires, in milliseconds since the epoch.
    pub expires_at: Option<u64>,
    /// The session that it will replace once it is used.
    pub replaces: Option<TokenHash>,
    /// Whether the user administers the server.
    pub admin: bool,
    /// Whether the account is locked.
    pub locked: bool,
    /// Whether the account is suspended.
    pub suspended: bool,
}

impl Session {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            access_hash: row.get(0)?,
            user: row.get(1)?,
            user_id: row.get(2)?,
            device_id: row.get(3)?,
            expires_at: row.get(4)?,
            replaces: row.get(5)?,
            admin: row.get(6)?,
            locked: row.get(7)?,
            suspended: row.get(8)?,
        })
    }
}

/// A session to be.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// The hash of its access token.
    pub access_hash: TokenHash,
    /// The hash of its refresh token, if it has one.
    pub refresh_hash: Option<TokenHash>,
    /// Whose it is.
    pub user: UserNo,
    /// The device it belongs to.
    pub device_id: &'a str,
    /// When its access token expires, in milliseconds since the epoch.
    pub expires_at: Option<u64>,
    /// The session that it replaces once it is used.
    pub replaces: Option<TokenHash>,
}

/// The session of an access token.
pub fn by_access(read: &Read<'_>, access_hash: &TokenHash) -> Result<Option<Session>, Error> {
    read.one(BY_ACCESS, params![access_hash], Session::from_row)
}

/// The session of a refresh token.
pub fn by_refresh(read: &Read<'_>, refresh_hash: &TokenHash) -> Result<Option<Session>, Error> {
    read.one(BY_REFRESH, params![refresh_hash], Session::from_row)
}

/// Makes a session. When it is to replace another, the oldest of that one's unused replacements go.
pub fn insert(tx: &Tx<'_>, new: &NewSession<'_>, now_ms: u64) -> Result<(), Error> {
    if let Some(replaced) = &new.replaces {
        let unused = tx.all(SUCCESSORS, params![replaced], |row| row.get::<TokenHash>(0))?;
        for old in unused.iter().skip(MAX_SUCCESSORS - 1) {
            tx.execute(DELETE_ONE, params![old])?;
        }
    }
    tx.execute(
        INSERT,
        params![
            &new.access_hash,
            new.refresh_hash.as_ref().map(TokenHash::as_slice),
            new.user,
            new.device_id,
            now_ms,
            new.expires_at,
            new.replaces.as_ref().map(TokenHash::as_slice),
        ],
    )?;
    Ok(())
}

/// The session has been used: the one it replaces goes, and so do that one's other replacements.
pub fn confirm(tx: &Tx<'_>, session: &Session) -> Result<(), Error> {
    let Some(replaced) = &session.replaces else { return Ok(()) };
    tx.execute(CONFIRM, params![&session.access_hash])?;
    if tx.execute(DELETE_REPLACED, params![replaced])? > 0 {
        let _ = tx.log(Change::Sessions { user: session.user });
    }
    Ok(())
}

pub(crate) fn delete_all(tx: &Tx<'_>, user: UserNo) -> Result<u64, Error> {
    tx.execute(DELETE_ALL, params![user])
}

pub(crate) fn delete_others(tx: &Tx<'_>, user: UserNo, kept_device: &str) -> Result<u64, Error> {
    tx.execute(DELETE_OTHERS, params![user, kept_device])
}

/// Deletes the sessions of devices; how many there were. The caller logs it.
pub(crate) fn delete_of_devices(tx: &Tx<'_>, user: UserNo, device_ids: &[&str]) -> Result<u64, Error> {
    tx.execute(DELETE_OF_DEVICES, params![user, device_ids])
}

/// Revokes the sessions of one device, which stays: it is about to get a new one.
pub fn revoke(tx: &Tx<'_>, user: UserNo, device_id: &str) -> Result<(), Error> {
    if delete_of_devices(tx, user, &[device_id])? > 0 {
        let _ = tx.log(Change::Sessions { user });
    }
    Ok(())
}
