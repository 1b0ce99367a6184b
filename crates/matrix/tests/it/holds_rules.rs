//! What holds for the rules whatever the events say. The fuzz targets (`crates/matrix/fuzz`) include this file.

use roost_matrix::{
    auth::{Checker, check, power::PowerLevels},
    event::Pdu,
    ids::{OwnedEventId, UserId},
    push::{Event, Owner, Room, RuleSet},
    room_version::{EventIds, RoomVersion},
    server_acl::ServerAcl,
};
use serde_json::{Value, json};

use crate::{
    dag::{Dag, Said, State, state_event},
    state_res::memory::{Memory, resolve},
};

const USER: &str = "@u1:a.example";
const KINDS: [&str; 8] = [
    "m.room.create",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.member",
    "m.room.third_party_invite",
    "m.room.server_acl",
    "m.room.topic",
    "m.room.redaction",
];

/// Any JSON object as the content of every event in a room and of an event to be checked: an answer comes, and the same one
/// from a checker that has seen other events.
pub(crate) fn auth(bytes: &[u8]) {
    let Ok(content) = serde_json::from_slice::<Value>(bytes) else { return };
    if !content.is_object() {
        return;
    }
    for version in [RoomVersion::V1, RoomVersion::V6, RoomVersion::V8, RoomVersion::V10, RoomVersion::V12] {
        let mut dag = Dag::empty(version);
        let parse = |json: &Value| Pdu::parse(json.to_string().as_bytes(), version.rules()).ok();
        let said = |kind: &'static str, key| state_event(USER, kind, key, content.clone());
        let create = dag.json(&said("m.room.create", ""), &[], &[]);
        let Some(create) = parse(&create) else { return };
        dag.room_id = Some(create.room_id().to_owned());
        let mut room = vec![create];
        for kind in &KINDS[1..] {
            for key in ["", USER, "token"] {
                room.extend(parse(&dag.json(&said(kind, key), &[], &[])));
            }
        }
        let view =
            |kind: &str, key: &str| room.iter().find(|pdu| pdu.kind() == kind && pdu.state_key() == Some(key)).cloned();
        let mut checker = Checker::default();
        for pdu in &room {
            assert_eq!(checker.check(pdu, &view), check(pdu, &view));
        }
        let power = PowerLevels::of(&view);
        let user = <&UserId>::try_from(USER).expect("a user id");
        let _ = (power.for_user(user), power.for_event("m.room.topic", true), power.notification("room"), power.ban());
        let _ = ServerAcl::of(&content.to_string()).allows(user.server_name());
        if let Ok(rules) = RuleSet::parse(&json!({"global": content}).to_string(), user) {
            let room_view = Room { member_count: 2, power: &power };
            for pdu in &room {
                let owner = Owner { user, display_name: Some("a") };
                let _ = rules.evaluate(&Event::of(pdu), &room_view, Some(owner));
            }
        }
    }
}

/// Any graph of events, also such as no server would accept: in circles where event ids are chosen, citing anything. Resolving
/// ends, and the order of the states means nothing.
pub(crate) fn resolution(bytes: &[u8]) {
    let Some((version, bytes)) = bytes.split_first() else { return };
    let version = RoomVersion::ALL[usize::from(*version) % 12];
    let (mut dag, created) = Dag::new(version);
    let create = created.values().next().expect("a create event").clone();
    let mut order = vec![create];
    let mut states = vec![created.clone(), created.clone(), created];
    for chunk in bytes.chunks_exact(8).take(64) {
        let &[kind, sender, target, level, first, second, third, into] = chunk else { return };
        let kind = KINDS[1 + usize::from(kind) % 7];
        let user = |number: u8| format!("@u{}:a.example", number % 4);
        let (sender, target) = (user(sender), user(target));
        let membership = ["join", "leave", "ban", "invite", "knock"][usize::from(level) % 5];
        let join_rule = ["public", "invite", "restricted"][usize::from(level) % 3];
        let content = json!({
            "membership": membership, "join_rule": join_rule,
            "users": {&target: level}, "users_default": level, "join_authorised_via_users_server": target,
        });
        let key = if kind == "m.room.member" { &*target } else { "" };
        let cite = |number: u8| -> OwnedEventId {
            if dag.rules.event_ids == EventIds::Chosen {
                // Also events that are still to come, or never do.
                format!("${}:a.example", 1 + usize::from(number) % (order.len() + 3)).try_into().expect("an event id")
            } else {
                order[usize::from(number) % order.len()].clone()
            }
        };
        let mut auth = vec![cite(first), cite(second), cite(third)];
        if !dag.rules.auth.create_is_auth_event {
            // No such event would be read.
            auth.retain(|id| *id != order[0]);
        }
        let said = Said { sender: &sender, kind, state_key: Some(key), content };
        dag.now = dag.now.wrapping_sub(u64::from(level % 8));
        let pdu = dag.put(&said, &[], &auth);
        let id = pdu.event_id().to_owned();
        order.push(id.clone());
        for (number, state) in states.iter_mut().enumerate() {
            if into >> number & 1 == 1 {
                state.insert((kind.to_owned(), key.to_owned()), id.clone());
            }
        }
    }
    let resolved = resolve(&Memory::new(&dag, &order, &states));
    let backwards: Vec<State> = states.into_iter().rev().collect();
    assert_eq!(resolve(&Memory::new(&dag, &order, &backwards)), resolved);
}
