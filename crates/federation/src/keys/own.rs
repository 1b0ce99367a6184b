//! This server's own keys.

use std::collections::BTreeMap;

use roost_matrix::{
    base64,
    canonical_json::JsonError,
    signing::{KeyPair, PublicKey, ServerKey, sign_json},
};
use roost_store::{Store, server_keys};
use roost_world::World;
use serde_json::{Map, Value, json};

use super::ServerKeys;
use crate::{Error, Identity};

/// How long others may rely on an answer, in milliseconds: a day. The specification wants at least an hour.
const VALIDITY: u64 = 24 * 3600 * 1000;

#[derive(Debug)]
pub(super) struct Own {
    identity: Identity,
    /// Public keys that sign no longer, and when each ended.
    retired: BTreeMap<String, ([u8; 32], u64)>,
    world: World,
}

impl Own {
    pub(super) async fn open(store: &Store, identity: Identity, world: World) -> Result<Self, Error> {
        let retired = store
            .read(server_keys::retired)
            .await?
            .into_iter()
            .map(|(key, ended)| {
                // The version is only for signing, which this key does no longer.
                let public = KeyPair::from_seed(key.seed, "retired").public_key();
                (key.key_id, (public, ended))
            })
            .collect();
        Ok(Self { identity, retired, world })
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The signed answer to whoever asks.
    pub(super) fn answer(&self) -> Result<String, JsonError> {
        let Identity { server_name, key } = &self.identity;
        let old: Map<String, Value> = self
            .retired
            .iter()
            .map(|(id, (public, ended))| (id.clone(), json!({ "key": base64::encode(public), "expired_ts": ended })))
            .collect();
        let answer = json!({
            "server_name": server_name,
            "verify_keys": { key.key_id(): { "key": base64::encode(&key.public_key()) } },
            "old_verify_keys": old,
            "valid_until_ts": self.world.now_ms().saturating_add(VALIDITY),
        });
        let signed = sign_json(answer.to_string().as_bytes(), server_name.as_str(), key)?;
        String::from_utf8(signed).map_err(|_| JsonError::Utf8)
    }

    /// The same as others would know them.
    pub(super) fn keys(&self) -> ServerKeys {
        let now = self.world.now_ms();
        let key = |public: &[u8; 32], valid_until_ts, expired| {
            PublicKey::from_bytes(public).ok().map(|key| ServerKey { key, valid_until_ts, expired })
        };
        let retired =
            self.retired.iter().filter_map(|(id, (public, ended))| Some((id.clone(), key(public, *ended, true)?)));
        let mut keys: BTreeMap<_, _> = retired.collect();
        let own = &self.identity.key;
        if let Some(current) = key(&own.public_key(), now.saturating_add(VALIDITY), false) {
            keys.insert(own.key_id().to_owned(), current);
        }
        ServerKeys { keys, fetched_ms: now }
    }
}
