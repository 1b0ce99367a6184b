//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate>

use http::Method;
use roost_testkit::{Server, User};
use serde_json::json;

use super::{good, public_room, refused};

#[tokio::test]
async fn state_is_set_and_read_with_and_without_a_key() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    alice.set_state(&room, "org.example", "key/one", &json!({ "a": 1 })).await;
    assert_eq!(good(alice.get(&User::room_path(&room, &["state", "org.example", "key/one"])).await), json!({ "a": 1 }));
    for below in [&["state", "m.room.topic"][..], &["state", "m.room.topic", ""]] {
        let path = User::room_path(&room, below);
        let topic = format!("{}", below.len());
        good(alice.put(&path, &json!({ "topic": topic })).await);
        assert_eq!(good(alice.get(&path).await), json!({ "topic": topic }));
    }
    let all = good(alice.get(&User::room_path(&room, &["state"])).await);
    let all = all.as_array().unwrap();
    assert_eq!(all.iter().filter(|event| event["type"] == "m.room.topic").count(), 1);
    assert!(all.iter().all(|event| event["room_id"] == room.as_str() && event["state_key"].is_string()));
}

#[tokio::test]
async fn the_whole_event_is_told_if_asked_for() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    let id = alice.set_state(&room, "m.room.name", "", &json!({ "name": "x" })).await;
    let path = User::room_path(&room, &["state", "m.room.name", ""]);
    let event = good(alice.get(&format!("{path}?format=event")).await);
    assert_eq!((&event["event_id"], &event["sender"]), (&json!(id), &json!(alice.id)));
    assert_eq!(good(alice.get(&format!("{path}?format=content")).await), json!({ "name": "x" }));
    refused(alice.get(&format!("{path}?format=other")).await, 400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn state_that_is_not_there_and_rooms_that_one_is_not_in() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    refused(alice.get(&User::room_path(&room, &["state", "m.room.name", ""])).await, 404, "M_NOT_FOUND");
    refused(bob.get(&User::room_path(&room, &["state", "m.room.create", ""])).await, 403, "M_FORBIDDEN");
    refused(bob.get(&User::room_path(&room, &["state"])).await, 403, "M_FORBIDDEN");
    refused(bob.get(&User::room_path("!none:localhost", &["state"])).await, 403, "M_FORBIDDEN");
    refused(bob.put(&User::room_path(&room, &["state", "m.room.name", ""]), &json!({})).await, 403, "M_FORBIDDEN");
    bob.join(&room).await;
    refused(bob.put(&User::room_path(&room, &["state", "m.room.name", ""]), &json!({})).await, 403, "M_FORBIDDEN");
    let of_another = User::room_path(&room, &["state", "org.example", &bob.id]);
    refused(alice.put(&of_another, &json!({})).await, 403, "M_FORBIDDEN");
    let post =
        alice.request(Method::POST, &User::room_path(&room, &["state", "m.room.name", ""]), Some(&json!({}))).await;
    refused(post, 405, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn who_has_left_reads_the_state_of_when_they_left() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    alice.set_state(&room, "m.room.topic", "", &json!({ "topic": "then" })).await;
    good(alice.post(&User::room_path(&room, &["kick"]), &json!({ "user_id": bob.id })).await);
    alice.set_state(&room, "m.room.topic", "", &json!({ "topic": "now" })).await;
    let path = User::room_path(&room, &["state", "m.room.topic", ""]);
    assert_eq!(good(bob.get(&path).await), json!({ "topic": "then" }));
    let all = good(bob.get(&User::room_path(&room, &["state"])).await);
    let topic = all.as_array().unwrap().iter().find(|event| event["type"] == "m.room.topic").unwrap();
    assert_eq!(topic["content"], json!({ "topic": "then" }));
}

#[tokio::test]
async fn everybody_reads_the_state_of_a_room_that_the_world_may_read() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    alice.set_state(&room, "m.room.history_visibility", "", &json!({ "history_visibility": "world_readable" })).await;
    good(bob.get(&User::room_path(&room, &["state"])).await);
    good(bob.get(&User::room_path(&room, &["members"])).await);
    good(bob.get(&(User::room_path(&room, &["messages"]) + "?dir=b")).await);
}

#[tokio::test]
async fn a_canonical_alias_must_be_an_alias_of_the_room() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({ "room_alias_name": "here" })).await;
    alice.create_room(&json!({ "room_alias_name": "elsewhere" })).await;
    let path = User::room_path(&room, &["state", "m.room.canonical_alias", ""]);
    for (content, errcode) in [
        (json!({ "alias": "nonsense" }), "M_INVALID_PARAM"),
        (json!({ "alias": "#none:localhost" }), "M_BAD_ALIAS"),
        (json!({ "alias": "#elsewhere:localhost" }), "M_BAD_ALIAS"),
        (json!({ "alt_aliases": ["#here:localhost", "#none:localhost"] }), "M_BAD_ALIAS"),
        (json!({ "alt_aliases": ["nonsense"] }), "M_INVALID_PARAM"),
        (json!({ "alias": 7 }), "M_BAD_JSON"),
        (json!({ "alt_aliases": "#here:localhost" }), "M_BAD_JSON"),
    ] {
        refused(alice.put(&path, &content).await, 400, errcode);
    }
    good(alice.put(&path, &json!({ "alias": "#here:localhost", "alt_aliases": ["#here:localhost"] })).await);
    // One that has stopped to exist since may stay, and go.
    good(alice.delete("/_matrix/client/v3/directory/room/%23here%3Alocalhost").await);
    good(alice.put(&path, &json!({})).await);
}

#[tokio::test]
async fn a_membership_is_set_as_state_too() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({})).await;
    let path = User::room_path(&room, &["state", "m.room.member", &bob.id]);
    good(alice.put(&path, &json!({ "membership": "invite" })).await);
    good(bob.put(&path, &json!({ "membership": "join", "displayname": "B" })).await);
    assert_eq!(good(bob.get("/_matrix/client/v3/joined_rooms").await)["joined_rooms"], json!([room]));
    refused(alice.put(&path, &json!({ "membership": "join" })).await, 403, "M_FORBIDDEN");
    refused(alice.put(&path, &json!({ "membership": "nonsense" })).await, 403, "M_FORBIDDEN");
    let nobody = User::room_path(&room, &["state", "m.room.member", "nobody"]);
    refused(alice.put(&nobody, &json!({ "membership": "invite" })).await, 400, "M_INVALID_PARAM");
}
