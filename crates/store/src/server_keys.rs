//! The keys that this server signs with. The newest one that is not retired signs; older ones stay, so that what they
//! signed can be verified.

use crate::{Error, Read, Tx, params, statements};

statements! {
    CURRENT = "SELECT key_id, secret FROM server_keys WHERE retired_ms IS NULL AND sealed_by IS NULL \
               ORDER BY created_ms DESC, key_id LIMIT 1";
    RETIRED = "SELECT key_id, secret, retired_ms FROM server_keys WHERE retired_ms IS NOT NULL AND sealed_by IS NULL \
               ORDER BY key_id";
    LOCK = "UPDATE log_head SET position = position";
    INSERT = "INSERT INTO server_keys (key_id, secret, created_ms) VALUES ($1, $2, $3)";
}

/// A key that this server signs with.
#[derive(Clone)]
pub struct ServerKey {
    /// Its id, such as `ed25519:abc`.
    pub key_id: String,
    /// The seed of the key pair.
    pub seed: [u8; 32],
}

/// The key to sign with; `None` before the first start.
pub fn current(read: &Read<'_>) -> Result<Option<ServerKey>, Error> {
    read.one(CURRENT, &[], |row| Ok(ServerKey { key_id: row.get(0)?, seed: row.get(1)? }))
}

/// The keys that sign no longer, and when each of them ended, in milliseconds since the epoch.
pub fn retired(read: &Read<'_>) -> Result<Vec<(ServerKey, u64)>, Error> {
    read.all(RETIRED, &[], |row| Ok((ServerKey { key_id: row.get(0)?, seed: row.get(1)? }, row.get(2)?)))
}

/// Makes `key` the server's first one, unless it has one: several nodes may start at once. Returns the one to sign with.
pub fn first(tx: &Tx<'_>, key: &ServerKey, now_ms: u64) -> Result<ServerKey, Error> {
    if let Some(key) = current(tx)? {
        return Ok(key);
    }
    // Looked up again under a lock that all nodes take: two that start at once must not sign with two keys.
    tx.execute(LOCK, params![])?;
    if let Some(key) = current(tx)? {
        return Ok(key);
    }
    tx.execute(INSERT, params![&key.key_id, &key.seed[..], now_ms])?;
    Ok(key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn the_first_key_stays() {
        let store = testing::store().await;
        let make = |number: u8| ServerKey { key_id: format!("ed25519:{number}"), seed: [number; 32] };
        for number in [1, 2] {
            let key = make(number);
            let kept = store.write(move |tx| first(tx, &key, 1000 + u64::from(number))).await.unwrap();
            assert_eq!((kept.key_id.as_str(), kept.seed), ("ed25519:1", [1; 32]));
        }
    }
}
