//! [Signatures of events](https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events).

use super::{
    KeyPair, PublicKey,
    json::{Signatures, signatures_in, with_signatures},
};
use crate::{
    base64,
    canonical_json::scan,
    event::{FormatError, Key, Pdu},
    ids::{OwnedServerName, OwnedUserId, ServerName},
    room_version::EventIds,
};

/// How long a key may be trusted beyond the present, whatever its server says: 7 days, in milliseconds.
const LONGEST_VALIDITY: u64 = 7 * 24 * 60 * 60 * 1000;

/// A public key of a server, and until when it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerKey {
    /// The key.
    pub key: PublicKey,
    /// `valid_until_ts` of the answer that held the key, or `expired_ts` of an old key, in milliseconds since 1970.
    pub valid_until_ts: u64,
    /// Whether the key is among the server's old ones, so that `valid_until_ts` is its end and not only the end of what is
    /// known about it.
    pub expired: bool,
}

/// The keys of servers that the caller knows.
pub trait KeyRing {
    /// The key of a server by its identifier, such as `ed25519:abc`.
    fn key(&self, server: &ServerName, key_id: &str) -> Option<ServerKey>;
}

/// Why an event does not count as signed; it is to be dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyEventError {
    /// A server that must have signed has not, or only with keys that are unknown or were not valid.
    #[error("no signature of {0} with a known and valid key")]
    NoSignature(OwnedServerName),
    /// A signature with a known and valid key is wrong.
    #[error("a signature of {0} is not valid")]
    Invalid(OwnedServerName),
}

/// What was found out about an event whose signatures are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Verified {
    /// Whether the content hash matches. If not, the event must be replaced by [`Pdu::redacted`] before it is used.
    pub content_hash_matches: bool,
    /// For a membership event with `join_authorised_via_users_server` in rooms that know restricted joins: whether that
    /// user's server has signed. If not, the authorization rules reject the event.
    pub join_authorised: Option<bool>,
}

/// The servers whose signatures an event needs, and each one's signing key identifiers on the event, so that the keys can be
/// fetched before [`verify_event`].
#[must_use]
pub fn required_signatures(pdu: &Pdu) -> Vec<(OwnedServerName, Vec<String>)> {
    let signatures = signatures(pdu);
    required_servers(pdu)
        .into_iter()
        .chain(join_authoriser(pdu))
        .map(|server| {
            let keys = signatures.get(server.as_str()).into_iter().flat_map(|keys| keys.keys().cloned()).collect();
            (server, keys)
        })
        .collect()
}

/// Checks signatures and content hash of an event from another server. `now_ms`: the time, in milliseconds since 1970.
///
/// For each server that must have signed, the signatures with unknown keys, and with keys that were not valid at the event's
/// `origin_server_ts`, are skipped; of the others there must be one, and all must be good.
pub fn verify_event(pdu: &Pdu, keys: &dyn KeyRing, now_ms: u64) -> Result<Verified, VerifyEventError> {
    let signatures = signatures(pdu);
    let signed = pdu.signed_bytes();
    for server in required_servers(pdu) {
        verify_server(pdu, &signed, &signatures, server, keys, now_ms)?;
    }
    let join_authorised = match join_authoriser(pdu) {
        Some(server) => Some(verify_server(pdu, &signed, &signatures, server, keys, now_ms).is_ok()),
        // A value that is no user ID has no server that could have signed.
        None => claims_join_authoriser(pdu).then_some(false),
    };
    Ok(Verified { content_hash_matches: pdu.content_hash_matches(), join_authorised })
}

/// Whether a room's [policy server](https://spec.matrix.org/v1.19/server-server-api/#validating-policy-server-signatures) has
/// signed the event. `server` and `key` are `via` and `public_keys.ed25519` of the room's `m.room.policy`; the key's identifier is
/// always `ed25519:policy_server`. The `m.room.policy` event itself needs no such signature; the caller asks for none.
#[must_use]
pub fn signed_by_policy_server(pdu: &Pdu, server: &ServerName, key: PublicKey) -> bool {
    signatures(pdu)
        .get(server.as_str())
        .and_then(|keys| keys.get("ed25519:policy_server"))
        .and_then(|signature| base64::decode_exact(signature).ok())
        .is_some_and(|signature| key.verify(&pdu.signed_bytes(), &signature))
}

/// Adds a signature to an event, as a server does to an invite to one of its users or a join that it vouches for.
pub fn countersign(pdu: &Pdu, server: &ServerName, key: &KeyPair) -> Result<Pdu, FormatError> {
    let mut signatures = signatures(pdu);
    let signature = base64::encode(&key.sign(&pdu.signed_bytes()));
    signatures.entry(server.to_string()).or_default().insert(key.key_id().to_owned(), signature);
    Pdu::parse(&with_signatures(pdu.as_str(), &signatures), pdu.rules())
}

fn signatures(pdu: &Pdu) -> Signatures {
    pdu.value(Key::Signatures).map(signatures_in).unwrap_or_default()
}

fn required_servers(pdu: &Pdu) -> Vec<OwnedServerName> {
    let mut servers = Vec::with_capacity(2);
    if !is_third_party_invite(pdu) {
        servers.push(pdu.sender().server_name().to_owned());
    }
    if pdu.rules().event_ids == EventIds::Chosen
        && let Some(server) = pdu.event_id().server_name()
        && !servers.iter().any(|required| required == server)
    {
        servers.push(server.to_owned());
    }
    servers
}

fn is_third_party_invite(pdu: &Pdu) -> bool {
    pdu.kind() == "m.room.member"
        && pdu.content_member("membership") == Some("\"invite\"")
        && pdu.content_member("third_party_invite").is_some()
}

fn claims_join_authoriser(pdu: &Pdu) -> bool {
    pdu.rules().auth.restricted
        && pdu.kind() == "m.room.member"
        && pdu.content_member("join_authorised_via_users_server").is_some()
}

fn join_authoriser(pdu: &Pdu) -> Option<OwnedServerName> {
    if !claims_join_authoriser(pdu) {
        return None;
    }
    let user = scan::string(pdu.content_member("join_authorised_via_users_server")?)?;
    Some(OwnedUserId::try_from(user.as_ref()).ok()?.server_name().to_owned())
}

fn verify_server(
    pdu: &Pdu,
    signed: &[u8],
    signatures: &Signatures,
    server: OwnedServerName,
    keys: &dyn KeyRing,
    now_ms: u64,
) -> Result<(), VerifyEventError> {
    let mut found = false;
    for (key_id, signature) in signatures.get(server.as_str()).into_iter().flatten() {
        if !key_id.starts_with("ed25519:") {
            continue;
        }
        let Some(key) = keys.key(&server, key_id).filter(|key| is_valid_for(key, pdu, now_ms)) else { continue };
        match base64::decode_exact(signature) {
            Ok(signature) if key.key.verify(signed, &signature) => found = true,
            _ => return Err(VerifyEventError::Invalid(server)),
        }
    }
    if found { Ok(()) } else { Err(VerifyEventError::NoSignature(server)) }
}

/// Whether a key counts for an event. Keys that are known to have ended never count for later events; that a key is not
/// known to be still valid matters from room version 5 on.
fn is_valid_for(key: &ServerKey, pdu: &Pdu, now_ms: u64) -> bool {
    if key.expired {
        return pdu.origin_server_ts() <= key.valid_until_ts;
    }
    !pdu.rules().enforces_key_validity
        || pdu.origin_server_ts() <= key.valid_until_ts.min(now_ms.saturating_add(LONGEST_VALIDITY))
}
