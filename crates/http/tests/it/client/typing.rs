//! <https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>

use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::errcode;

fn path(room: &str, user: &User) -> String {
    User::room_path(room, &["typing", &user.id])
}

fn typing(sync: &Value, room: &str) -> Option<Value> {
    let events = sync["rooms"]["join"][room]["ephemeral"]["events"].as_array()?;
    let event = events.iter().find(|event| event["type"] == "m.typing")?;
    Some(event["content"]["user_ids"].clone())
}

#[tokio::test]
async fn members_see_who_types_and_who_has_stopped() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let next = |sync: &Value| sync["next_batch"].as_str().expect("a token").to_owned();
    let since = next(&bob.sync(None).await);
    assert_eq!(alice.put(&path(&room, &alice), &json!({ "typing": true, "timeout": 30_000 })).await, (200, json!({})));
    let sync = bob.sync(Some(&since)).await;
    assert_eq!(typing(&sync, &room), Some(json!([alice.id])));
    let since = next(&sync);
    assert_eq!(alice.put(&path(&room, &alice), &json!({ "typing": false })).await, (200, json!({})));
    let sync = bob.sync(Some(&since)).await;
    assert_eq!(typing(&sync, &room), Some(json!([])));
}

#[tokio::test]
async fn a_notice_ends_by_itself() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    alice.put(&path(&room, &alice), &json!({ "typing": true, "timeout": 300 })).await;
    let sync = bob.sync(None).await;
    assert_eq!(typing(&sync, &room), Some(json!([alice.id])));
    let since = sync["next_batch"].as_str().expect("a token");
    let sync = bob.sync_with(&format!("since={since}&timeout=10000")).await;
    assert_eq!(typing(&sync, &room), Some(json!([])), "the end wakes who waits");
}

#[tokio::test]
async fn one_types_for_oneself_in_rooms_one_is_in() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({})).await;
    let notice = json!({ "typing": true, "timeout": 1000 });
    for path in [path(&room, &alice), path(&room, &bob), path("!nowhere:localhost", &bob)] {
        let (status, body) = bob.put(&path, &notice).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"), "{path}");
    }
    assert_eq!(server.put(&path(&room, &alice), &notice).await.0, 401);
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    for request in [
        json!({}),
        json!({ "typing": "yes" }),
        json!({ "typing": true, "timeout": -1 }),
        json!({ "typing": true, "timeout": "long" }),
        json!({ "typing": true, "timeout": 1.5 }),
    ] {
        let (status, body) = alice.put(&path(&room, &alice), &request).await;
        assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"), "{request}");
    }
    assert_eq!(alice.put(&path(&room, &alice), &json!({ "typing": true })).await.0, 200, "the time may be left out");
}
