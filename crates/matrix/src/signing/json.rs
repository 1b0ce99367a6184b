//! [Signing JSON](https://spec.matrix.org/v1.19/appendices/#signing-json).

use std::collections::BTreeMap;

use super::{KeyPair, PublicKey};
use crate::{
    base64,
    canonical_json::{self, Integers, JsonError, scan, write_string},
};

/// Signatures by entity and key.
pub(super) type Signatures = BTreeMap<String, BTreeMap<String, String>>;

/// The most combinations of a signature and a key that [`signed_by_any`] tries.
const MAX_TRIES: usize = 256;

/// Why a JSON object does not count as signed by an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyJsonError {
    /// Not an object that has a canonical form.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// There is no ed25519 signature of the entity with a key that is known.
    #[error("no signature with a known key")]
    NoSignature,
    /// A signature with a known key is wrong.
    #[error("a signature is not valid")]
    Invalid,
}

/// Signs a JSON object as `entity`, beside the signatures it has. The result is canonical; `unsigned` stays and is not signed.
pub fn sign_json(json: &[u8], entity: &str, key: &KeyPair) -> Result<Vec<u8>, JsonError> {
    let canonical = object(json)?;
    let signature = base64::encode(&key.sign(&without(&canonical, &["signatures", "unsigned"])));
    let mut signatures = signatures_of(&canonical);
    signatures.entry(entity.to_owned()).or_default().insert(key.key_id().to_owned(), signature);
    Ok(with_signatures(&canonical, &signatures))
}

/// [Checks for a signature](https://spec.matrix.org/v1.19/appendices/#checking-for-a-signature) of `entity`. `key` finds the
/// public key of a signing key identifier, if it is known. Every signature whose key is known must be valid, and there must
/// be one.
pub fn verify_json(json: &[u8], entity: &str, key: impl Fn(&str) -> Option<PublicKey>) -> Result<(), VerifyJsonError> {
    let canonical = object(json)?;
    let signatures = signatures_of(&canonical);
    let signed = without(&canonical, &["signatures", "unsigned"]);
    let mut found = false;
    for (key_id, signature) in signatures.get(entity).into_iter().flatten() {
        if !key_id.starts_with("ed25519:") {
            continue;
        }
        let Some(key) = key(key_id) else { continue };
        let signature = base64::decode_exact(signature).map_err(|_| VerifyJsonError::Invalid)?;
        if !key.verify(&signed, &signature) {
            return Err(VerifyJsonError::Invalid);
        }
        found = true;
    }
    if found { Ok(()) } else { Err(VerifyJsonError::NoSignature) }
}

/// Whether any ed25519 signature of any entity on a JSON object is good with any of some keys, as third-party invites ask.
/// Tries a bounded number of combinations.
#[must_use]
pub fn signed_by_any(json: &[u8], keys: &[PublicKey]) -> bool {
    let Ok(canonical) = object(json) else { return false };
    let signed = without(&canonical, &["signatures", "unsigned"]);
    let signatures = signatures_of(&canonical);
    signatures
        .values()
        .flatten()
        .filter(|(key_id, _)| key_id.starts_with("ed25519:"))
        .filter_map(|(_, signature)| base64::decode_exact(signature).ok())
        .flat_map(|signature| keys.iter().map(move |key| (key, signature)))
        .take(MAX_TRIES)
        .any(|(key, signature)| key.verify(&signed, &signature))
}

/// The signatures of a JSON object: entity to signing key identifier to signature in Base64. What is not of that form is
/// left out.
#[must_use]
pub fn signatures_of(json: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    scan::member(json, "signatures").map(signatures_in).unwrap_or_default()
}

/// The signatures of the value of a `signatures` member.
pub(super) fn signatures_in(value: &str) -> Signatures {
    scan::members(value)
        .filter(|entity| entity.value.starts_with('{'))
        .filter_map(|entity| {
            let signatures = scan::members(entity.value)
                .filter_map(|signature| Some((text(signature.key)?, scan::string(signature.value)?.into_owned())))
                .collect();
            Some((text(entity.key)?, signatures))
        })
        .collect()
}

/// The text that an escaped key stands for.
fn text(key: &str) -> Option<String> {
    if key.contains('\\') { serde_json::from_str(&format!("\"{key}\"")).ok() } else { Some(key.to_owned()) }
}

fn object(json: &[u8]) -> Result<String, JsonError> {
    let canonical = canonical_json::canonicalize_object(json, Integers::Lenient)?;
    String::from_utf8(canonical).map_err(|_| JsonError::Utf8)
}

/// A canonical object without some members.
fn without(json: &str, keys: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    out.push(b'{');
    for member in scan::members(json).filter(|member| !keys.contains(&member.key)) {
        write_member(json.get(member.start..member.end).unwrap_or_default(), &mut out);
    }
    out.push(b'}');
    out
}

/// A canonical object with its `signatures` replaced.
pub(super) fn with_signatures(json: &str, signatures: &Signatures) -> Vec<u8> {
    let mut member = b"\"signatures\":".to_vec();
    write_signatures(signatures, &mut member);
    let member = String::from_utf8(member).unwrap_or_default();
    let mut out = Vec::with_capacity(json.len() + member.len());
    out.push(b'{');
    let mut written = false;
    for other in scan::members(json).filter(|other| other.key != "signatures") {
        // Escaped keys sort by what they stand for, which is below "signatures" for `"` and control characters and above it
        // for nothing; `\\` (0x5C) is below "s" as well.
        if !written && other.key > "signatures" {
            write_member(&member, &mut out);
            written = true;
        }
        write_member(json.get(other.start..other.end).unwrap_or_default(), &mut out);
    }
    if !written {
        write_member(&member, &mut out);
    }
    out.push(b'}');
    out
}

fn write_member(member: &str, out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(member.as_bytes());
}

fn write_signatures(signatures: &Signatures, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (entity, keys)) in signatures.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(entity, out);
        out.extend_from_slice(b":{");
        for (index, (key, signature)) in keys.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(key, out);
            out.push(b':');
            write_string(signature, out);
        }
        out.push(b'}');
    }
    out.push(b'}');
}
