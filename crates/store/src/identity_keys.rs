//! The keys that the identity server signs with. The newest one that is not retired signs; older ones stay, so that what
//! they signed can be verified.

use crate::{Error, Read, Row, Tx, params, statements};

statements! {
    CURRENT = "SELECT key_id, secret, public_key, created_at, retired_at FROM identity_keys WHERE retired_at IS NULL \
        ORDER BY created_at DESC, key_id LIMIT 1";
    LIST = "SELECT key_id, secret, public_key, created_at, retired_at FROM identity_keys ORDER BY created_at, key_id";
    LOCK = "UPDATE log_head SET position = position";
    INSERT = "INSERT INTO identity_keys (key_id, secret, public_key, created_at) VALUES ($1, $2, $3, $4)";
    RETIRE = "UPDATE identity_keys SET retired_at = $2 WHERE retired_at IS NULL AND key_id <> $1";
}

/// A key that the identity server signs with, or once did.
#[derive(Clone)]
pub struct IdentityKey {
    /// Its id, such as `ed25519:abc`.
    pub key_id: String,
    /// The seed of the key pair.
    pub seed: [u8; 32],
    /// The public half in Base64, as it is handed out.
    pub public_key: String,
    /// When it was made.
    pub created_at: u64,
    /// When it stopped signing.
    pub retired_at: Option<u64>,
}

impl IdentityKey {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            key_id: row.get(0)?,
            seed: row.get(1)?,
            public_key: row.get(2)?,
            created_at: row.get(3)?,
            retired_at: row.get(4)?,
        })
    }
}

/// Every key, oldest first.
pub fn list(read: &Read<'_>) -> Result<Vec<IdentityKey>, Error> {
    read.all(LIST, params![], IdentityKey::from_row)
}

/// Makes `key` the first one, unless there is one: several nodes may start at once. Returns the one to sign with.
pub fn first(tx: &Tx<'_>, key: &IdentityKey) -> Result<IdentityKey, Error> {
    let current = || tx.one(CURRENT, params![], IdentityKey::from_row);
    if let Some(key) = current()? {
        return Ok(key);
    }
    // Looked up again under a lock that all nodes take: two that start at once must not sign with two keys.
    tx.execute(LOCK, params![])?;
    if let Some(key) = current()? {
        return Ok(key);
    }
    insert(tx, key)?;
    Ok(key.clone())
}

/// Makes `key` the one that signs; the others are retired.
pub fn rotate(tx: &Tx<'_>, key: &IdentityKey) -> Result<(), Error> {
    insert(tx, key)?;
    tx.execute(RETIRE, params![&key.key_id, key.created_at])?;
    Ok(())
}

fn insert(tx: &Tx<'_>, key: &IdentityKey) -> Result<(), Error> {
    tx.execute(INSERT, params![&key.key_id, &key.seed, &key.public_key, key.created_at])?;
    Ok(())
}
