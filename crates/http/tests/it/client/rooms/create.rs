//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>

use http::Method;
use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::{good, refused};

const PATH: &str = "/_matrix/client/v3/createRoom";

async fn state(user: &User, room: &str, kind: &str) -> Value {
    good(user.get(&User::room_path(room, &["state", kind, ""])).await)
}

#[tokio::test]
async fn a_room_is_as_it_was_asked_for() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice
        .create_room(&json!({
            "visibility": "public",
            "preset": "private_chat",
            "room_alias_name": "pub",
            "name": "The Pub",
            "topic": "Happy hour",
            "invite": [bob.id],
            "is_direct": true,
            "creation_content": { "m.federate": false, "type": "m.space", "creator": "@x:y", "room_version": "1" },
            "initial_state": [{ "type": "m.room.guest_access", "content": { "guest_access": "forbidden" } }],
            "power_level_content_override": { "kick": 77 },
        }))
        .await;
    let create = state(&alice, &room, "m.room.create").await;
    assert_eq!(create, json!({ "m.federate": false, "type": "m.space", "room_version": "12" }));
    assert_eq!(state(&alice, &room, "m.room.name").await, json!({ "name": "The Pub" }));
    assert_eq!(state(&alice, &room, "m.room.topic").await["topic"], "Happy hour");
    assert_eq!(state(&alice, &room, "m.room.canonical_alias").await, json!({ "alias": "#pub:localhost" }));
    assert_eq!(state(&alice, &room, "m.room.join_rules").await, json!({ "join_rule": "invite" }));
    assert_eq!(state(&alice, &room, "m.room.history_visibility").await, json!({ "history_visibility": "shared" }));
    assert_eq!(state(&alice, &room, "m.room.guest_access").await, json!({ "guest_access": "forbidden" }));
    let levels = state(&alice, &room, "m.room.power_levels").await;
    assert_eq!((&levels["kick"], &levels["ban"], &levels["users"]), (&json!(77), &json!(50), &json!({})));
    let invite = good(alice.get(&User::room_path(&room, &["state", "m.room.member", &bob.id])).await);
    assert_eq!((&invite["membership"], &invite["is_direct"]), (&json!("invite"), &json!(true)));
    let listed = good(server.get("/_matrix/client/v3/publicRooms").await);
    assert_eq!(listed["chunk"][0]["room_id"], room.as_str());
    assert_eq!(listed["chunk"][0]["room_type"], "m.space");
    bob.join(&room).await;
}

#[tokio::test]
async fn presets_are_as_specified_and_follow_the_visibility() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for (body, rule, guests) in [
        (json!({}), "invite", "can_join"),
        (json!({ "visibility": "public" }), "public", "forbidden"),
        (json!({ "preset": "trusted_private_chat" }), "invite", "can_join"),
        (json!({ "preset": "public_chat" }), "public", "forbidden"),
    ] {
        let room = alice.create_room(&body).await;
        assert_eq!(state(&alice, &room, "m.room.join_rules").await["join_rule"], rule, "{body}");
        assert_eq!(state(&alice, &room, "m.room.guest_access").await["guest_access"], guests, "{body}");
        assert_eq!(state(&alice, &room, "m.room.history_visibility").await["history_visibility"], "shared");
    }
}

#[tokio::test]
async fn every_room_version_can_be_asked_for_and_the_default_is_configured() {
    let server = Server::with(|config| config.top.default_room_version = "10".to_owned()).await;
    let alice = server.register("alice").await;
    for version in 1..=12 {
        let room = alice.create_room(&json!({ "room_version": version.to_string() })).await;
        let create = state(&alice, &room, "m.room.create").await;
        assert_eq!(create["room_version"], version.to_string());
        assert_eq!(create.get("creator").is_some(), version < 11);
        alice.send(&room, "hello").await;
    }
    let room = alice.create_room(&json!({})).await;
    assert_eq!(state(&alice, &room, "m.room.create").await["room_version"], "10");
    refused(alice.post(PATH, &json!({ "room_version": "99" })).await, 400, "M_UNSUPPORTED_ROOM_VERSION");
}

#[tokio::test]
async fn what_can_not_be_created_is_refused_with_the_reason() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    alice.create_room(&json!({ "room_alias_name": "taken" })).await;
    refused(alice.post(PATH, &json!({ "room_alias_name": "taken" })).await, 400, "M_ROOM_IN_USE");
    refused(alice.post(PATH, &json!({ "room_alias_name": "a:b" })).await, 400, "M_INVALID_PARAM");
    let weak = json!({ "name": "x", "room_version": "11", "power_level_content_override": { "users": { alice.id.as_str(): 0 } } });
    refused(alice.post(PATH, &weak).await, 400, "M_INVALID_ROOM_STATE");
    refused(alice.post(PATH, &json!({ "invite": ["bob"] })).await, 400, "M_BAD_JSON");
    refused(alice.post(PATH, &json!({ "name": 7 })).await, 400, "M_BAD_JSON");
    refused(alice.post(PATH, &json!({ "preset": "cosy" })).await, 400, "M_BAD_JSON");
    refused(alice.post(PATH, &json!({ "visibility": "dim" })).await, 400, "M_BAD_JSON");
    refused(alice.post(PATH, &json!({ "initial_state": [{ "type": "x" }] })).await, 400, "M_BAD_JSON");
    let many = vec![json!({ "type": "x", "content": {} }); 1001];
    refused(alice.post(PATH, &json!({ "initial_state": many })).await, 400, "M_INVALID_PARAM");
    refused(alice.post(PATH, &json!({ "initial_state": [{ "type": "x", "content": 1 }] })).await, 400, "M_BAD_JSON");
    refused(alice.post(PATH, &json!({ "creation_content": [] })).await, 400, "M_BAD_JSON");
    refused(
        alice.post(PATH, &json!({ "creation_content": { "additional_creators": "x" } })).await,
        400,
        "M_INVALID_ROOM_STATE",
    );
    refused(alice.post(PATH, &json!({ "topic": "x".repeat(70_000) })).await, 413, "M_TOO_LARGE");
    refused(server.post(PATH, &json!({})).await, 401, "M_MISSING_TOKEN");
    let token = format!("Bearer {}", alice.token);
    let answer = server.client().raw(Method::POST, PATH, &[("authorization", &token)], "{").await;
    refused((answer.status, answer.json()), 400, "M_NOT_JSON");
    // Nothing of all that is left behind.
    let joined = good(alice.get("/_matrix/client/v3/joined_rooms").await);
    assert_eq!(joined["joined_rooms"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_body_and_the_old_path_create_a_room_too() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let token = format!("Bearer {}", alice.token);
    let answer =
        server.client().raw(Method::POST, "/_matrix/client/r0/createRoom", &[("authorization", &token)], "").await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
}
