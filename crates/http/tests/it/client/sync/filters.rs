//! Filters, stored and inline.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use roost_testkit::segment;
use serde_json::json;

use super::{filtered, joined, keys, next, said, two};

#[tokio::test]
async fn a_stored_filter_is_used_like_an_inline_one() {
    let (_server, alice, bob, room) = two().await;
    alice.send(&room, "hello").await;
    let definition = json!({"room": {"timeline": {"types": ["m.room.message"]}}});
    let path = format!("/_matrix/client/v3/user/{}/filter", segment(&bob.id));
    let (status, stored) = bob.post(&path, &definition).await;
    assert_eq!(status, 200, "{stored}");
    let id = stored["filter_id"].as_str().unwrap();
    for query in [format!("filter={id}"), filtered(&definition)] {
        assert_eq!(said(joined(&bob.sync_with(&query).await, &room)), ["hello"]);
    }
}

#[tokio::test]
async fn timelines_are_filtered_by_type_sender_and_url() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.send(&room, "from alice").await;
    bob.send(&room, "from bob").await;
    let image = json!({"msgtype": "m.image", "body": "image", "url": "mxc://example.org/a"});
    alice.send_event(&room, "m.room.message", "image", &image).await;
    alice.set_state(&room, "m.room.topic", "", &json!({"topic": "x"})).await;
    for (timeline, expected) in [
        (json!({"types": ["m.room.*"]}), vec!["from alice", "from bob", "image", "m.room.topic"]),
        (json!({"types": ["*topic"]}), vec!["m.room.topic"]),
        (json!({"not_types": ["m.*.message"]}), vec!["m.room.topic"]),
        (json!({"senders": [bob.id]}), vec!["from bob"]),
        (json!({"not_senders": [bob.id], "types": ["m.room.message"]}), vec!["from alice", "image"]),
        (json!({"contains_url": true}), vec!["image"]),
        (json!({"contains_url": false, "senders": [alice.id]}), vec!["from alice", "m.room.topic"]),
    ] {
        let filter = filtered(&json!({"room": {"timeline": timeline}}));
        let answer = bob.sync_with(&format!("{}&{filter}", next(&first))).await;
        assert_eq!(said(joined(&answer, &room)), expected, "{timeline}");
    }
}

#[tokio::test]
async fn rooms_are_left_out_of_the_answer_or_of_the_timelines() {
    let (_server, alice, _bob, room) = two().await;
    let other = alice.create_room(&json!({})).await;
    let shown = async |filter: serde_json::Value| {
        let answer = alice.sync_with(&filtered(&json!({"room": filter}))).await;
        let mut rooms: Vec<_> = answer["rooms"]["join"].as_object().unwrap().keys().cloned().collect();
        rooms.sort();
        rooms
    };
    let mut both = [room.clone(), other.clone()];
    both.sort();
    assert_eq!(shown(json!({})).await, both);
    assert_eq!(shown(json!({"rooms": [room]})).await, std::slice::from_ref(&room));
    assert_eq!(shown(json!({"not_rooms": [room]})).await, std::slice::from_ref(&other));
    assert_eq!(shown(json!({"rooms": [room], "not_rooms": [room]})).await, Vec::<String>::new());
    let answer = alice.sync_with(&filtered(&json!({"room": {"timeline": {"not_rooms": [room]}}}))).await;
    assert!(said(joined(&answer, &room)).is_empty());
    assert!(keys(&joined(&answer, &room)["state"]).contains(&("m.room.create", "")));
    assert!(!said(joined(&answer, &other)).is_empty());
}

#[tokio::test]
async fn state_and_account_data_have_filters_of_their_own() {
    let (_server, alice, _bob, room) = two().await;
    let path = format!("/_matrix/client/v3/user/{}", segment(&alice.id));
    for kind in ["org.example.a", "org.example.b"] {
        assert_eq!(alice.put(&format!("{path}/account_data/{kind}"), &json!({"a": 1})).await.0, 200);
        let path = format!("{path}/rooms/{}/account_data/{kind}", segment(&room));
        assert_eq!(alice.put(&path, &json!({"a": 1})).await.0, 200);
    }
    let filter = filtered(&json!({
        "account_data": {"types": ["org.example.a"]},
        "room": {
            "timeline": {"limit": 1},
            "state": {"types": ["m.room.name", "m.room.create"]},
            "account_data": {"not_types": ["org.example.a"]},
        },
    }));
    let answer = alice.sync_with(&filter).await;
    let kinds = |list: &serde_json::Value| -> Vec<String> {
        list["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&answer["account_data"]), ["org.example.a"]);
    assert_eq!(kinds(&joined(&answer, &room)["account_data"]), ["org.example.b"]);
    assert_eq!(keys(&joined(&answer, &room)["state"]), [("m.room.create", ""), ("m.room.name", "")]);
}

#[tokio::test]
async fn event_fields_leave_out_the_others_but_for_what_every_event_has() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    let id = alice.send(&room, "hello").await;
    let filter = filtered(&json!({"event_fields": ["type", "content.body"]}));
    let answer = bob.sync_with(&format!("{}&{filter}", next(&first))).await;
    let event = &joined(&answer, &room)["timeline"]["events"][0];
    let moment = &event["origin_server_ts"];
    assert!(moment.is_u64());
    assert_eq!(
        event,
        &json!({
            "event_id": id, "type": "m.room.message", "sender": alice.id, "origin_server_ts": moment,
            "content": {"body": "hello"},
        })
    );
}

#[tokio::test]
async fn the_federation_format_is_that_of_servers() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.send(&room, "hello").await;
    let filter = filtered(&json!({"event_format": "federation"}));
    let answer = bob.sync_with(&format!("{}&{filter}", next(&first))).await;
    let event = &joined(&answer, &room)["timeline"]["events"][0];
    assert!(event["auth_events"].is_array() && event["prev_events"].is_array());
    assert!(event["signatures"].is_object() && event["hashes"].is_object());
    assert_eq!(event["content"]["body"], "hello");
}

#[tokio::test]
async fn what_the_filter_hides_does_not_end_a_long_poll() {
    let (_server, alice, bob, room) = two().await;
    let filter = filtered(&json!({"room": {"timeline": {"types": ["m.room.topic"]}}}));
    let first = bob.sync_with(&filter).await;
    alice.send(&room, "hidden").await;
    let answer = bob.sync_with(&format!("{}&{filter}&timeout=200", next(&first))).await;
    assert_eq!(answer["rooms"]["join"], json!({}));
    assert_ne!(answer["next_batch"], first["next_batch"], "it is not to be looked at again");
    let answer = bob.sync_with(&next(&first)).await;
    assert_eq!(said(joined(&answer, &room)), ["hidden"]);
}
