//! What a server says of its keys.

use std::collections::BTreeMap;

use roost_matrix::{
    canonical_json::{self, JsonError},
    ids::{ServerName, is_signing_key_id},
    signing::{PublicKey, ServerKey, VerifyJsonError, verify_json},
};
use serde_json::{Map, Value};

/// The longest answer that is read, in bytes.
pub(crate) const MAX_ANSWER: u64 = 64 * 1024;

/// The most keys of one answer that are looked at.
const MAX_KEYS: usize = 256;

/// How long a key may be trusted without asking anew, whatever its server says: 7 days, in milliseconds.
const LONGEST_VALIDITY: u64 = 7 * 24 * 3600 * 1000;

/// Why an answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not JSON, or not of its form.
    #[error("the answer about its keys is not JSON of the right form: {0}")]
    Form(&'static str),
    /// It is not JSON that can be signed.
    #[error("the answer about its keys: {0}")]
    Json(#[from] JsonError),
    /// It is about another server.
    #[error("the answer is about the keys of {0:?}")]
    OtherServer(String),
    /// It is not signed as it must be.
    #[error("the answer about its keys: {0}")]
    Signature(#[from] VerifyJsonError),
}

/// What a server says of its keys, verified to be its own words.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The keys it signs with and those it once signed with.
    pub keys: BTreeMap<String, ServerKey>,
    /// Until when it stands by that, in milliseconds since the epoch.
    pub valid_until: u64,
    /// The JSON.
    pub json: String,
}

impl Answer {
    /// Reads the [answer](https://spec.matrix.org/v1.19/server-server-api/#publishing-keys) that a server gave, or somebody for
    /// it, at `fetched_ms`. It must name the server and be signed with one of its current keys; keys that can not be used are
    /// left out.
    pub fn read(json: &[u8], server: &ServerName, fetched_ms: u64) -> Result<Self, AnswerError> {
        if json.len() > usize::try_from(MAX_ANSWER).unwrap_or(usize::MAX) {
            return Err(AnswerError::Form("it is too long"));
        }
        canonical_json::check_depth(json)?;
        let text = std::str::from_utf8(json).map_err(|_| JsonError::Utf8)?;
        let members: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| AnswerError::Form("it is not an object"))?;
        match members.get("server_name").and_then(Value::as_str) {
            Some(name) if name == server.as_str() => {}
            Some(name) => return Err(AnswerError::OtherServer(name.chars().take(100).collect())),
            None => return Err(AnswerError::Form("it has no server_name")),
        }
        let valid_until = members
            .get("valid_until_ts")
            .and_then(Value::as_u64)
            .ok_or(AnswerError::Form("it has no valid_until_ts"))?;
        let trusted_until = valid_until.min(fetched_ms.saturating_add(LONGEST_VALIDITY));
        let current = keys(members.get("verify_keys"))
            .map(|(id, key, _)| (id, ServerKey { key, valid_until_ts: trusted_until, expired: false }));
        let current: BTreeMap<_, _> = current.collect();
        verify_json(json, server.as_str(), |id| current.get(id).map(|key| key.key))?;
        let mut all: BTreeMap<_, _> = keys(members.get("old_verify_keys"))
            .filter_map(|(id, key, member)| {
                let valid_until_ts = member.get("expired_ts")?.as_u64()?;
                Some((id, ServerKey { key, valid_until_ts, expired: true }))
            })
            .collect();
        all.extend(current);
        Ok(Self { keys: all, valid_until, json: text.to_owned() })
    }
}

/// The usable keys of `verify_keys` or `old_verify_keys`.
fn keys(members: Option<&Value>) -> impl Iterator<Item = (String, PublicKey, &Map<String, Value>)> {
    members.and_then(Value::as_object).into_iter().flatten().take(MAX_KEYS).filter_map(|(id, member)| {
        let member = member.as_object()?;
        let key = PublicKey::from_base64(member.get("key")?.as_str()?).ok()?;
        (is_signing_key_id(id) && id.len() <= 255).then(|| (id.clone(), key, member))
    })
}
