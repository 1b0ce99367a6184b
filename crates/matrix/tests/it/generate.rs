//! Events as strategies for property tests.

use proptest::{collection::vec, option, prelude::*, sample::select};
use roost_matrix::{
    base64,
    room_version::{EventIds, RoomIds, RoomVersion},
};
use serde_json::{Map, Value, json};

/// The largest integer of strict versions.
const LIMIT: i64 = (1 << 53) - 1;

/// Any JSON value that every version takes.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-LIMIT..=LIMIT).prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,5}", "[\"\\\\\u{0}-\u{1f}#a\u{7f}\u{2028}\u{10000}\u{ffff}]{0,4}", "[a-z_.]{1,8}"]
}

fn hash() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn event_id(version: RoomVersion) -> impl Strategy<Value = Value> {
    hash().prop_map(move |hash| match version.rules().event_ids {
        EventIds::Chosen => {
            json!([format!("${}:x.example", &base64::encode_url(&hash)[..10]), {"sha256": base64::encode(&hash)}])
        }
        EventIds::Hash => json!(format!("${}", base64::encode(&hash))),
        EventIds::UrlSafeHash => json!(format!("${}", base64::encode_url(&hash))),
    })
}

const KINDS: [&str; 11] = [
    "m.room.member",
    "m.room.create",
    "m.room.join_rules",
    "m.room.power_levels",
    "m.room.aliases",
    "m.room.history_visibility",
    "m.room.redaction",
    "m.room.message",
    "m.room.third_party_invite",
    "m.room.member2",
    "quote\"\n",
];

const CONTENT_KEYS: [&str; 24] = [
    "aliases",
    "allow",
    "ban",
    "body",
    "creator",
    "events",
    "events_default",
    "history_visibility",
    "invite",
    "join_authorised_via_users_server",
    "join_rule",
    "kick",
    "m.federate",
    "membership",
    "notifications",
    "redact",
    "redacts",
    "room_version",
    "signed",
    "state_default",
    "third_party_invite",
    "users",
    "users_default",
    "zz\"",
];

fn content() -> impl Strategy<Value = Value> {
    // Always an object: of other values some implementations keep something, which is no use to anybody
    // (docs/decisions/0103-events.md).
    let invite = prop_oneof![
        json_value().prop_map(|signed| json!({"display_name": "x", "signed": signed})),
        Just(json!({"display_name": "x"})),
    ];
    (vec((select(&CONTENT_KEYS[..]), json_value()), 0..8), option::of(invite)).prop_map(|(members, invite)| {
        let mut content: Map<String, Value> = members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        content.remove("third_party_invite");
        if let Some(invite) = invite {
            content.insert("third_party_invite".to_owned(), invite);
        }
        Value::Object(content)
    })
}

/// An event that has the format of a version. Hashes and signatures are of the right form and wrong.
pub(crate) fn event(version: RoomVersion) -> impl Strategy<Value = Value> {
    let core = (
        select(&KINDS[..]),
        option::of(prop_oneof![Just(String::new()), text()]),
        content(),
        vec(event_id(version), 0..4),
        vec(event_id(version), 0..4),
        0..LIMIT,
        -LIMIT..LIMIT,
        hash(),
    );
    let extras = vec(
        (
            select(vec!["origin", "membership", "prev_state", "com.example.x", "user_id", "replaces_state", "zzz"]),
            json_value(),
        ),
        0..3,
    );
    let redacts = option::of("[a-z$:]{1,12}");
    let sender = select(vec!["@alice:a.example", "@Ünïcode \n:b.example:80", "@:a.example"]);
    (core, extras, redacts, sender, hash()).prop_map(move |(core, extras, redacts, sender, id)| {
        let (kind, mut state_key, content, prev_events, auth_events, depth, ts, sha256) = core;
        let rules = version.rules();
        if kind == "m.room.create" && rules.room_ids == RoomIds::CreateEvent {
            // Only the one that creates the room: redaction of others is not the same everywhere, and all are rejected.
            state_key = Some(String::new());
        }
        let mut event = json!({
            "type": kind, "content": content, "prev_events": prev_events, "auth_events": auth_events, "depth": depth,
            "origin_server_ts": ts, "sender": sender, "hashes": {"sha256": base64::encode(&sha256)},
            "signatures": {"a.example": {"ed25519:1": base64::encode(&[1; 64])}},
        });
        for (key, value) in extras {
            event[key] = value;
        }
        if let Some(redacts) = redacts {
            event["redacts"] = json!(redacts);
        }
        let is_create = kind == "m.room.create" && state_key.as_deref() == Some("");
        match rules.room_ids {
            RoomIds::Chosen => event["room_id"] = json!("!room:a.example"),
            RoomIds::CreateEvent if is_create => {}
            RoomIds::CreateEvent => event["room_id"] = json!(format!("!{}", base64::encode_url(&id))),
        }
        if let Some(state_key) = state_key {
            event["state_key"] = json!(state_key);
        }
        if rules.event_ids == EventIds::Chosen {
            event["event_id"] = json!(format!("${}:a.example", &base64::encode_url(&id)[..12]));
        }
        event
    })
}

/// A version of a list, and an event of it.
pub(crate) fn event_of(versions: &'static [RoomVersion]) -> impl Strategy<Value = (RoomVersion, Value)> {
    select(versions).prop_flat_map(|version| (Just(version), event(version)))
}
