//! Who made a room, and what that makes of them.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>, <https://spec.matrix.org/v1.19/rooms/v12/>

use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::{good, refused};

const CREATE: &str = "/_matrix/client/v3/createRoom";

async fn state(user: &User, room: &str, kind: &str) -> Value {
    good(user.get(&User::room_path(room, &["state", kind, ""])).await)
}

#[tokio::test]
async fn whom_one_trusts_gets_the_same_power_by_the_means_of_the_rooms_version() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let body = |version: &str| json!({ "room_version": version, "preset": "trusted_private_chat", "invite": [bob.id] });
    let older = alice.create_room(&body("11")).await;
    let levels = state(&alice, &older, "m.room.power_levels").await;
    assert_eq!(levels["users"], json!({ &alice.id: 100, &bob.id: 100 }));
    let newer = alice.create_room(&body("12")).await;
    assert_eq!(state(&alice, &newer, "m.room.create").await["additional_creators"], json!([bob.id]));
    let users = &state(&alice, &newer, "m.room.power_levels").await["users"];
    assert!(users.get(&alice.id).is_none() && users.get(&bob.id).is_none(), "{users}");
    bob.join(&newer).await;
    bob.set_state(&newer, "m.room.name", "", &json!({ "name": "Ours" })).await;
}

#[tokio::test]
async fn creators_have_no_power_level_of_their_own_from_version_12_on() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let body = json!({ "room_version": "12", "power_level_content_override": { "users": { &alice.id: 100 } } });
    let (status, answer) = alice.post(CREATE, &body).await;
    assert_eq!(status, 400, "{answer}");
    let room = alice
        .create_room(&json!({ "room_version": "12", "creation_content": { "additional_creators": [bob.id] } }))
        .await;
    let path = User::room_path(&room, &["state", "m.room.power_levels", ""]);
    for user in [&alice, &bob] {
        refused(alice.put(&path, &json!({ "users": { &user.id: 100 } })).await, 403, "M_FORBIDDEN");
    }
    // Nobody is above them: not even they can be removed by one another.
    alice.invite(&room, &bob).await;
    bob.join(&room).await;
    let kick = User::room_path(&room, &["kick"]);
    refused(alice.post(&kick, &json!({ "user_id": bob.id })).await, 403, "M_FORBIDDEN");
    refused(bob.post(&kick, &json!({ "user_id": alice.id })).await, 403, "M_FORBIDDEN");
}

#[tokio::test]
async fn the_first_sync_of_a_new_room_tells_how_it_was_made() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let since = alice.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let room = alice.create_room(&json!({ "name": "New", "topic": "Things" })).await;
    let answer = alice.sync(Some(&since)).await;
    let told = &answer["rooms"]["join"][&room];
    let events = [&told["state"]["events"], &told["timeline"]["events"]];
    let kinds: Vec<_> =
        events.iter().flat_map(|list| list.as_array().unwrap()).map(|event| event["type"].as_str().unwrap()).collect();
    for kind in
        ["m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules", "m.room.name", "m.room.topic"]
    {
        assert_eq!(kinds.iter().filter(|told| **told == kind).count(), 1, "{kind} in {kinds:?}");
    }
}
