//! <https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms>

use roost_testkit::{Server, User};
use serde_json::json;

use super::{good, public_room, refused};

#[tokio::test]
async fn a_room_is_left_and_leaving_it_again_changes_nothing() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    let path = User::room_path(&room, &["leave"]);
    assert_eq!(good(bob.post(&path, &json!({ "reason": "bye" })).await), json!({}));
    let member = good(alice.get(&User::room_path(&room, &["state", "m.room.member", &bob.id])).await);
    assert_eq!(member, json!({ "membership": "leave", "reason": "bye" }));
    bob.leave(&room).await;
    assert_eq!(good(bob.get("/_matrix/client/v3/joined_rooms").await), json!({ "joined_rooms": [] }));
}

#[tokio::test]
async fn a_room_that_one_was_never_in_can_not_be_left() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    refused(bob.post(&User::room_path(&room, &["leave"]), &json!({})).await, 403, "M_FORBIDDEN");
    refused(bob.post(&User::room_path("!none:localhost", &["leave"]), &json!({})).await, 403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_room_is_forgotten_once_it_was_left() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    let path = User::room_path(&room, &["forget"]);
    refused(bob.post(&path, &json!({})).await, 400, "M_UNKNOWN");
    bob.leave(&room).await;
    let messages = User::room_path(&room, &["messages"]) + "?dir=b";
    good(bob.get(&messages).await);
    assert_eq!(good(bob.post(&path, &json!({})).await), json!({}));
    good(bob.post(&path, &json!({})).await);
    refused(bob.get(&messages).await, 403, "M_FORBIDDEN");
}
