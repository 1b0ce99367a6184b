use std::collections::HashMap;

use curve25519_dalek::{Scalar, constants::EIGHT_TORSION, edwards::EdwardsPoint, scalar::clamp_integer};
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::*;
use crate::{
    event::{FormatError, Pdu, content_hash, redact},
    ids::{OwnedServerName, ServerName},
    room_version::RoomVersion,
};

/// The key of the specification's test vectors.
fn vector_key() -> KeyPair {
    KeyPair::from_seed(base64::decode_exact("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").unwrap(), "1")
}

fn signature(signed: &[u8]) -> String {
    let value: Value = serde_json::from_slice(signed).unwrap();
    value["signatures"]["domain"]["ed25519:1"].as_str().unwrap().to_owned()
}

#[test]
fn the_vectors_of_the_specification_hold_for_json() {
    for (json, expected) in [
        ("{}", "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            r#"{"one": 1, "two": "Two"}"#,
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let signed = sign_json(json.as_bytes(), "domain", &vector_key()).unwrap();
        assert_eq!(signature(&signed), expected);
        let key = PublicKey::from_bytes(&vector_key().public_key()).unwrap();
        assert_eq!(verify_json(&signed, "domain", |id| (id == "ed25519:1").then_some(key)), Ok(()));
    }
}

#[test]
fn the_vectors_of_the_specification_hold_for_events() {
    let rules = RoomVersion::V1.rules();
    for (event, hash, expected) in [
        (
            r#"{"room_id":"!x:domain","sender":"@a:domain","origin":"domain","origin_server_ts":1000000,"signatures":{},"hashes":{},
                "type":"X","content":{},"prev_events":[],"auth_events":[],"depth":3,"unsigned":{"age_ts":1000000}}"#,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            r#"{"content":{"body":"Here is the message content"},"event_id":"$0:domain","origin":"domain","origin_server_ts":1000000,
                "type":"m.room.message","room_id":"!r:domain","sender":"@u:domain","signatures":{},"unsigned":{"age_ts":1000000}}"#,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ] {
        let computed = base64::encode(&content_hash(event.as_bytes(), rules).unwrap());
        assert_eq!(computed, hash);
        let mut hashed: Value = serde_json::from_str(event).unwrap();
        hashed["hashes"] = json!({ "sha256": hash });
        let redacted = redact(hashed.to_string().as_bytes(), rules).unwrap();
        assert_eq!(signature(&sign_json(&redacted, "domain", &vector_key()).unwrap()), expected);
    }
}

#[test]
fn signing_keeps_other_signatures_and_what_is_unsigned() {
    let other = KeyPair::from_seed([2; 32], "b_2");
    let json = r#"{"unsigned":{"x":1},"a":2,"zz":3}"#;
    let once = sign_json(json.as_bytes(), "one", &vector_key()).unwrap();
    let twice = sign_json(&once, "two", &other).unwrap();
    let thrice = sign_json(&twice, "one", &other).unwrap();
    let value: Value = serde_json::from_slice(&thrice).unwrap();
    assert_eq!(value["unsigned"], json!({"x": 1}));
    assert_eq!(value["signatures"]["one"].as_object().unwrap().len(), 2);
    let canonical = crate::canonical_json::canonicalize(&thrice, crate::canonical_json::Integers::Strict).unwrap();
    assert_eq!(canonical, thrice);
    let keys = |id: &str| {
        let pair = if id == "ed25519:1" { vector_key() } else { KeyPair::from_seed([2; 32], "b_2") };
        Some(PublicKey::from_bytes(&pair.public_key()).unwrap())
    };
    assert_eq!(verify_json(&thrice, "one", keys), Ok(()));
    assert_eq!(verify_json(&thrice, "two", keys), Ok(()));
    assert_eq!(verify_json(&thrice, "three", keys), Err(VerifyJsonError::NoSignature));
    // Nobody known.
    assert_eq!(verify_json(&thrice, "one", |_| None), Err(VerifyJsonError::NoSignature));
    // Another key under the same name.
    assert_eq!(verify_json(&thrice, "two", |_| keys("ed25519:1")), Err(VerifyJsonError::Invalid));
    // One changed byte.
    let changed = String::from_utf8(thrice).unwrap().replace("\"a\":2", "\"a\":3");
    assert_eq!(verify_json(changed.as_bytes(), "one", keys), Err(VerifyJsonError::Invalid));
}

#[test]
fn signatures_that_are_none_do_not_count() {
    let key = PublicKey::from_bytes(&vector_key().public_key()).unwrap();
    for (signatures, expected) in [
        (json!({}), VerifyJsonError::NoSignature),
        (json!([]), VerifyJsonError::NoSignature),
        (json!({"domain": {}}), VerifyJsonError::NoSignature),
        (json!({"domain": {"rsa:1": "x"}}), VerifyJsonError::NoSignature),
        (json!({"domain": {"ed25519:1": 1}}), VerifyJsonError::NoSignature),
        (json!({"domain": {"ed25519:1": "x!"}}), VerifyJsonError::Invalid),
        (json!({"domain": {"ed25519:1": "Zm9v"}}), VerifyJsonError::Invalid),
    ] {
        let json = json!({"a": 1, "signatures": signatures}).to_string();
        assert_eq!(verify_json(json.as_bytes(), "domain", |_| Some(key)), Err(expected), "{json}");
    }
    assert!(matches!(verify_json(b"[]", "domain", |_| Some(key)), Err(VerifyJsonError::Json(_))));
}

#[test]
fn any_of_some_keys_is_enough_for_a_third_party_invite() {
    let key = |seed: u8| PublicKey::from_bytes(&KeyPair::from_seed([seed; 32], "0").public_key()).unwrap();
    let signed = sign_json(br#"{"mxid":"@a:b","token":"t"}"#, "id.example", &KeyPair::from_seed([3; 32], "0")).unwrap();
    assert!(signed_by_any(&signed, &[key(1), key(2), key(3)]));
    assert!(!signed_by_any(&signed, &[key(1), key(2)]));
    assert!(!signed_by_any(&signed, &[]));
    assert!(!signed_by_any(b"{}", &[key(3)]));
}

/// A signature whose R has a part of order two beside the right one.
fn torsion_signature(seed: [u8; 32], message: &[u8]) -> [u8; 64] {
    let hash = Sha512::digest(seed);
    let secret = Scalar::from_bytes_mod_order(clamp_integer(hash[..32].try_into().unwrap()));
    let public = KeyPair::from_seed(seed, "0").public_key();
    let nonce = Scalar::from_bytes_mod_order([9; 32]);
    let order_two = EIGHT_TORSION[4];
    let point = (EdwardsPoint::mul_base(&nonce) + order_two).compress().to_bytes();
    let challenge = Sha512::new().chain_update(point).chain_update(public).chain_update(message).finalize();
    let challenge = Scalar::from_bytes_mod_order_wide(&challenge.into());
    let response = nonce + challenge * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&point);
    signature[32..].copy_from_slice(response.as_bytes());
    signature
}

#[test]
fn a_signature_that_a_batch_accepts_by_chance_is_refused() {
    let seed = [5; 32];
    let key = PublicKey::from_bytes(&KeyPair::from_seed(seed, "0").public_key()).unwrap();
    let mut accepted_in_a_batch = 0;
    for number in 0..64_u32 {
        let message = number.to_be_bytes();
        let signature = torsion_signature(seed, &message);
        assert!(!key.verify(&message, &signature));
        let batch = ed25519_dalek::verify_batch(&[&message], &[Signature::from_bytes(&signature)], &[key.0]);
        accepted_in_a_batch += u32::from(batch.is_ok());
    }
    // The reason to verify one by one: about every second of them would have passed.
    assert!(accepted_in_a_batch > 8, "{accepted_in_a_batch}");
}

#[test]
fn weak_keys_and_malleable_signatures_are_refused() {
    // The point of order one as a key: with R the same and s zero, a lax check accepts any message.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut forged = [0; 64];
    forged[0] = 1;
    if let Ok(key) = PublicKey::from_bytes(&identity) {
        assert!(!key.verify(b"anything", &forged));
    }
    // s plus the group's order is the same response, written differently.
    let pair = KeyPair::from_seed([6; 32], "0");
    let key = PublicKey::from_bytes(&pair.public_key()).unwrap();
    let mut signature = pair.sign(b"message");
    assert!(key.verify(b"message", &signature));
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10_u8,
    ];
    let mut carry = 0;
    for (byte, addend) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(addend) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!key.verify(b"message", &signature));
}

#[test]
fn public_keys_are_read_from_base64() {
    let pair = vector_key();
    let text = base64::encode(&pair.public_key());
    assert_eq!(PublicKey::from_base64(&text).unwrap().to_bytes(), pair.public_key());
    assert_eq!(PublicKey::from_base64("AAAA"), Err(PublicKeyError));
    // No point of the curve has this y.
    assert_eq!(PublicKey::from_bytes(&[2; 32]).is_ok(), VerifyingKey::from_bytes(&[2; 32]).is_ok());
    assert!(!format!("{pair:?}").contains(&text));
}

#[derive(Default)]
struct Keys(HashMap<(OwnedServerName, String), ServerKey>);

impl Keys {
    fn add(&mut self, server: &str, pair: &KeyPair, valid_until_ts: u64, expired: bool) {
        let key = PublicKey::from_bytes(&pair.public_key()).unwrap();
        let name = (OwnedServerName::try_from(server).unwrap(), pair.key_id().to_owned());
        self.0.insert(name, ServerKey { key, valid_until_ts, expired });
    }
}

impl KeyRing for Keys {
    fn key(&self, server: &ServerName, key_id: &str) -> Option<ServerKey> {
        self.0.get(&(server.to_owned(), key_id.to_owned())).copied()
    }
}

const NOW: u64 = 1_700_000_000_000;

fn pair(number: u8) -> KeyPair {
    KeyPair::from_seed([number; 32], &number.to_string())
}

fn server(name: &str) -> OwnedServerName {
    name.try_into().unwrap()
}

/// An event of the version with the right hash and no signatures; `change` comes before the hash.
fn unsigned_event(version: RoomVersion, change: impl FnOnce(&mut Value)) -> Pdu {
    let hash = "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg";
    let room = if version == RoomVersion::V12 { format!("!{}", &hash[1..]) } else { "!room:a.example".to_owned() };
    let mut event = json!({
        "room_id": room, "sender": "@alice:a.example", "type": "m.room.message", "depth": 7, "origin_server_ts": NOW,
        "content": {"body": "hello"}, "prev_events": [], "auth_events": [], "signatures": {},
    });
    if version < RoomVersion::V3 {
        event["event_id"] = json!("$event:a.example");
    }
    change(&mut event);
    let hash = content_hash(event.to_string().as_bytes(), version.rules()).unwrap();
    event["hashes"] = json!({ "sha256": base64::encode(&hash) });
    Pdu::parse(event.to_string().as_bytes(), version.rules()).unwrap()
}

fn sign(pdu: &Pdu, name: &str, number: u8) -> Pdu {
    countersign(pdu, &server(name), &pair(number)).unwrap()
}

#[test]
fn an_event_needs_the_signature_of_its_senders_server() -> Result<(), FormatError> {
    for version in RoomVersion::ALL {
        let mut keys = Keys::default();
        keys.add("a.example", &pair(1), u64::MAX, false);
        keys.add("b.example", &pair(2), u64::MAX, false);
        let event = unsigned_event(version, |_| {});
        assert_eq!(verify_event(&event, &keys, NOW), Err(VerifyEventError::NoSignature(server("a.example"))));
        let by_other = sign(&event, "b.example", 2);
        assert_eq!(verify_event(&by_other, &keys, NOW), Err(VerifyEventError::NoSignature(server("a.example"))));
        let signed = sign(&by_other, "a.example", 1);
        assert_eq!(signed.event_id(), event.event_id());
        assert_eq!(
            verify_event(&signed, &keys, NOW),
            Ok(Verified { content_hash_matches: true, join_authorised: None })
        );
        assert_eq!(required_signatures(&signed), [(server("a.example"), vec!["ed25519:1".to_owned()])]);
        // A second signature with a key that nobody knows is skipped; one with a known key must be good.
        let more = sign(&signed, "a.example", 3);
        assert!(verify_event(&more, &keys, NOW).is_ok());
        keys.add("a.example", &KeyPair::from_seed([9; 32], "3"), u64::MAX, false);
        assert_eq!(verify_event(&more, &keys, NOW), Err(VerifyEventError::Invalid(server("a.example"))));
        // The redacted event is as well signed as the whole, and its content hash differs.
        let redacted = Pdu::parse(signed.redacted().json(), version.rules())?;
        assert_eq!(
            verify_event(&redacted, &keys, NOW),
            Ok(Verified { content_hash_matches: false, join_authorised: None })
        );
    }
    Ok(())
}

#[test]
fn a_changed_event_is_found_out() {
    for version in RoomVersion::ALL {
        let mut keys = Keys::default();
        keys.add("a.example", &pair(1), u64::MAX, false);
        let signed = sign(&unsigned_event(version, |_| {}), "a.example", 1);
        let change =
            |from: &str, to: &str| Pdu::parse(signed.as_str().replace(from, to).as_bytes(), version.rules()).unwrap();
        // What redaction removes is covered by the hash alone.
        let body = change("hello", "hallo");
        assert_eq!(
            verify_event(&body, &keys, NOW),
            Ok(Verified { content_hash_matches: false, join_authorised: None })
        );
        // What it keeps is covered by the signature.
        for (from, to) in
            [("\"depth\":7", "\"depth\":8"), ("m.room.message", "m.room.massage"), ("@alice:", "@malice:")]
        {
            assert_eq!(
                verify_event(&change(from, to), &keys, NOW),
                Err(VerifyEventError::Invalid(server("a.example")))
            );
        }
    }
}

#[test]
fn in_versions_1_and_2_the_server_of_the_event_id_signs_too() {
    for version in [RoomVersion::V1, RoomVersion::V2] {
        let mut keys = Keys::default();
        keys.add("a.example", &pair(1), u64::MAX, false);
        keys.add("b.example", &pair(2), u64::MAX, false);
        let event = unsigned_event(version, |event| event["event_id"] = json!("$event:b.example"));
        let half = sign(&event, "a.example", 1);
        assert_eq!(verify_event(&half, &keys, NOW), Err(VerifyEventError::NoSignature(server("b.example"))));
        assert!(verify_event(&sign(&half, "b.example", 2), &keys, NOW).is_ok());
    }
}

#[test]
fn a_third_party_invite_may_come_from_another_server_than_its_senders() {
    for version in RoomVersion::ALL {
        let invite = |extra: Value| {
            unsigned_event(version, |event| {
                event["type"] = json!("m.room.member");
                event["state_key"] = json!("@bob:b.example");
                event["content"] = extra;
            })
        };
        let keys = Keys::default();
        let third_party = invite(json!({"membership": "invite", "third_party_invite": {"signed": {}}}));
        let plain = invite(json!({"membership": "invite"}));
        let join = invite(json!({"membership": "join", "third_party_invite": {"signed": {}}}));
        // In versions 1 and 2 the server of the event ID still signs.
        assert_eq!(verify_event(&third_party, &keys, NOW).is_ok(), version >= RoomVersion::V3);
        assert!(verify_event(&plain, &keys, NOW).is_err());
        assert!(verify_event(&join, &keys, NOW).is_err());
    }
}

#[test]
fn a_restricted_join_says_whether_its_authoriser_has_signed() {
    for version in RoomVersion::ALL {
        let mut keys = Keys::default();
        keys.add("a.example", &pair(1), u64::MAX, false);
        keys.add("b.example", &pair(2), u64::MAX, false);
        let join = |authoriser: Value| {
            unsigned_event(version, |event| {
                event["type"] = json!("m.room.member");
                event["state_key"] = event["sender"].clone();
                event["content"] = json!({"membership": "join", "join_authorised_via_users_server": authoriser});
            })
        };
        let verdict = |pdu: &Pdu| verify_event(pdu, &keys, NOW).unwrap().join_authorised;
        let known = version >= RoomVersion::V8;
        let signed = sign(&join(json!("@bob:b.example")), "a.example", 1);
        assert_eq!(verdict(&signed), known.then_some(false));
        assert_eq!(verdict(&sign(&signed, "b.example", 2)), known.then_some(true));
        assert_eq!(verdict(&sign(&join(json!("bob")), "a.example", 1)), known.then_some(false));
        assert_eq!(verdict(&sign(&join(json!(7)), "a.example", 1)), known.then_some(false));
        assert_eq!(required_signatures(&signed).len(), 1 + usize::from(known));
    }
}

#[test]
fn from_version_5_on_a_key_must_have_been_valid() {
    const WEEK: u64 = 7 * 24 * 60 * 60 * 1000;
    for version in RoomVersion::ALL {
        let enforced = version >= RoomVersion::V5;
        let signed = sign(&unsigned_event(version, |_| {}), "a.example", 1);
        let verify = |valid_until_ts, expired, now| {
            let mut keys = Keys::default();
            keys.add("a.example", &pair(1), valid_until_ts, expired);
            verify_event(&signed, &keys, now).is_ok()
        };
        assert!(verify(NOW, false, NOW));
        assert_eq!(verify(NOW - 1, false, NOW), !enforced);
        // No key is trusted for longer than seven days from now.
        assert!(verify(u64::MAX, false, NOW - WEEK));
        assert_eq!(verify(u64::MAX, false, NOW - WEEK - 1), !enforced);
        // What is known to have ended does not sign later events, in any version.
        assert!(verify(NOW, true, NOW));
        assert!(!verify(NOW - 1, true, NOW));
    }
}

#[test]
fn a_policy_servers_signature_is_found_under_its_own_key() {
    let policy = KeyPair::from_seed([8; 32], "policy_server");
    let key = PublicKey::from_bytes(&policy.public_key()).unwrap();
    for version in RoomVersion::ALL {
        let event = sign(&unsigned_event(version, |_| {}), "a.example", 1);
        let name = server("policy.example");
        assert!(!signed_by_policy_server(&event, &name, key));
        let signed = countersign(&event, &name, &policy).unwrap();
        assert!(signed_by_policy_server(&signed, &name, key));
        assert!(!signed_by_policy_server(&signed, &server("a.example"), key));
        assert!(!signed_by_policy_server(&signed, &name, PublicKey::from_bytes(&pair(1).public_key()).unwrap()));
        // Its key is in nobody's ring, and the event is as good without it.
        let mut keys = Keys::default();
        keys.add("a.example", &pair(1), u64::MAX, false);
        assert!(verify_event(&signed, &keys, NOW).is_ok());
    }
}
