//! `ruma-signatures` as a second opinion. It supports the room versions with strict canonical JSON: 6 and later.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roost_matrix::{
    base64,
    canonical_json::{self, Integers},
    event::{Pdu, content_hash, redact},
    ids::ServerName,
    room_version::RoomVersion,
    signing::{self, KeyPair, KeyRing, PublicKey, ServerKey, Verified},
};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, room_version_rules::RoomVersionRules, serde::Base64};
use ruma_signatures::{Ed25519KeyPair, PublicKeyMap};

use crate::generate;

const SEED: [u8; 32] = [42; 32];

const VERSIONS: [RoomVersion; 7] = [
    RoomVersion::V6,
    RoomVersion::V7,
    RoomVersion::V8,
    RoomVersion::V9,
    RoomVersion::V10,
    RoomVersion::V11,
    RoomVersion::V12,
];

fn theirs(version: RoomVersion) -> RoomVersionRules {
    match version {
        RoomVersion::V7 => RoomVersionRules::V7,
        RoomVersion::V8 => RoomVersionRules::V8,
        RoomVersion::V9 => RoomVersionRules::V9,
        RoomVersion::V10 => RoomVersionRules::V10,
        RoomVersion::V11 => RoomVersionRules::V11,
        RoomVersion::V12 => RoomVersionRules::V12,
        _ => RoomVersionRules::V6,
    }
}

fn object(json: &str) -> CanonicalJsonObject {
    serde_json::from_str(json).unwrap()
}

struct OneKey(PublicKey);

impl KeyRing for OneKey {
    fn key(&self, _server: &ServerName, key_id: &str) -> Option<ServerKey> {
        (key_id == "ed25519:1").then_some(ServerKey { key: self.0, valid_until_ts: u64::MAX, expired: false })
    }
}

fn our_key() -> KeyPair {
    KeyPair::from_seed(SEED, "1")
}

fn their_key() -> Ed25519KeyPair {
    // The PKCS#8 document of a seed: a fixed head and the seed.
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    Ed25519KeyPair::from_der(&[&head[..], &SEED].concat(), "1".to_owned()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn both_have_the_same_canonical_json(value in generate::json_value()) {
        let text = value.to_string();
        let ours = canonical_json::canonicalize(text.as_bytes(), Integers::Strict).unwrap();
        let theirs: CanonicalJsonValue = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(String::from_utf8(ours).unwrap(), theirs.to_string());
    }

    #[test]
    fn both_take_and_refuse_the_same_texts(text in "[\\[\\]{}:,\"\\\\ua0-9eE.+ntrufals -]{0,12}") {
        let ours = canonical_json::canonicalize(text.as_bytes(), Integers::Strict);
        let theirs = serde_json::from_str::<CanonicalJsonValue>(&text);
        // `-0` is read as 0 here and by Synapse, and refused there (docs/decisions/0101-canonical-json.md).
        prop_assume!(!text.contains("-0"));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(String::from_utf8(ours).unwrap(), theirs.to_string());
        }
    }

    #[test]
    fn both_hash_and_redact_the_same((version, event) in generate::event_of(&VERSIONS)) {
        let text = event.to_string();
        let rules = version.rules();
        let other = object(&text);
        let their_rules = theirs(version);

        let hash = base64::encode(&content_hash(text.as_bytes(), rules).unwrap());
        prop_assert_eq!(hash, ruma_signatures::content_hash(&other).unwrap().encode());

        let pdu = Pdu::parse(text.as_bytes(), rules).unwrap();
        let reference = ruma_signatures::reference_hash(&other, &their_rules).unwrap();
        prop_assert_eq!(pdu.event_id().as_str()[1..].to_owned(), reference);

        let redacted = String::from_utf8(redact(text.as_bytes(), rules).unwrap()).unwrap();
        let other = ruma::canonical_json::redact(other, &their_rules.redaction, None).unwrap();
        prop_assert_eq!(redacted, CanonicalJsonValue::Object(other).to_string());
    }

    #[test]
    fn each_verifies_what_the_other_signs((version, event) in generate::event_of(&VERSIONS), spoil: bool) {
        // Third-party invites need no signature, and joins may need another; the crate's own tests have both.
        let mut event = event;
        event["sender"] = "@alice:a.example".into();
        event["content"]["membership"] = "leave".into();
        event["content"].as_object_mut().unwrap().remove("join_authorised_via_users_server");
        event["signatures"] = serde_json::json!({});
        let rules = version.rules();
        let their_rules = theirs(version);

        let mut signed = object(&event.to_string());
        ruma_signatures::hash_and_sign_event("a.example", &their_key(), &mut signed, &their_rules.redaction).unwrap();
        let mut text = CanonicalJsonValue::Object(signed.clone()).to_string();
        if spoil {
            text = text.replacen("\"depth\":", "\"depth\":1", 1);
        }
        let keys = OneKey(PublicKey::from_bytes(&our_key().public_key()).unwrap());
        if let Ok(pdu) = Pdu::parse(text.as_bytes(), rules) {
            let verified = signing::verify_event(&pdu, &keys, u64::MAX);
            if spoil {
                prop_assert!(verified.is_err());
            } else {
                prop_assert_eq!(verified, Ok(Verified { content_hash_matches: true, join_authorised: None }));
            }
        }

        // Signatures of ed25519 are made in one way only, so ours must be the same.
        let mut hashed = signed.clone();
        hashed.insert("signatures".to_owned(), CanonicalJsonValue::Object(BTreeMap::new()));
        let unsigned = Pdu::parse(CanonicalJsonValue::Object(hashed).to_string().as_bytes(), rules).unwrap();
        let ours = signing::countersign(&unsigned, "a.example".try_into().unwrap(), &our_key()).unwrap();
        prop_assert_eq!(ours.as_str(), CanonicalJsonValue::Object(signed).to_string());

        let public = Base64::new(our_key().public_key().to_vec());
        let keys: PublicKeyMap = [("a.example".to_owned(), [("ed25519:1".to_owned(), public)].into())].into();
        let verified = ruma_signatures::verify_event(&keys, &object(ours.as_str()), &their_rules);
        prop_assert!(matches!(verified, Ok(ruma_signatures::Verified::All)), "{:?}", verified);
    }

    #[test]
    fn both_sign_objects_the_same(value in generate::json_value()) {
        let text = serde_json::json!({"value": value, "unsigned": {"a": 1}}).to_string();
        let ours = signing::sign_json(text.as_bytes(), "a.example", &our_key()).unwrap();
        let mut other = object(&text);
        ruma_signatures::sign_json("a.example", &their_key(), &mut other).unwrap();
        prop_assert_eq!(String::from_utf8(ours).unwrap(), CanonicalJsonValue::Object(other).to_string());
    }
}
