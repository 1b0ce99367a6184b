//! What follows from an event's bytes, in every room version.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use roost_matrix::{
    base64,
    canonical_json::{self, Integers},
    event::{Pdu, content_hash},
    room_version::RoomVersion,
    signing::{self, KeyPair, PublicKey},
};
use serde_json::{Value, json};

use super::Oracle;
use crate::generate;

const SEED: [u8; 32] = [42; 32];

/// A runner whose cases are the same in every run.
fn runner() -> TestRunner {
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
}

/// Some values of a strategy.
fn some<S: Strategy>(strategy: S, count: usize) -> impl Iterator<Item = S::Value> {
    let mut runner = runner();
    (0..count).map(move |_| strategy.new_tree(&mut runner).expect("the strategy makes values").current())
}

#[test]
fn synapse_has_the_same_canonical_json() {
    let Some(mut oracle) = Oracle::start("synapse_has_the_same_canonical_json") else { return };
    let numbers = prop_oneof![
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| format!("{value:?}")),
        "-?(0|[1-9][0-9]{0,24})",
        "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,4}([eE][+-]?[0-9]{1,2})?",
    ];
    let texts = some(generate::json_value(), 500)
        .map(|value| value.to_string())
        .chain(some(numbers, 500))
        .chain(some("[\\[\\]{}:,\"\\\\ua0-9eE.+ntrufals -]{0,12}", 500))
        .chain(
            ["{\"a\":1,\"a\":2}", "\"\\ud800\"", "-0", "-0.0", "1e16", "1e400", "{\"\\\"\":1,\"!\":2,\"#\":3}"]
                .map(str::to_owned),
        );
    for text in texts {
        for integers in [Integers::Strict, Integers::Lenient] {
            let ours = canonical_json::canonicalize(text.as_bytes(), integers);
            let theirs = oracle.ask("canonical_json", json!({"text": text, "strict": integers == Integers::Strict}));
            if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
                let ours = std::str::from_utf8(ours).unwrap();
                // `1e10` is `10000000000` in the specification's example and `10000000000.0` in Synapse
                // (docs/decisions/0101-canonical-json.md).
                if !has_exponent_without_point(&text) {
                    assert_eq!(Some(ours), theirs.as_str(), "{text}");
                }
            } else {
                assert_eq!(ours.is_ok(), theirs.is_ok(), "{integers:?} {text}: {ours:?} {theirs:?}");
            }
        }
    }
}

fn has_exponent_without_point(text: &str) -> bool {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || "+-.".contains(character))).any(|token| {
        token.contains(['e', 'E']) && !token.contains('.') && token.contains(|digit: char| digit.is_ascii_digit())
    })
}

#[test]
fn synapse_has_the_same_ids_hashes_and_redactions() {
    let Some(mut oracle) = Oracle::start("synapse_has_the_same_ids_hashes_and_redactions") else { return };
    for version in RoomVersion::ALL {
        for mut event in some(generate::event(version), 150) {
            if version < RoomVersion::V6 {
                // What only these versions take.
                event["content"]["float"] = json!(50.57);
                event["content"]["users"] = json!({"@a:b": 1.0, "@c:d": 1e300});
                event["content"]["events"] = json!(u64::MAX);
            }
            let text = event.to_string();
            let pdu = Pdu::parse(text.as_bytes(), version.rules()).unwrap();
            let theirs = oracle.ask("describe_event", json!({"text": text, "version": version.as_str()}));
            let theirs = theirs.unwrap_or_else(|error| panic!("{version} {error}: {text}"));
            let ours = json!({
                "event_id": pdu.event_id(),
                "room_id": pdu.room_id(),
                "content_hash": base64::encode(&content_hash(text.as_bytes(), version.rules()).unwrap()),
                "reference_hash": base64::encode(&pdu.reference_hash()),
                "content_hash_matches": pdu.content_hash_matches(),
                "redacted": pdu.redacted().as_str(),
                "prev_events": pdu.prev_events(),
                // Synapse adds the create event that a version 12 room ID implies.
                "auth_events": if version == RoomVersion::V12 { theirs["auth_events"].clone() } else { json!(pdu.auth_events()) },
            });
            assert_eq!(ours, theirs, "{version}: {text}");
        }
    }
}

#[test]
fn synapse_makes_the_same_signatures() {
    let Some(mut oracle) = Oracle::start("synapse_makes_the_same_signatures") else { return };
    let key = KeyPair::from_seed(SEED, "k_1");
    let public = PublicKey::from_bytes(&key.public_key()).unwrap();
    let seed = base64::encode(&SEED);
    for version in RoomVersion::ALL {
        for event in some(generate::event(version), 40) {
            let text = event.to_string();
            let arguments = json!({"text": text, "version": version.as_str(), "server": "a.example", "key_version": "k_1", "seed": seed});
            let theirs = oracle.ask("sign_event", arguments).unwrap();
            let pdu = Pdu::parse(text.as_bytes(), version.rules()).unwrap();
            let signed = signing::countersign(&pdu, "a.example".try_into().unwrap(), &key).unwrap();
            let value: Value = serde_json::from_slice(signed.json()).unwrap();
            assert_eq!(value["signatures"]["a.example"]["ed25519:k_1"], theirs, "{version}: {text}");
        }
    }
    for value in some(generate::json_value(), 200) {
        let text = json!({"value": value, "unsigned": {"a": 1}, "signatures": {"b.example": {"ed25519:x": "eHg"}}})
            .to_string();
        let arguments = json!({"text": text, "entity": "a.example", "key_version": "k_1", "seed": seed});
        let theirs = oracle.ask("sign_object", arguments).unwrap();
        let ours = String::from_utf8(signing::sign_json(text.as_bytes(), "a.example", &key).unwrap()).unwrap();
        assert_eq!(json!(ours), theirs, "{text}");
        assert_eq!(signing::verify_json(ours.as_bytes(), "a.example", |_| Some(public)), Ok(()));
        let arguments = json!({
            "text": ours, "entity": "a.example", "key_id": "ed25519:k_1", "public_key": base64::encode(&key.public_key()),
        });
        assert_eq!(oracle.ask("verify_object", arguments), Ok(json!(true)));
    }
}

#[test]
fn synapse_refuses_what_is_refused_here_for_its_numbers_or_ids() {
    let Some(mut oracle) = Oracle::start("synapse_refuses_what_is_refused_here_for_its_numbers_or_ids") else { return };
    for version in RoomVersion::ALL {
        let event = some(generate::event(version), 1).next().unwrap();
        let changes = [
            ("depth", json!(-1)),
            ("depth", json!("1")),
            ("depth", json!(u64::MAX)),
            ("content", json!({"a": 1.5})),
            ("content", json!({"a": 1_u64 << 53})),
            ("content", json!([])),
            ("type", json!(1)),
            ("sender", json!(1)),
            ("state_key", json!(1)),
            ("prev_events", json!([1])),
            ("signatures", json!({"a.example": 1})),
        ];
        for (member, value) in changes {
            let mut event = event.clone();
            event[member] = value.clone();
            let text = event.to_string();
            let ours = Pdu::parse(text.as_bytes(), version.rules());
            let theirs = oracle.ask("describe_event", json!({"text": text, "version": version.as_str()}));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{version} {member} {value}: {ours:?} {theirs:?}");
        }
    }
}
