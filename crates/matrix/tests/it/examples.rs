//! The specification's example events (`data/event-schemas/examples`) and example PDUs
//! (`data/api/server-server/examples`), one a line in `tests/fixtures`.

use roost_matrix::{
    canonical_json::{self, Integers},
    event::{ClientForm, Draft, Pdu},
    room_version::{EventIds, RoomIds, RoomVersion},
    signing::KeyPair,
};
use serde_json::{Value, json, value::RawValue};

const EVENTS: &str = include_str!("../fixtures/spec_events.jsonl");
const PDUS: &str = include_str!("../fixtures/spec_pdus.jsonl");
const HASH: &str = "Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg";

fn values(lines: &str) -> impl Iterator<Item = Value> + '_ {
    lines.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// Account data is no part of a room and may hold fractions, as the order of tags does.
fn is_account_data(value: &Value) -> bool {
    value["type"] == "m.tag"
}

#[test]
fn every_example_event_has_a_canonical_form_that_says_the_same() {
    let mut count = 0;
    for (line, value) in EVENTS.lines().zip(values(EVENTS)) {
        let integers = if is_account_data(&value) { Integers::Lenient } else { Integers::Strict };
        let canonical = canonical_json::canonicalize(line.as_bytes(), integers).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&canonical).unwrap(), value);
        // The fixture was written with sorted keys and no white space.
        assert_eq!(std::str::from_utf8(&canonical).unwrap(), line);
        count += 1;
    }
    assert!(count > 80);
}

#[test]
fn every_example_event_can_be_sent_into_a_room_of_every_version() {
    let key = KeyPair::from_seed([1; 32], "1");
    for value in values(EVENTS).filter(|value| !is_account_data(value)) {
        for version in RoomVersion::ALL {
            let rules = version.rules();
            let kind = value["type"].as_str().unwrap();
            let state_key = value.get("state_key").and_then(Value::as_str);
            let creates = rules.room_ids == RoomIds::CreateEvent && kind == "m.room.create";
            let room_id = match rules.room_ids {
                RoomIds::Chosen => "!room:example.org".to_owned(),
                RoomIds::CreateEvent => format!("!{HASH}"),
            };
            let before = match rules.event_ids {
                EventIds::Chosen => "$before:example.org".to_owned(),
                _ => format!("${HASH}"),
            };
            let draft = Draft {
                room_id: (!creates).then(|| room_id.try_into().unwrap()),
                sender: value.get("sender").and_then(Value::as_str).unwrap_or("@alice:example.org").try_into().unwrap(),
                kind: kind.to_owned(),
                state_key: state_key.map(ToOwned::to_owned),
                content: RawValue::from_string(value["content"].to_string()).unwrap(),
                redacts: None,
                prev_events: vec![before.try_into().unwrap()],
                auth_events: vec![],
                reference_hashes: vec![],
                depth: 2,
                origin_server_ts: 1_700_000_000_000,
            };
            let pdu = draft.seal(rules, "example.org".try_into().unwrap(), &key).unwrap();
            assert!(pdu.content_hash_matches());
            assert_eq!(pdu.redacted().reference_hash(), pdu.reference_hash());
            let mut out = Vec::new();
            pdu.write_client(&mut out, ClientForm::WithRoomId, None);
            let client: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(client["content"], value["content"], "{kind} in version {version}");
            assert_eq!(client["type"], value["type"]);
            assert_eq!(client.get("state_key"), state_key.map(|key| json!(key)).as_ref());
        }
    }
}

#[test]
fn every_example_pdu_has_the_format_of_its_version() {
    for line in values(PDUS) {
        let version: RoomVersion = line["version"].as_str().unwrap().parse().unwrap();
        let pdu = Pdu::parse(line["pdu"].to_string().as_bytes(), version.rules()).unwrap();
        assert_eq!(json!(pdu.room_id()), line["pdu"]["room_id"]);
        let value: Value = serde_json::from_slice(pdu.json()).unwrap();
        let mut expected = line["pdu"].clone();
        expected.as_object_mut().unwrap().remove("unsigned");
        assert_eq!(value, expected);
    }
}
