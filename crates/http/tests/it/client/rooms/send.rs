//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>

use http::Method;
use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::{bodies, good, public_room, refused};

#[tokio::test]
async fn the_same_transaction_id_sends_one_event_for_each_device() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    let first = alice.send(&room, "one").await;
    assert_eq!(alice.send(&room, "one").await, first);
    let other_device = server.log_in(&alice).await;
    assert_ne!(other_device.send(&room, "one").await, first);
    let elsewhere = public_room(&alice).await;
    assert_ne!(alice.send(&elsewhere, "one").await, first);
    assert_ne!(alice.send_event(&room, "m.other", "one", &json!({})).await, first);
    let page = good(alice.get(&(User::room_path(&room, &["messages"]) + "?dir=f&limit=100")).await);
    assert_eq!(bodies(&page["chunk"]), ["one", "one"]);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let mut server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    let first = alice.send(&room, "before").await;
    server.restart().await;
    assert_eq!(alice.send(&room, "before").await, first, "the transaction id is remembered, too");
    alice.send(&room, "after").await;
    let page = good(alice.get(&(User::room_path(&room, &["messages"]) + "?dir=f&limit=100")).await);
    assert_eq!(bodies(&page["chunk"]), ["before", "after"]);
}

#[tokio::test]
async fn only_members_with_enough_power_send() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice
        .create_room(&json!({ "preset": "public_chat", "power_level_content_override": { "events_default": 10 } }))
        .await;
    let path = User::room_path(&room, &["send", "m.room.message", "1"]);
    refused(bob.put(&path, &json!({})).await, 403, "M_FORBIDDEN");
    bob.join(&room).await;
    refused(bob.put(&path, &json!({})).await, 403, "M_FORBIDDEN");
    refused(server.put(&path, &json!({})).await, 401, "M_MISSING_TOKEN");
    let nowhere = User::room_path("!none:localhost", &["send", "m.room.message", "1"]);
    refused(alice.put(&nowhere, &json!({})).await, 403, "M_FORBIDDEN");
    let nonsense = "/_matrix/client/v3/rooms/nonsense/send/m.room.message/1";
    refused(alice.put(nonsense, &json!({})).await, 400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn content_that_no_event_can_have_is_refused() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let strict = alice.create_room(&json!({ "room_version": "6" })).await;
    let lenient = alice.create_room(&json!({ "room_version": "5" })).await;
    let path = |room: &str, txn: &str| User::room_path(room, &["send", "m.room.message", txn]);
    for (txn, value) in [("a", "1.5"), ("b", "9007199254740992"), ("c", "-9007199254740992"), ("d", "1e3")] {
        let body = serde_json::from_str(&format!("{{\"number\":{value}}}")).unwrap();
        refused(alice.put(&path(&strict, txn), &body).await, 400, "M_BAD_JSON");
    }
    good(alice.put(&path(&strict, "e"), &json!({ "number": 9_007_199_254_740_991_i64 })).await);
    good(alice.put(&path(&lenient, "f"), &json!({ "number": 1.5 })).await);

    refused(alice.put(&path(&strict, "g"), &json!({ "body": "x".repeat(65_536) })).await, 413, "M_TOO_LARGE");
    refused(alice.put(&path(&strict, "h"), &json!([])).await, 400, "M_BAD_JSON");
    let long = User::room_path(&strict, &["send", &"k".repeat(256), "i"]);
    refused(alice.put(&long, &json!({})).await, 413, "M_TOO_LARGE");
    let long = User::room_path(&strict, &["send", "m.room.message", &"t".repeat(256)]);
    refused(alice.put(&long, &json!({})).await, 400, "M_INVALID_PARAM");

    let token = format!("Bearer {}", alice.token);
    for (body, errcode) in [
        (b"{\"a\":".to_vec(), "M_NOT_JSON"),
        (b"{\"a\":\"\xff\"}".to_vec(), "M_NOT_JSON"),
        (format!("{{\"a\":{}{}}}", "[".repeat(2000), "]".repeat(2000)).into_bytes(), "M_BAD_JSON"),
    ] {
        let answer = server.client().raw(Method::PUT, &path(&strict, "j"), &[("authorization", &token)], body).await;
        refused((answer.status, answer.json()), 400, errcode);
    }
    let page = good(alice.get(&(User::room_path(&strict, &["messages"]) + "?dir=b&limit=1")).await);
    assert_eq!(page["chunk"][0]["content"], json!({ "number": 9_007_199_254_740_991_i64 }), "nothing else was written");
}

#[tokio::test]
async fn an_event_type_may_be_any_text() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    let kind = "org.example/ä %20?";
    let event = alice.send_event(&room, kind, "a/b c", &json!({ "a": 1 })).await;
    let event = good(alice.get(&User::room_path(&room, &["event", &event])).await);
    assert_eq!((event["type"].as_str(), &event["content"]), (Some(kind), &json!({ "a": 1 })));
    assert_eq!(event["unsigned"]["transaction_id"], "a/b c");
}

#[tokio::test]
async fn a_transaction_id_outlives_the_access_token_it_was_first_used_with() {
    let server = Server::start().await;
    let request = json!({ "username": "alice", "auth": { "type": "m.login.dummy" }, "refresh_token": true });
    let first = good(server.post("/_matrix/client/v3/register", &request).await);
    let mut alice = server.register("other").await;
    let text = |answer: &Value, key: &str| answer[key].as_str().unwrap().to_owned();
    alice.token = text(&first, "access_token");
    let room = public_room(&alice).await;
    let sent = alice.send(&room, "once").await;
    let refresh = json!({ "refresh_token": first["refresh_token"] });
    let second = good(server.post("/_matrix/client/v3/refresh", &refresh).await);
    alice.token = text(&second, "access_token");
    assert_eq!(alice.send(&room, "once").await, sent);
    let event = good(alice.get(&User::room_path(&room, &["event", &sent])).await);
    assert_eq!(event["unsigned"]["transaction_id"], "once");
}
