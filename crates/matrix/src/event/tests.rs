use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::{
    canonical_json::{JsonError, MAX_INTEGER},
    room_version::{RoomIds, RoomVersion},
    signing::KeyPair,
};

const HASH: &str = "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg";

fn rules(version: RoomVersion) -> &'static Rules {
    version.rules()
}

fn key() -> KeyPair {
    KeyPair::from_seed([1; 32], "1")
}

/// A room ID of the version.
fn room_id(version: RoomVersion) -> String {
    match rules(version).room_ids {
        RoomIds::Chosen => "!room:example.org".to_owned(),
        RoomIds::CreateEvent => format!("!{}", &HASH[1..]),
    }
}

/// An event of the version as another server may send it.
fn event(version: RoomVersion) -> Value {
    let mut event = json!({
        "room_id": room_id(version), "sender": "@alice:example.org", "type": "m.room.message", "depth": 7,
        "origin_server_ts": 1_700_000_000_000_u64, "content": {"body": "hello", "msgtype": "m.text"},
        "hashes": {"sha256": "x"}, "signatures": {"example.org": {"ed25519:1": "x"}}, "unsigned": {"age": 5},
    });
    if rules(version).event_ids == EventIds::Chosen {
        event["event_id"] = json!("$event:example.org");
        event["prev_events"] = json!([["$before:example.org", {"sha256": "x"}]]);
        event["auth_events"] = json!([["$create:example.org", {}], ["$member:example.org", {}]]);
    } else {
        event["prev_events"] = json!(["$before"]);
        event["auth_events"] = json!(["$create", "$member"]);
    }
    event
}

fn parse(version: RoomVersion, event: &Value) -> Result<Pdu, FormatError> {
    Pdu::parse(event.to_string().as_bytes(), rules(version))
}

/// The event of a version with one member changed, or removed by null.
fn with(version: RoomVersion, member: &str, value: Value) -> Result<Pdu, FormatError> {
    let mut event = event(version);
    if value.is_null() {
        event.as_object_mut().unwrap().remove(member);
    } else {
        event[member] = value;
    }
    parse(version, &event)
}

fn draft(version: RoomVersion, kind: &str, state_key: Option<&str>, content: &Value) -> Draft {
    let hashed = rules(version).event_ids != EventIds::Chosen;
    let before: OwnedEventId = if hashed { HASH } else { "$before:example.org" }.try_into().unwrap();
    Draft {
        room_id: Some(room_id(version).try_into().unwrap()),
        sender: "@alice:example.org".try_into().unwrap(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        content: RawValue::from_string(content.to_string()).unwrap(),
        redacts: None,
        prev_events: vec![before.clone()],
        auth_events: vec![if hashed { "$other".try_into().unwrap() } else { before.clone() }],
        reference_hashes: vec![(before, [7; 32])],
        depth: 8,
        origin_server_ts: 1_700_000_000_001,
    }
}

fn seal(version: RoomVersion, draft: Draft) -> Result<Pdu, SealError> {
    draft.seal(rules(version), "example.org".try_into().unwrap(), &key())
}

fn client(pdu: &Pdu, form: ClientForm, unsigned: Option<&str>) -> Value {
    let mut out = Vec::new();
    pdu.write_client(&mut out, form, unsigned);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn an_event_of_every_version_is_read() {
    for version in RoomVersion::ALL {
        let pdu = parse(version, &event(version)).unwrap();
        assert_eq!(pdu.room_id().as_str(), room_id(version));
        assert_eq!(pdu.sender(), "@alice:example.org");
        assert_eq!(pdu.kind(), "m.room.message");
        assert_eq!(pdu.state_key(), None);
        assert_eq!(pdu.depth(), 7);
        assert_eq!(pdu.origin_server_ts(), 1_700_000_000_000);
        assert_eq!(pdu.content(), r#"{"body":"hello","msgtype":"m.text"}"#);
        assert_eq!(pdu.content_member("body"), Some("\"hello\""));
        let ids = |ids: &[OwnedEventId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        if rules(version).event_ids == EventIds::Chosen {
            assert_eq!(ids(pdu.prev_events()), ["$before:example.org"]);
            assert_eq!(ids(pdu.auth_events()), ["$create:example.org", "$member:example.org"]);
            assert_eq!(pdu.event_id(), "$event:example.org");
        } else {
            assert_eq!(ids(pdu.prev_events()), ["$before"]);
            assert_eq!(ids(pdu.auth_events()), ["$create", "$member"]);
            assert!(crate::ids::is_event_id(pdu.event_id().as_str(), rules(version).event_ids), "{}", pdu.event_id());
        }
        // `unsigned` is not the event's.
        assert!(!pdu.as_str().contains("unsigned"));
        // Reading back what was written gives the same.
        let stored = Pdu::from_stored(pdu.json(), pdu.event_id().to_owned(), rules(version)).unwrap();
        assert_eq!(stored, pdu);
        assert_eq!(stored.prev_events(), pdu.prev_events());
        assert_eq!((stored.kind(), stored.depth(), stored.sender()), (pdu.kind(), pdu.depth(), pdu.sender()));
    }
}

#[test]
fn an_event_without_a_required_member_is_refused() {
    for version in RoomVersion::ALL {
        for member in [
            "auth_events",
            "content",
            "depth",
            "hashes",
            "origin_server_ts",
            "prev_events",
            "room_id",
            "sender",
            "signatures",
            "type",
        ] {
            assert!(
                matches!(with(version, member, Value::Null), Err(FormatError::Missing(name)) if name == member),
                "{member}"
            );
        }
        assert_eq!(with(version, "event_id", Value::Null).is_ok(), rules(version).event_ids != EventIds::Chosen);
        assert!(with(version, "unsigned", Value::Null).is_ok());
    }
}

#[test]
fn an_event_with_a_member_of_the_wrong_type_is_refused() {
    for version in RoomVersion::ALL {
        for (member, value) in [
            ("auth_events", json!({})),
            ("auth_events", json!([1])),
            ("auth_events", json!([[]])),
            ("content", json!([])),
            ("content", json!("{}")),
            ("depth", json!("1")),
            ("depth", json!(-1)),
            ("depth", json!(1.0)),
            ("event_id", json!(1)),
            ("hashes", json!([])),
            ("hashes", json!({})),
            ("hashes", json!({"sha256": 1})),
            ("origin_server_ts", json!("1")),
            ("origin_server_ts", json!(1.5)),
            ("prev_events", json!("$before")),
            ("prev_events", json!([["$before:x", {}, 1]])),
            ("prev_events", json!([["$before:x", []]])),
            ("prev_events", json!(["before"])),
            ("room_id", json!(1)),
            ("room_id", json!("room")),
            ("room_id", json!("@room:x")),
            ("sender", json!(1)),
            ("sender", json!("alice")),
            ("sender", json!("@alice")),
            ("sender", json!("@alice:x_y")),
            ("signatures", json!([])),
            ("signatures", json!({"x": []})),
            ("signatures", json!({"x": {"y": 1}})),
            ("state_key", json!(1)),
            ("type", json!({})),
            ("unsigned", json!([])),
        ] {
            assert!(with(version, member, value.clone()).is_err(), "{version} {member} {value}");
        }
        for json in ["[]", "1", "", "{", "null"] {
            assert!(matches!(Pdu::parse(json.as_bytes(), rules(version)), Err(FormatError::Json(_))), "{json}");
        }
        assert!(matches!(
            Pdu::parse(
                event(version).to_string().replace("\"depth\":7", "\"state_key\":null,\"depth\":7").as_bytes(),
                rules(version)
            ),
            Err(FormatError::Wrong { member: "state_key", .. })
        ));
    }
}

#[test]
fn members_that_a_version_does_not_name_may_be_anything_or_nothing() {
    for version in RoomVersion::ALL {
        assert!(with(version, "origin", json!("example.org")).is_ok());
        assert!(with(version, "com.example.extra", json!([[{}]])).is_ok());
        // `redacts` was part of the format to version 10.
        assert_eq!(with(version, "redacts", json!(1)).is_ok(), rules(version).redacts_in_content);
        // The event ID is part of the format in versions 1 and 2, and may not be there later.
        assert_eq!(with(version, "event_id", json!("$a:b")).is_ok(), rules(version).event_ids == EventIds::Chosen);
    }
}

#[test]
fn ids_are_those_of_the_room_version() {
    for version in RoomVersion::ALL {
        let named = with(version, "room_id", json!("!a:b")).is_ok();
        let hashed = with(version, "room_id", json!(format!("!{}", &HASH[1..]))).is_ok();
        assert_eq!((named, hashed), if version < RoomVersion::V12 { (true, false) } else { (false, true) });
        let pairs = with(version, "prev_events", json!([["$a:b", {}]])).is_ok();
        let plain = with(version, "prev_events", json!([HASH])).is_ok();
        assert_eq!((pairs, plain), if version < RoomVersion::V3 { (true, false) } else { (false, true) });
    }
}

#[test]
fn numbers_follow_the_room_version() {
    for version in RoomVersion::ALL {
        let lenient = version < RoomVersion::V6;
        assert_eq!(with(version, "content", json!({"a": 1.5})).is_ok(), lenient);
        assert_eq!(with(version, "content", json!({"a": MAX_INTEGER + 1})).is_ok(), lenient);
        assert!(with(version, "content", json!({"a": MAX_INTEGER})).is_ok());
        assert!(with(version, "depth", json!(MAX_INTEGER)).is_ok());
        assert_eq!(with(version, "depth", json!(i64::MAX)).is_ok(), lenient);
        assert!(with(version, "depth", json!(i64::MAX as u64 + 1)).is_err());
        assert_eq!(with(version, "origin_server_ts", json!(-5)).unwrap().origin_server_ts(), 0);
    }
    let error = with(RoomVersion::V6, "content", json!({"a": 1.5})).unwrap_err();
    assert!(matches!(error, FormatError::Json(JsonError::NotAnInteger(_))));
}

#[test]
fn sizes_are_limited_and_the_limits_are_exact() {
    for version in RoomVersion::ALL {
        let room = room_id(version);
        for (member, longest) in [
            ("type", "t".repeat(255)),
            ("type", format!("{}é", "t".repeat(253))),
            ("state_key", "s".repeat(255)),
            ("sender", format!("@{}:x", "a".repeat(252))),
        ] {
            assert!(with(version, member, json!(longest)).is_ok(), "{member}");
            assert_eq!(
                with(version, member, json!(format!("{longest}x"))).unwrap_err(),
                FormatError::TooLong(tag(member))
            );
        }
        if rules(version).room_ids == RoomIds::Chosen {
            assert!(with(version, "room_id", json!(format!("!{}:x", "a".repeat(252)))).is_ok());
            assert_eq!(
                with(version, "room_id", json!(format!("!{}:x", "a".repeat(253)))).unwrap_err(),
                FormatError::TooLong("room_id")
            );
        }
        if rules(version).event_ids == EventIds::Chosen {
            assert!(with(version, "event_id", json!(format!("${}:x", "a".repeat(252)))).is_ok());
            assert!(with(version, "event_id", json!(format!("${}:x", "a".repeat(253)))).unwrap_err().is_too_large());
        }
        let list = |count: usize| {
            let id = if rules(version).event_ids == EventIds::Chosen { json!(["$a:b", {}]) } else { json!("$a") };
            Value::from(vec![id; count])
        };
        assert!(with(version, "prev_events", list(20)).is_ok());
        assert_eq!(with(version, "prev_events", list(21)).unwrap_err(), FormatError::TooMany("prev_events"));
        assert!(with(version, "auth_events", list(10)).is_ok());
        assert_eq!(with(version, "auth_events", list(11)).unwrap_err(), FormatError::TooMany("auth_events"));

        let size = with(version, "content", json!({"body": ""})).unwrap().json().len();
        let body = "b".repeat(MAX_SIZE - size);
        assert_eq!(with(version, "content", json!({ "body": body })).unwrap().json().len(), MAX_SIZE);
        let error = with(version, "content", json!({ "body": format!("{body}b") })).unwrap_err();
        assert_eq!(error, FormatError::TooLarge(MAX_SIZE + 1));
        assert!(error.is_too_large());
        // `unsigned` does not count.
        let mut event = event(version);
        event["unsigned"] = json!({ "big": "x".repeat(MAX_SIZE) });
        assert!(parse(version, &event).is_ok());
        assert_eq!(parse(version, &event).unwrap().room_id().as_str(), room);
    }
}

fn tag(member: &str) -> &'static str {
    ["type", "state_key", "sender"].into_iter().find(|name| *name == member).unwrap()
}

#[test]
fn a_version_12_room_is_named_by_its_create_event() {
    let version = RoomVersion::V12;
    let mut create = event(version);
    create["type"] = json!("m.room.create");
    create["state_key"] = json!("");
    create["content"] = json!({"room_version": "12"});
    create["auth_events"] = json!([]);
    create["prev_events"] = json!([]);
    create.as_object_mut().unwrap().remove("room_id");
    let pdu = parse(version, &create).unwrap();
    assert_eq!(pdu.room_id().as_str()[1..], pdu.event_id().as_str()[1..]);
    assert!(!pdu.has_room_id());
    assert_eq!(client(&pdu, ClientForm::WithRoomId, None)["room_id"], json!(pdu.room_id()));
    // One that carries a room ID is an event, which the authorization rules reject.
    create["room_id"] = json!(room_id(version));
    let wrong = parse(version, &create).unwrap();
    assert!(wrong.has_room_id());
    assert_eq!(wrong.room_id().as_str()[1..], wrong.event_id().as_str()[1..]);
    // What has the type and is not the room's state needs a room ID like any other event.
    create.as_object_mut().unwrap().remove("room_id");
    create["state_key"] = json!("x");
    assert_eq!(parse(version, &create).unwrap_err(), FormatError::Missing("room_id"));
}

#[test]
fn a_version_12_event_does_not_name_the_create_event_as_its_authority() {
    let create = format!("${}", &room_id(RoomVersion::V12)[1..]);
    assert!(with(RoomVersion::V12, "auth_events", json!(["$other", create])).is_err());
    assert!(with(RoomVersion::V12, "prev_events", json!([create])).is_ok());
    assert!(with(RoomVersion::V11, "auth_events", json!(["$other", create])).is_ok());
}

#[test]
fn a_draft_becomes_a_signed_event_of_every_version() {
    for version in RoomVersion::ALL {
        let content = json!({"z": 1, "a": {"ü": "\n", "b": [null, true]}});
        let pdu = seal(version, draft(version, "m.room.topic", Some(""), &content)).unwrap();
        assert_eq!(pdu.content(), r#"{"a":{"b":[null,true],"ü":"\n"},"z":1}"#);
        assert_eq!((pdu.kind(), pdu.state_key(), pdu.depth()), ("m.room.topic", Some(""), 8));
        assert!(pdu.content_hash_matches());
        // Read as if from elsewhere it is the same event.
        assert_eq!(Pdu::parse(pdu.json(), rules(version)).unwrap(), pdu);
        let value: Value = serde_json::from_slice(pdu.json()).unwrap();
        if rules(version).event_ids == EventIds::Chosen {
            assert!(pdu.event_id().as_str().ends_with(":example.org"));
            let hash = crate::base64::encode(&[7; 32]);
            assert_eq!(value["prev_events"], json!([["$before:example.org", {"sha256": hash}]]));
        } else {
            assert_eq!(value["prev_events"], json!([HASH]));
            assert_eq!(value.get("event_id"), None);
        }
    }
}

#[test]
fn a_sealed_create_event_names_its_room() {
    let mut draft = draft(RoomVersion::V12, "m.room.create", Some(""), &json!({"room_version": "12"}));
    draft.room_id = None;
    draft.prev_events.clear();
    draft.auth_events.clear();
    let pdu = seal(RoomVersion::V12, draft).unwrap();
    assert_eq!(pdu.room_id().as_str()[1..], pdu.event_id().as_str()[1..]);
    assert!(!pdu.as_str().contains("room_id"));
}

#[test]
fn what_can_not_be_sealed_says_why() {
    let version = RoomVersion::V12;
    let content = |content: Value| seal(version, draft(version, "m", None, &content));
    assert!(matches!(
        content(json!({"a": 1.5})),
        Err(SealError::BadJson(FormatError::Json(JsonError::NotAnInteger(_))))
    ));
    assert!(matches!(
        content(json!({"a": 1_u64 << 60})),
        Err(SealError::BadJson(FormatError::Json(JsonError::OutOfRange(_))))
    ));
    assert!(matches!(content(json!([])), Err(SealError::BadJson(FormatError::Json(JsonError::NotAnObject)))));
    assert!(matches!(content(json!({"a": "x".repeat(MAX_SIZE)})), Err(SealError::TooLarge(FormatError::TooLarge(_)))));
    let long = "x".repeat(256);
    assert!(matches!(seal(version, draft(version, &long, None, &json!({}))), Err(SealError::TooLarge(_))));
    assert!(matches!(seal(version, draft(version, "m", Some(&long), &json!({}))), Err(SealError::TooLarge(_))));
    // The event is one level deeper than its content.
    let mut deep = json!({});
    for _ in 0..crate::canonical_json::MAX_DEPTH - 2 {
        deep = json!({ "a": deep });
    }
    let deepest = content(deep.clone()).unwrap();
    assert_eq!(Pdu::parse(deepest.json(), rules(version)).unwrap(), deepest);
    deep = json!({ "a": deep });
    assert!(matches!(content(deep), Err(SealError::BadJson(FormatError::Json(JsonError::TooDeep)))));
    let mut many = draft(version, "m", None, &json!({}));
    many.prev_events = vec![HASH.try_into().unwrap(); 21];
    assert!(matches!(seal(version, many), Err(SealError::BadJson(FormatError::TooMany("prev_events")))));
}

#[test]
fn events_with_the_widest_texts_are_written_and_read() {
    let version = RoomVersion::V12;
    let pdu = seal(version, draft(version, "quote\"\\\n", Some("\u{1}é"), &json!({}))).unwrap();
    assert_eq!((pdu.kind(), pdu.state_key()), ("quote\"\\\n", Some("\u{1}é")));
    let stored = Pdu::from_stored(pdu.json(), pdu.event_id().to_owned(), pdu.rules()).unwrap();
    assert_eq!((stored.kind(), stored.state_key()), ("quote\"\\\n", Some("\u{1}é")));
    assert_eq!(client(&pdu, ClientForm::WithRoomId, None)["type"], json!("quote\"\\\n"));
}

#[test]
fn a_redaction_says_what_it_redacts_where_its_version_has_it() {
    for version in RoomVersion::ALL {
        let target: OwnedEventId = if version < RoomVersion::V3 { "$target:x" } else { HASH }.try_into().unwrap();
        let mut draft = draft(version, "m.room.redaction", None, &json!({"reason": "spam", "redacts": "$wrong:x"}));
        draft.redacts = Some(target.clone());
        let pdu = seal(version, draft).unwrap();
        assert_eq!(pdu.redacts(), Some(&*target));
        let value: Value = serde_json::from_slice(pdu.json()).unwrap();
        let in_content = version >= RoomVersion::V11;
        assert_eq!(value.get("redacts").is_none(), in_content);
        assert_eq!(value["content"]["redacts"], if in_content { json!(target) } else { json!("$wrong:x") });
        // Clients of either age find it where they look.
        assert_eq!(client(&pdu, ClientForm::WithRoomId, None)["redacts"], json!(target));
        let stays = pdu.redacted().redacts().is_some();
        assert_eq!(stays, in_content);
    }
    // Without one of its own in the content, older rooms get one there for newer clients.
    for (content, expected) in [
        (json!({}), json!({"redacts": "$target:x"})),
        (json!({"reason": "a"}), json!({"reason": "a", "redacts": "$target:x"})),
    ] {
        let mut draft = draft(RoomVersion::V1, "m.room.redaction", None, &content);
        draft.redacts = Some("$target:x".try_into().unwrap());
        assert_eq!(client(&seal(RoomVersion::V1, draft).unwrap(), ClientForm::WithRoomId, None)["content"], expected);
    }
    // Other types redact nothing.
    assert_eq!(with(RoomVersion::V1, "redacts", json!("$target:x")).unwrap().redacts(), None);
}

#[test]
fn redaction_keeps_what_each_version_says() {
    let content = json!({
        "aliases": [], "allow": [], "ban": 1, "body": "x", "creator": "@a:b", "events": {"x": 1}, "events_default": 1,
        "history_visibility": "shared", "invite": 1, "join_authorised_via_users_server": "@a:b", "join_rule": "public", "kick": 1,
        "m.federate": false, "membership": "join", "notifications": {"room": 1}, "redact": 1, "redacts": HASH, "state_default": 1,
        "third_party_invite": {"display_name": "x", "signed": {"token": "t"}}, "users": {}, "users_default": 1,
    });
    let levels = ["ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"];
    for version in RoomVersion::ALL {
        let number = RoomVersion::ALL.iter().position(|other| *other == version).unwrap() + 1;
        for kind in [
            "m.room.member",
            "m.room.create",
            "m.room.join_rules",
            "m.room.power_levels",
            "m.room.aliases",
            "m.room.history_visibility",
            "m.room.redaction",
            "m.room.message",
            "m.room.name",
        ] {
            let mut keys: Vec<&str> = match kind {
                "m.room.member" => vec!["membership"],
                "m.room.create" if number < 11 => vec!["creator"],
                "m.room.create" => content.as_object().unwrap().keys().map(String::as_str).collect(),
                "m.room.join_rules" => vec!["join_rule"],
                "m.room.power_levels" => levels.to_vec(),
                "m.room.aliases" if number < 6 => vec!["aliases"],
                "m.room.history_visibility" => vec!["history_visibility"],
                "m.room.redaction" if number >= 11 => vec!["redacts"],
                _ => vec![],
            };
            match kind {
                "m.room.member" if number >= 11 => {
                    keys.extend(["join_authorised_via_users_server", "third_party_invite"]);
                }
                "m.room.member" if number >= 9 => keys.push("join_authorised_via_users_server"),
                "m.room.join_rules" if number >= 8 => keys.push("allow"),
                "m.room.power_levels" if number >= 11 => keys.push("invite"),
                _ => {}
            }
            keys.sort_unstable();
            let mut event = event(version);
            event["type"] = json!(kind);
            event["state_key"] = json!("x");
            event["content"] = content.clone();
            for member in ["origin", "membership", "prev_state", "com.example.other"] {
                event[member] = json!("x");
            }
            event["redacts"] = json!("$x:y");
            let pdu = parse(version, &event).unwrap();
            let redacted = pdu.redacted();
            let value: Value = serde_json::from_slice(redacted.json()).unwrap();
            let kept: Vec<_> = value["content"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(kept, keys, "{kind} in version {version}");
            if number >= 11 && kind == "m.room.member" {
                assert_eq!(value["content"]["third_party_invite"], json!({"signed": {"token": "t"}}));
            }
            let mut members = vec![
                "auth_events",
                "content",
                "depth",
                "hashes",
                "origin_server_ts",
                "prev_events",
                "room_id",
                "sender",
                "signatures",
                "state_key",
                "type",
            ];
            if number < 3 {
                members.push("event_id");
            }
            if number < 11 {
                members.extend(["origin", "membership", "prev_state"]);
            }
            members.sort_unstable();
            assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), members, "version {version}");
            assert_eq!(redacted.event_id(), pdu.event_id());
            assert_eq!(redacted.reference_hash(), pdu.reference_hash());
            assert_eq!(redacted.redacted(), redacted);
            assert_eq!(redact(event.to_string().as_bytes(), rules(version)).unwrap(), redacted.json());
        }
    }
}

#[test]
fn the_client_form_is_spliced_and_holds_what_clients_may_see() {
    for version in RoomVersion::ALL {
        let pdu = seal(version, draft(version, "m.room.name", Some("k\""), &json!({"name": "a \"b\""}))).unwrap();
        let full = client(&pdu, ClientForm::WithRoomId, Some(r#"{"age":3}"#));
        assert_eq!(
            full,
            json!({
                "content": {"name": "a \"b\""}, "event_id": pdu.event_id(), "origin_server_ts": 1_700_000_000_001_u64,
                "room_id": pdu.room_id(), "sender": "@alice:example.org", "state_key": "k\"", "type": "m.room.name",
                "unsigned": {"age": 3},
            })
        );
        let bare = client(&pdu, ClientForm::WithoutRoomId, None);
        let keys: Vec<_> = bare.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["content", "event_id", "origin_server_ts", "sender", "state_key", "type"]);
        let mut stripped = Vec::new();
        pdu.write_stripped(&mut stripped);
        assert_eq!(
            serde_json::from_slice::<Value>(&stripped).unwrap(),
            json!({"content": {"name": "a \"b\""}, "sender": "@alice:example.org", "state_key": "k\"", "type": "m.room.name"})
        );
    }
    let message = seal(RoomVersion::V12, draft(RoomVersion::V12, "m.room.message", None, &json!({}))).unwrap();
    assert_eq!(client(&message, ClientForm::WithRoomId, None).get("state_key"), None);
}

#[test]
fn members_are_cut_out_wherever_they_stand() {
    for (json, without) in [
        (r#"{"a":1,"hashes":{},"signatures":{},"unsigned":{}}"#, r#"{"a":1}"#),
        (r#"{"hashes":{},"room_id":1,"signatures":{},"z":2}"#, r#"{"room_id":1,"z":2}"#),
        (r#"{"hashes":{},"signatures":{}}"#, "{}"),
        (r#"{"hashes":{},"z":1}"#, r#"{"z":1}"#),
        (r#"{"a":1,"z":","}"#, r#"{"a":1,"z":","}"#),
        ("{}", "{}"),
    ] {
        let mut out = Vec::new();
        Members::of(json).write_without(json, &[Key::Hashes, Key::Signatures, Key::Unsigned], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), without);
    }
}

#[test]
fn stored_bytes_that_are_no_event_are_an_error_and_no_panic() {
    let rules = rules(RoomVersion::V12);
    for json in ["", "{}", "[]", "{\"", r#"{"type":1}"#, r#"{"type":"x","sender":"@a:b"}"#, "{\"content\":{", "\u{0}"] {
        assert!(Pdu::from_stored(json, HASH.try_into().unwrap(), rules).is_err(), "{json}");
    }
    assert!(Pdu::from_stored(vec![0xFF], HASH.try_into().unwrap(), rules).is_err());
}
