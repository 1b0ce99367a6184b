//! Content hash and reference hash.

use sha2::{Digest, Sha256};

use super::{Key, Members, redaction};
use crate::{
    canonical_json::{self, JsonError},
    room_version::Rules,
};

/// The [content hash](https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event) of any JSON
/// object, which need not have the format of an event.
pub fn content_hash(json: &[u8], rules: &Rules) -> Result<[u8; 32], JsonError> {
    let json = canonical_json::canonicalize_object(json, rules.integers)?;
    let json = String::from_utf8(json).map_err(|_| JsonError::Utf8)?;
    Ok(content_hash_of(&json, &Members::of(&json)))
}

/// The [reference hash](https://spec.matrix.org/v1.19/server-server-api/#calculating-the-reference-hash-for-an-event) of any
/// JSON object, which need not have the format of an event.
pub fn reference_hash(json: &[u8], rules: &Rules) -> Result<[u8; 32], JsonError> {
    let json = canonical_json::canonicalize_object(json, rules.integers)?;
    let json = String::from_utf8(json).map_err(|_| JsonError::Utf8)?;
    let mut redacted = Vec::with_capacity(json.len());
    redaction::write_redacted(&json, &Members::of(&json), rules, false, &mut redacted);
    Ok(sha256(&redacted))
}

pub(super) fn content_hash_of(json: &str, members: &Members) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(json.len());
    members.write_without(json, &[Key::Hashes, Key::Signatures, Key::Unsigned], &mut bytes);
    sha256(&bytes)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
