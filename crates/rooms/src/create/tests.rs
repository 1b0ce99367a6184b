use roost_matrix::room_version::RoomVersion;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Bed, bed, content, user};

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("not an object"),
    }
}

async fn kinds(bed: &Bed, room: &RoomId, reader: &UserId) -> Vec<String> {
    let mut kinds: Vec<_> =
        bed.events(room, reader).await.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect();
    kinds.reverse();
    kinds
}

#[tokio::test]
async fn events_of_a_new_room_come_in_the_specified_order() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let request = CreateRoom {
        alias: Some("here".to_owned()),
        name: Some("A room".to_owned()),
        topic: Some("Talk".to_owned()),
        invites: vec![(bob, MemberProfile::default())],
        initial_state: vec![InitialState {
            kind: "m.room.encryption".to_owned(),
            state_key: String::new(),
            content: content(&json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
        }],
        ..CreateRoom::new(&alice)
    };
    let room = bed.rooms.create(request).await.expect("a room");
    assert_eq!(
        kinds(&bed, &room, &alice).await,
        [
            "m.room.create",
            "m.room.member",
            "m.room.power_levels",
            "m.room.canonical_alias",
            "m.room.join_rules",
            "m.room.history_visibility",
            "m.room.guest_access",
            "m.room.encryption",
            "m.room.name",
            "m.room.topic",
            "m.room.member",
        ]
    );
}

#[tokio::test]
async fn every_room_version_can_be_created_with_every_preset() {
    let bed = bed().await;
    for version in RoomVersion::ALL {
        for preset in [Preset::PrivateChat, Preset::PublicChat, Preset::TrustedPrivateChat] {
            let (alice, bob) = (user("alice"), user("bob"));
            let request = CreateRoom {
                version: Some(version.as_str().to_owned()),
                preset: Some(preset),
                invites: vec![(bob.clone(), MemberProfile::default())],
                ..CreateRoom::new(&alice)
            };
            let room = bed.rooms.create(request).await.unwrap_or_else(|error| panic!("{version} {preset:?}: {error}"));
            bed.join(&room, &bob).await.expect("joined");
            bed.say(&room, &bob, "hello").await.expect("sent");
            assert_eq!(room.server_name().is_none(), version == RoomVersion::V12);
        }
    }
}

#[tokio::test]
async fn in_version_12_those_invited_to_a_trusted_chat_are_creators() {
    let bed = bed().await;
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let request = CreateRoom {
        preset: Some(Preset::TrustedPrivateChat),
        invites: vec![(bob.clone(), MemberProfile::default())],
        creation_content: map(json!({ "additional_creators": [carol, bob], "m.federate": false, "creator": "@x:y" })),
        ..CreateRoom::new(&alice)
    };
    let room = bed.rooms.create(request).await.expect("a room");
    let create: Value =
        serde_json::from_str(&bed.rooms.state_content(&room, &alice, "m.room.create", "").await.expect("state"))
            .expect("JSON");
    assert_eq!(create, json!({ "additional_creators": [carol, bob], "m.federate": false, "room_version": "12" }));
    let levels: Value =
        serde_json::from_str(&bed.rooms.state_content(&room, &alice, "m.room.power_levels", "").await.expect("state"))
            .expect("JSON");
    assert_eq!(levels["users"], json!({}));
    assert!(levels["events"]["m.room.tombstone"].as_i64() > levels["state_default"].as_i64());
    bed.join(&room, &bob).await.expect("joined");
    bed.rooms.kick(&room, &bob, &alice, None).await.expect_err("creators can not remove each other");
}

#[tokio::test]
async fn a_room_of_which_one_part_is_refused_does_not_exist_at_all() {
    let bed = bed().await;
    let alice = user("alice");
    let before = bed.store.frontier();
    let too_weak = CreateRoom {
        version: Some("11".to_owned()),
        name: Some("A room".to_owned()),
        alias: Some("taken".to_owned()),
        power_levels: map(json!({ "users": { "@alice:example.org": 0 } })),
        ..CreateRoom::new(&alice)
    };
    assert!(matches!(bed.rooms.create(too_weak).await, Err(Error::InvalidRoomState(_))));
    let creator_in_users =
        CreateRoom { power_levels: map(json!({ "users": { "@alice:example.org": 100 } })), ..CreateRoom::new(&alice) };
    assert!(matches!(bed.rooms.create(creator_in_users).await, Err(Error::InvalidRoomState(_))));
    assert_eq!(bed.store.frontier(), before);
    assert!(bed.rooms.joined_rooms(&alice).await.expect("rooms").is_empty());

    let named = CreateRoom { alias: Some("taken".to_owned()), ..CreateRoom::new(&alice) };
    let room = bed.rooms.create(named.clone()).await.expect("a room");
    assert!(matches!(bed.rooms.create(named).await, Err(Error::AliasTaken(_))));
    assert_eq!(bed.rooms.joined_rooms(&alice).await.expect("rooms"), [room]);
}

#[tokio::test]
async fn what_the_initial_state_says_takes_the_presets_place_and_name_takes_its() {
    let bed = bed().await;
    let alice = user("alice");
    let initial = |kind: &str, value: Value| InitialState {
        kind: kind.to_owned(),
        state_key: String::new(),
        content: content(&value),
    };
    let request = CreateRoom {
        initial_state: vec![
            initial("m.room.join_rules", json!({ "join_rule": "knock" })),
            initial("m.room.name", json!({ "name": "overwritten" })),
        ],
        name: Some("kept".to_owned()),
        ..CreateRoom::new(&alice)
    };
    let room = bed.rooms.create(request).await.expect("a room");
    let kinds = kinds(&bed, &room, &alice).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "m.room.join_rules").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| *kind == "m.room.name").count(), 1);
    let name = bed.rooms.state_content(&room, &alice, "m.room.name", "").await.expect("a name");
    assert_eq!(name, r#"{"name":"kept"}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_are_alike_in_everything_are_still_different_rooms() {
    let bed = bed().await;
    let alice = user("alice");
    let rooms = futures_util::future::join_all((0..50).map(|_| bed.rooms.create(CreateRoom::new(&alice)))).await;
    let ids: std::collections::HashSet<_> = rooms.into_iter().map(|room| room.expect("a room")).collect();
    assert_eq!(ids.len(), 50);
    assert_eq!(bed.rooms.joined_rooms(&alice).await.expect("rooms").len(), 50);
}
