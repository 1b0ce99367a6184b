//! The signing keys of other servers.

use crate::{Error, Read, Tx, params, statements};

statements! {
    KEYS = "SELECT key_id, public_key, valid_until, expired, fetched_ms FROM remote_keys WHERE server = $1 ORDER BY key_id";
    PUT = "INSERT INTO remote_keys (server, key_id, public_key, valid_until, expired, fetched_ms) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (server, key_id) DO UPDATE SET public_key = excluded.public_key, \
        valid_until = excluded.valid_until, expired = excluded.expired, fetched_ms = excluded.fetched_ms";
    TRIM = "DELETE FROM remote_keys WHERE server = $1 AND key_id NOT IN (SELECT key_id FROM remote_keys WHERE server = $1 \
        ORDER BY fetched_ms DESC, key_id LIMIT $2)";
    ANSWER = "SELECT answer, valid_until, fetched_ms FROM remote_key_answers WHERE server = $1";
    PUT_ANSWER = "INSERT INTO remote_key_answers (server, answer, valid_until, fetched_ms) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (server) DO UPDATE SET answer = excluded.answer, valid_until = excluded.valid_until, \
        fetched_ms = excluded.fetched_ms";
}

/// How many keys of one server are kept; those not heard of for longest go first.
pub const MAX_KEYS: u64 = 512;

/// A public key of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteKey {
    /// Its id, such as `ed25519:abc`.
    pub key_id: String,
    /// The key.
    pub public_key: [u8; 32],
    /// Until when it signs, in milliseconds since the epoch; for an expired key, until when it did.
    pub valid_until: u64,
    /// Whether the server says that it signs with it no longer.
    pub expired: bool,
    /// When it was heard of last.
    pub fetched_ms: u64,
}

/// What a server said of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The JSON, as the server signed it.
    pub answer: String,
    /// Its `valid_until_ts`.
    pub valid_until: u64,
    /// When it came.
    pub fetched_ms: u64,
}

/// The keys of a server, by their ids.
pub fn of(read: &Read<'_>, server: &str) -> Result<Vec<RemoteKey>, Error> {
    read.all(KEYS, params![server], |row| {
        Ok(RemoteKey {
            key_id: row.get(0)?,
            public_key: row.get(1)?,
            valid_until: row.get(2)?,
            expired: row.get(3)?,
            fetched_ms: row.get(4)?,
        })
    })
}

/// Writes keys of a server, over those of the same ids. At most [`MAX_KEYS`] stay.
pub fn put(tx: &Tx<'_>, server: &str, keys: &[RemoteKey]) -> Result<(), Error> {
    for key in keys {
        tx.execute(PUT, params![server, &key.key_id, &key.public_key, key.valid_until, key.expired, key.fetched_ms])?;
    }
    tx.execute(TRIM, params![server, MAX_KEYS])?;
    Ok(())
}

/// What a server said last.
pub fn answer(read: &Read<'_>, server: &str) -> Result<Option<Answer>, Error> {
    read.one(ANSWER, params![server], |row| {
        Ok(Answer { answer: row.get(0)?, valid_until: row.get(1)?, fetched_ms: row.get(2)? })
    })
}

/// Keeps what a server said.
pub fn put_answer(tx: &Tx<'_>, server: &str, answer: &Answer) -> Result<(), Error> {
    tx.execute(PUT_ANSWER, params![server, &answer.answer, answer.valid_until, answer.fetched_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn key(number: u64) -> RemoteKey {
        RemoteKey {
            key_id: format!("ed25519:{number:04}"),
            public_key: [7; 32],
            valid_until: number,
            expired: number == 0,
            fetched_ms: number,
        }
    }

    #[tokio::test]
    async fn keys_and_answers_of_servers_are_kept_and_replaced() {
        let store = testing::store().await;
        store
            .write(|tx| {
                put(tx, "a.example", &[key(0), key(1)])?;
                put(tx, "a.example", &[RemoteKey { public_key: [8; 32], ..key(1) }])?;
                put(tx, "b.example", &[key(2)])?;
                for time in [5, 6] {
                    let answer = Answer { answer: format!("{{\"n\":{time}}}"), valid_until: time, fetched_ms: time };
                    put_answer(tx, "a.example", &answer)?;
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let (keys, said, nothing) = store
            .read(|read| {
                Ok::<_, Error>((of(read, "a.example")?, answer(read, "a.example")?, answer(read, "b.example")?))
            })
            .await
            .unwrap();
        assert_eq!(keys, [key(0), RemoteKey { public_key: [8; 32], ..key(1) }]);
        assert_eq!(said, Some(Answer { answer: "{\"n\":6}".to_owned(), valid_until: 6, fetched_ms: 6 }));
        assert_eq!(nothing, None);
    }

    #[tokio::test]
    async fn a_server_with_ever_new_keys_loses_its_oldest() {
        let store = testing::store().await;
        let all: Vec<_> = (1..=MAX_KEYS + 10).map(key).collect();
        store.write(move |tx| put(tx, "a.example", &all)).await.unwrap();
        let kept = store.read(|read| of(read, "a.example")).await.unwrap();
        assert_eq!((kept.len(), kept.first().map(|key| key.fetched_ms)), (512, Some(11)));
    }
}
