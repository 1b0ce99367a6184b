//! [Signing](https://spec.matrix.org/v1.19/appendices/#signing-json) JSON and
//! [events](https://spec.matrix.org/v1.19/server-server-api/#signing-events) with ed25519.
//!
//! Signatures are verified one by one and strictly. Batch verification accepts some signatures that single verification
//! rejects, and servers that disagree about a signature split the room.

mod event;
mod json;

#[cfg(test)]
mod tests;

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

pub use self::{
    event::{
        KeyRing, ServerKey, Verified, VerifyEventError, countersign, required_signatures, signed_by_policy_server,
        verify_event,
    },
    json::{VerifyJsonError, sign_json, signatures_of, signed_by_any, verify_json},
};
use crate::{base64, ids};

/// A server's signing key.
pub struct KeyPair {
    key: SigningKey,
    key_id: String,
}

impl KeyPair {
    /// The key pair of a 32-byte seed. `version` is the part of the key's identifier after `ed25519:`, one or more of
    /// `A-Z`, `a-z`, `0-9` and `_`; whether it is, [`ids::is_key_version`] says.
    #[must_use]
    pub fn from_seed(seed: [u8; 32], version: &str) -> Self {
        debug_assert!(ids::is_key_version(version), "{version:?} is no key version");
        Self { key: SigningKey::from_bytes(&seed), key_id: format!("ed25519:{version}") }
    }

    /// The key's identifier, such as `ed25519:abc`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyPair").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The bytes are not an ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ed25519 public key")]
pub struct PublicKeyError;

/// An ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the 32 bytes of a key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| PublicKeyError)
    }

    /// Reads a key in Base64.
    pub fn from_base64(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_bytes(&base64::decode_exact(text).map_err(|_| PublicKeyError)?)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Whether `signature` is the key's signature of `bytes`, by the strict rules: no weak keys, no non-canonical points.
    #[must_use]
    pub fn verify(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok()
    }
}
