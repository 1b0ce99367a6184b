//! What is left of a room to those who have left it, and how they come back.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms>

use roost_testkit::{Server, User, segment};
use serde_json::json;

use super::{bodies, good, public_room, refused};

#[tokio::test]
async fn who_has_left_reads_forwards_up_to_their_leave_and_no_further() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    let since = bob.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    alice.send(&room, "before").await;
    bob.leave(&room).await;
    alice.send(&room, "after").await;
    let messages = User::room_path(&room, &["messages"]);
    for query in ["dir=f&limit=100".to_owned(), format!("dir=f&limit=100&from={}", segment(&since)), "dir=b".to_owned()]
    {
        let page = good(bob.get(&format!("{messages}?{query}")).await);
        assert_eq!(bodies(&page["chunk"]), ["before"], "{query}");
    }
    refused(bob.get(&User::room_path(&room, &["joined_members"])).await, 403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_invitation_into_a_room_that_everybody_has_left_can_be_declined() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "invite": [bob.id] })).await;
    alice.leave(&room).await;
    bob.leave(&room).await;
    let answer = bob.sync(None).await;
    assert_eq!((&answer["rooms"]["invite"], &answer["rooms"]["join"]), (&json!({}), &json!({})));
}

#[tokio::test]
async fn who_made_a_room_and_left_it_can_be_invited_back() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    for version in ["11", "12"] {
        let room = alice.create_room(&json!({ "room_version": version, "invite": [bob.id] })).await;
        bob.join(&room).await;
        let levels = User::room_path(&room, &["state", "m.room.power_levels", ""]);
        let mut content = good(alice.get(&levels).await);
        content["users"][&bob.id] = json!(50);
        good(alice.put(&levels, &content).await);
        alice.leave(&room).await;
        refused(alice.post(&User::room_path(&room, &["join"]), &json!({})).await, 403, "M_FORBIDDEN");
        bob.invite(&room, &alice).await;
        alice.join(&room).await;
        alice.send(&room, "back").await;
    }
}

#[tokio::test]
async fn a_forgotten_room_comes_back_with_an_invitation() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "invite": [bob.id] })).await;
    bob.join(&room).await;
    alice.send(&room, "said before").await;
    bob.leave(&room).await;
    good(bob.post(&User::room_path(&room, &["forget"]), &json!({})).await);
    let filter = segment(&json!({ "room": { "include_leave": true } }).to_string());
    assert_eq!(bob.sync_with(&format!("filter={filter}")).await["rooms"]["leave"], json!({}));
    alice.invite(&room, &bob).await;
    assert!(bob.sync(None).await["rooms"]["invite"].get(&room).is_some());
    bob.join(&room).await;
    let page = good(bob.get(&(User::room_path(&room, &["messages"]) + "?dir=b")).await);
    assert_eq!(bodies(&page["chunk"]), ["said before"]);
}
