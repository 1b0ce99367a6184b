//! What is told beside events: account data, tags, receipts, typing; and whom the user ignores.

use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

use super::{joined, next, said, two};

fn of_kind<'a>(list: &'a Value, kind: &str) -> Vec<&'a Value> {
    list["events"].as_array().unwrap().iter().filter(|event| event["type"] == kind).collect()
}

async fn put(user: &User, below: &str, body: &Value) {
    let (status, answer) = user.put(&format!("/_matrix/client/v3/user/{}/{below}", segment(&user.id)), body).await;
    assert_eq!(status, 200, "{below}: {answer}");
}

async fn receipt(user: &User, room: &str, kind: &str, event: &str, body: &Value) {
    let (status, answer) = user.post(&User::room_path(room, &["receipt", kind, event]), body).await;
    assert_eq!(status, 200, "{kind}: {answer}");
}

#[tokio::test]
async fn account_data_comes_when_it_changes_and_only_to_its_owner() {
    let (_server, alice, bob, room) = two().await;
    let (first, others) = (alice.sync(None).await, bob.sync(None).await);
    put(&alice, "account_data/org.example.a", &json!({"n": 1})).await;
    put(&alice, &format!("rooms/{}/account_data/org.example.b", segment(&room)), &json!({"n": 2})).await;
    put(&alice, &format!("rooms/{}/tags/u.work", segment(&room)), &json!({"order": 0.5})).await;
    let second = alice.sync_with(&next(&first)).await;
    assert_eq!(second["account_data"]["events"], json!([{"type": "org.example.a", "content": {"n": 1}}]));
    let shown = joined(&second, &room);
    assert_eq!(of_kind(&shown["account_data"], "org.example.b")[0]["content"], json!({"n": 2}));
    assert_eq!(of_kind(&shown["account_data"], "m.tag")[0]["content"], json!({"tags": {"u.work": {"order": 0.5}}}));
    assert_eq!(said(shown), Vec::<&str>::new());
    let third = alice.sync_with(&next(&second)).await;
    assert_eq!(third["account_data"]["events"], json!([]));
    assert_eq!(third["rooms"]["join"], json!({}));
    let anew = alice.sync(None).await;
    assert_eq!(of_kind(&anew["account_data"], "org.example.a").len(), 1);
    assert_eq!(of_kind(&joined(&anew, &room)["account_data"], "m.tag").len(), 1);
    assert_eq!(bob.sync_with(&next(&others)).await["rooms"]["join"], json!({}));
}

#[tokio::test]
async fn the_first_sync_has_the_push_rules_and_later_ones_their_changes() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let first = alice.sync(None).await;
    let rules = of_kind(&first["account_data"], "m.push_rules")[0];
    let (status, asked) = alice.get("/_matrix/client/v3/pushrules/").await;
    assert_eq!((status, &asked), (200, &rules["content"]));
    assert!(alice.sync_with(&next(&first)).await["account_data"]["events"].as_array().unwrap().is_empty());
    let path = "/_matrix/client/v3/pushrules/global/content/cake";
    assert_eq!(alice.put(path, &json!({"pattern": "cake", "actions": ["notify"]})).await.0, 200);
    let second = alice.sync_with(&next(&first)).await;
    let rules = &of_kind(&second["account_data"], "m.push_rules")[0]["content"]["global"];
    assert_eq!(rules["content"][0]["rule_id"], "cake");
    assert_eq!(rules["override"][0]["rule_id"], ".m.rule.master");
}

#[tokio::test]
async fn receipts_are_told_by_event_kind_and_user_and_threads_apart() {
    let (_server, alice, bob, room) = two().await;
    let event = alice.send(&room, "one").await;
    let first = alice.sync(None).await;
    receipt(&bob, &room, "m.read", &event, &json!({})).await;
    let second = alice.sync_with(&next(&first)).await;
    let shown = joined(&second, &room);
    let content = &of_kind(&shown["ephemeral"], "m.receipt")[0]["content"];
    assert!(content[&event]["m.read"][&bob.id]["ts"].is_u64(), "{content}");
    assert_eq!(said(shown), Vec::<&str>::new());
    receipt(&bob, &room, "m.read", &event, &json!({"thread_id": "main"})).await;
    let third = alice.sync_with(&next(&second)).await;
    let content = &of_kind(&joined(&third, &room)["ephemeral"], "m.receipt")[0]["content"];
    assert_eq!(content[&event]["m.read"][&bob.id]["thread_id"], "main");
    // Both stand: one is about the thread, the other about the room.
    let anew = alice.sync(None).await;
    assert_eq!(of_kind(&joined(&anew, &room)["ephemeral"], "m.receipt").len(), 2);
}

#[tokio::test]
async fn a_private_receipt_is_shown_to_its_owner_only() {
    let (_server, alice, bob, room) = two().await;
    let event = alice.send(&room, "one").await;
    let (mine, others) = (bob.sync(None).await, alice.sync(None).await);
    receipt(&bob, &room, "m.read.private", &event, &json!({})).await;
    let answer = bob.sync_with(&next(&mine)).await;
    let content = &of_kind(&joined(&answer, &room)["ephemeral"], "m.receipt")[0]["content"];
    assert!(content[&event]["m.read.private"][&bob.id].is_object());
    for answer in [alice.sync_with(&next(&others)).await, alice.sync(None).await] {
        assert!(!answer.to_string().contains("m.read.private"));
    }
}

#[tokio::test]
async fn a_read_marker_comes_as_account_data_of_the_room() {
    let (_server, alice, bob, room) = two().await;
    let event = alice.send(&room, "one").await;
    let first = bob.sync(None).await;
    let path = User::room_path(&room, &["read_markers"]);
    let (status, answer) = bob.post(&path, &json!({"m.fully_read": event, "m.read": event})).await;
    assert_eq!(status, 200, "{answer}");
    let second = bob.sync_with(&next(&first)).await;
    let shown = joined(&second, &room);
    assert_eq!(of_kind(&shown["account_data"], "m.fully_read")[0]["content"], json!({"event_id": event}));
    assert_eq!(of_kind(&shown["ephemeral"], "m.receipt").len(), 1);
}

#[tokio::test]
async fn typing_is_told_when_it_begins_and_when_it_ends() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    let path = User::room_path(&room, &["typing", &alice.id]);
    assert_eq!(alice.put(&path, &json!({"typing": true, "timeout": 30000})).await.0, 200);
    let second = bob.sync_with(&next(&first)).await;
    let typing = of_kind(&joined(&second, &room)["ephemeral"], "m.typing");
    assert_eq!(typing[0]["content"], json!({"user_ids": [alice.id]}));
    assert_eq!(bob.sync_with(&next(&second)).await["rooms"]["join"], json!({}));
    assert_eq!(of_kind(&joined(&bob.sync(None).await, &room)["ephemeral"], "m.typing").len(), 1);
    assert_eq!(alice.put(&path, &json!({"typing": false})).await.0, 200);
    let third = bob.sync_with(&next(&second)).await;
    let typing = of_kind(&joined(&third, &room)["ephemeral"], "m.typing");
    assert_eq!(typing[0]["content"], json!({"user_ids": []}));
}

#[tokio::test]
async fn after_a_restart_nobody_types_any_more() {
    let (mut server, alice, bob, room) = two().await;
    let path = User::room_path(&room, &["typing", &alice.id]);
    assert_eq!(alice.put(&path, &json!({"typing": true, "timeout": 30000})).await.0, 200);
    let first = bob.sync(None).await;
    server.restart().await;
    let second = bob.sync_with(&next(&first)).await;
    let typing = of_kind(&joined(&second, &room)["ephemeral"], "m.typing");
    assert_eq!(typing[0]["content"], json!({"user_ids": []}));
    assert_eq!(bob.sync_with(&next(&second)).await["rooms"]["join"], json!({}));
}

#[tokio::test]
async fn of_ignored_users_only_state_is_shown() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    put(&bob, "account_data/m.ignored_user_list", &json!({"ignored_users": {&alice.id: {}}})).await;
    alice.send(&room, "noise").await;
    alice.set_state(&room, "m.room.topic", "", &json!({"topic": "still shown"})).await;
    let path = User::room_path(&room, &["typing", &alice.id]);
    assert_eq!(alice.put(&path, &json!({"typing": true})).await.0, 200);
    let second = bob.sync_with(&next(&first)).await;
    assert_eq!(said(joined(&second, &room)), ["m.room.topic"]);
    let other = alice.create_room(&json!({"invite": [bob.id]})).await;
    let third = bob.sync_with(&next(&second)).await;
    assert!(third["rooms"]["invite"].get(&other).is_none());
    // Taken off the list, they are heard again from then on.
    put(&bob, "account_data/m.ignored_user_list", &json!({"ignored_users": {}})).await;
    alice.send(&room, "music").await;
    let fourth = bob.sync_with(&next(&third)).await;
    assert_eq!(said(joined(&fourth, &room)), ["music"]);
    assert!(bob.sync(None).await["rooms"]["invite"].get(&other).is_some());
}

#[tokio::test]
async fn who_blocks_invitations_is_shown_none() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({"invite": [bob.id]})).await;
    assert!(bob.sync(None).await["rooms"]["invite"].get(&room).is_some());
    put(&bob, "account_data/m.invite_permission_config", &json!({"default_action": "block"})).await;
    assert_eq!(bob.sync(None).await["rooms"]["invite"], json!({}));
}
