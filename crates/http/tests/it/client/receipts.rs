//! <https://spec.matrix.org/v1.19/client-server-api/#receipts>

use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::errcode;

fn path(room: &str, kind: &str, event: &str) -> String {
    User::room_path(room, &["receipt", kind, event])
}

fn next(sync: &Value) -> String {
    sync["next_batch"].as_str().expect("a token").to_owned()
}

/// The receipts in a sync, as a client keeps them: from event, type and user to all that is said there. The server may
/// tell them in one event or, as the specification recommends, in one for each thread.
fn receipts(sync: &Value, room: &str) -> Value {
    let mut all = Value::Null;
    let events = sync["rooms"]["join"][room]["ephemeral"]["events"].as_array().cloned().unwrap_or_default();
    for event in events.iter().filter(|event| event["type"] == "m.receipt") {
        for (event_id, kinds) in event["content"].as_object().expect("content") {
            for (kind, users) in kinds.as_object().expect("types") {
                for (user, receipt) in users.as_object().expect("users") {
                    all[event_id][kind][user] = receipt.clone();
                }
            }
        }
    }
    all
}

#[tokio::test]
async fn everybody_in_the_room_sees_public_receipts() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let event = alice.send(&room, "hello").await;
    let since = next(&alice.sync(None).await);
    assert_eq!(bob.post(&path(&room, "m.read", &event), &json!({})).await, (200, json!({})));
    let content = receipts(&alice.sync(Some(&since)).await, &room);
    let receipt = &content[&event]["m.read"][&bob.id];
    assert!(receipt["ts"].as_u64().is_some_and(|ts| ts > 1_600_000_000_000), "{content}");
    assert_eq!(receipt.get("thread_id"), None);
}

#[tokio::test]
async fn private_receipts_are_for_ones_own_devices() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let event = alice.send(&room, "hello").await;
    let (alices, bobs) = (next(&alice.sync(None).await), next(&bob.sync(None).await));
    assert_eq!(bob.post(&path(&room, "m.read.private", &event), &json!({})).await.0, 200);
    assert!(!alice.sync(Some(&alices)).await.to_string().contains("m.read.private"));
    assert!(!alice.sync(None).await.to_string().contains("m.read.private"), "nor from the beginning");
    let content = receipts(&bob.sync(Some(&bobs)).await, &room);
    assert!(content[&event]["m.read.private"][&bob.id]["ts"].is_u64(), "{content}");
}

#[tokio::test]
async fn the_latest_receipt_of_a_kind_and_thread_wins() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    let (first, second) = (alice.send(&room, "one").await, alice.send(&room, "two").await);
    for (event, body) in [
        (&first, json!({})),
        (&second, json!({})),
        (&second, json!({ "thread_id": "main" })),
        (&first, json!({ "thread_id": "main" })),
    ] {
        assert_eq!(alice.post(&path(&room, "m.read", event), &body).await.0, 200);
    }
    let content = receipts(&alice.sync(None).await, &room);
    assert_eq!(content[&first]["m.read"][&alice.id]["thread_id"], "main", "{content}");
    assert_eq!(content[&second]["m.read"][&alice.id].get("thread_id"), None, "{content}");
    assert!(content[&second]["m.read"][&alice.id]["ts"].is_u64(), "{content}");
}

#[tokio::test]
async fn threads_are_checked() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    let (top, other) = (alice.send(&room, "root").await, alice.send(&room, "other").await);
    let relation = json!({ "rel_type": "m.thread", "event_id": top });
    let content = json!({ "msgtype": "m.text", "body": "in", "m.relates_to": relation });
    let in_thread = alice.send_event(&room, "m.room.message", "txn", &content).await;
    let good = [(&in_thread, top.as_str()), (&top, "main"), (&other, "main"), (&top, top.as_str())];
    for (event, thread) in good {
        let (status, body) = alice.post(&path(&room, "m.read", event), &json!({ "thread_id": thread })).await;
        assert_eq!((status, body), (200, json!({})), "{thread}");
    }
    let bad = [
        ("m.read", &in_thread, json!("main")),
        ("m.read", &other, json!(top)),
        ("m.read.private", &other, json!("$unknown")),
        ("m.read", &other, json!("")),
        ("m.read", &other, json!(7)),
        ("m.read", &other, Value::Null),
        ("m.fully_read", &other, json!("main")),
    ];
    for (kind, event, thread) in bad {
        let (status, body) = alice.post(&path(&room, kind, event), &json!({ "thread_id": thread })).await;
        assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"), "{kind} {thread}");
    }
}

#[tokio::test]
async fn receipts_are_for_members_and_for_events_of_the_room() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, other) = (alice.create_room(&json!({})).await, alice.create_room(&json!({})).await);
    let event = alice.send(&room, "hello").await;
    for kind in ["m.read", "m.read.private", "m.fully_read"] {
        let (status, body) = bob.post(&path(&room, kind, &event), &json!({})).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"), "{kind}");
        for path in [path(&other, kind, &event), path(&room, kind, "$unknown")] {
            let (status, body) = alice.post(&path, &json!({})).await;
            assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"), "{path}");
        }
    }
    let (status, body) = alice.post(&path(&room, "m.seen", &event), &json!({})).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    let (status, body) = alice.post(&path(&room, "m.read", "nonsense"), &json!({})).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    assert_eq!(server.post(&path(&room, "m.read", &event), &json!({})).await.0, 401);
}

mod read_markers {
    //! <https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers>

    use super::*;

    fn markers(room: &str) -> String {
        User::room_path(room, &["read_markers"])
    }

    #[tokio::test]
    async fn one_request_moves_the_marker_and_the_receipts() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let room = alice.create_room(&json!({})).await;
        let events = [alice.send(&room, "1").await, alice.send(&room, "2").await, alice.send(&room, "3").await];
        let since = next(&alice.sync(None).await);
        let request = json!({ "m.fully_read": events[0], "m.read": events[1], "m.read.private": events[2] });
        assert_eq!(alice.post(&markers(&room), &request).await, (200, json!({})));
        let sync = alice.sync(Some(&since)).await;
        let data = &sync["rooms"]["join"][&room]["account_data"]["events"];
        assert_eq!(*data, json!([{ "type": "m.fully_read", "content": { "event_id": events[0] } }]));
        let content = receipts(&sync, &room);
        assert!(content[&events[1]]["m.read"][&alice.id]["ts"].is_u64(), "{content}");
        assert!(content[&events[2]]["m.read.private"][&alice.id]["ts"].is_u64(), "{content}");
    }

    #[tokio::test]
    async fn a_receipt_of_type_fully_read_does_the_same() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let room = alice.create_room(&json!({})).await;
        let event = alice.send(&room, "hello").await;
        assert_eq!(alice.post(&path(&room, "m.fully_read", &event), &json!({})).await, (200, json!({})));
        let sync = alice.sync(None).await;
        let data = sync["rooms"]["join"][&room]["account_data"]["events"].clone();
        assert_eq!(data, json!([{ "type": "m.fully_read", "content": { "event_id": event } }]));
        assert_eq!(receipts(&sync, &room), Value::Null);
    }

    #[tokio::test]
    async fn bad_requests_change_nothing() {
        let server = Server::start().await;
        let (alice, bob) = (server.register("alice").await, server.register("bob").await);
        let room = alice.create_room(&json!({})).await;
        let event = alice.send(&room, "hello").await;
        let cases = [
            (json!({ "m.read": 7 }), 400, "M_BAD_JSON"),
            (json!({ "m.read": "nonsense" }), 400, "M_BAD_JSON"),
            (json!({ "m.read": event, "m.fully_read": "$unknown" }), 404, "M_NOT_FOUND"),
        ];
        for (request, status, expected) in cases {
            let (found, body) = alice.post(&markers(&room), &request).await;
            assert_eq!((found, errcode(&body)), (status, expected), "{request}");
        }
        assert_eq!(receipts(&alice.sync(None).await, &room), Value::Null, "nothing was half-written");
        let (status, body) = bob.post(&markers(&room), &json!({ "m.read": event })).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
        assert_eq!(alice.post(&markers(&room), &json!({})).await, (200, json!({})), "nothing asked, nothing done");
    }
}

#[tokio::test]
async fn a_thread_is_named_by_no_more_than_an_event_id() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    let thread = "x".repeat(5000);
    let content = json!({ "body": "hm", "m.relates_to": { "rel_type": "m.thread", "event_id": thread } });
    let event = alice.send_event(&room, "m.room.message", "1", &content).await;
    let (status, body) = alice.post(&path(&room, "m.read", &event), &json!({ "thread_id": thread })).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
}
