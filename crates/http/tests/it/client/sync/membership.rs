//! Invitations, joins, leaves, bans, knocks.

use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::{filtered, joined, keys, members, next, said, two};

fn kinds(list: &Value) -> Vec<&str> {
    list["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

async fn act(user: &User, room: &str, what: &str, target: &User) {
    let (status, answer) = user.post(&User::room_path(room, &[what]), &json!({"user_id": target.id})).await;
    assert_eq!(status, 200, "{what}: {answer}");
}

#[tokio::test]
async fn an_invitation_comes_once_with_stripped_state_and_no_more() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let first = bob.sync(None).await;
    let room = alice.create_room(&json!({"name": "secret", "topic": "things"})).await;
    alice.invite(&room, &bob).await;
    for answer in [bob.sync_with(&next(&first)).await, bob.sync(None).await] {
        let state = &answer["rooms"]["invite"][&room]["invite_state"];
        let kinds = kinds(state);
        for kind in ["m.room.create", "m.room.name", "m.room.join_rules", "m.room.member"] {
            assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
        }
        for event in state["events"].as_array().unwrap() {
            let mut fields: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            assert_eq!(fields, ["content", "sender", "state_key", "type"]);
        }
        assert_eq!(answer["rooms"]["join"], json!({}));
    }
    let second = bob.sync_with(&next(&first)).await;
    alice.send(&room, "not for bob").await;
    let third = bob.sync_with(&next(&second)).await;
    assert_eq!(third["rooms"], json!({"join": {}, "invite": {}, "knock": {}, "leave": {}}));
}

#[tokio::test]
async fn a_room_joined_since_is_told_as_a_whole() {
    let (server, alice, _bob, room) = two().await;
    let carol = server.register("carol").await;
    let first = carol.sync(None).await;
    alice.send(&room, "early").await;
    carol.join(&room).await;
    let filter = filtered(&json!({"room": {"timeline": {"limit": 2}}}));
    let second = carol.sync_with(&format!("{}&{filter}", next(&first))).await;
    let shown = joined(&second, &room);
    assert_eq!(said(shown), ["early", "m.room.member"]);
    assert_eq!(shown["timeline"]["limited"], true);
    assert!(keys(&shown["state"]).contains(&("m.room.create", "")));
    assert!(shown["summary"]["m.joined_member_count"] == 3);
}

#[tokio::test]
async fn who_joins_sees_no_more_history_than_they_may() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let visibility = json!({"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}});
    let room = alice.create_room(&json!({"preset": "public_chat", "initial_state": [visibility]})).await;
    alice.send(&room, "hidden").await;
    bob.join(&room).await;
    alice.send(&room, "shown").await;
    let answer = bob.sync(None).await;
    let shown = said(joined(&answer, &room));
    assert!(shown.contains(&"shown") && !shown.contains(&"hidden"), "{shown:?}");
    assert!(
        keys(&joined(&answer, &room)["state"]).contains(&("m.room.history_visibility", ""))
            || shown.contains(&"m.room.history_visibility")
    );
}

#[tokio::test]
async fn a_left_room_is_told_once_up_to_the_leave() {
    let (server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.send(&room, "before").await;
    bob.leave(&room).await;
    alice.send(&room, "after").await;
    server.register("carol").await.join(&room).await;
    let second = bob.sync_with(&next(&first)).await;
    assert_eq!(second["rooms"]["join"], json!({}));
    let shown = &second["rooms"]["leave"][&room];
    assert_eq!(said(shown), ["before", "m.room.member"]);
    assert_eq!(shown["summary"], Value::Null, "who came later is not their business");
    alice.send(&room, "later").await;
    let third = bob.sync_with(&next(&second)).await;
    assert_eq!(third["rooms"]["leave"], json!({}));
}

#[tokio::test]
async fn rooms_left_earlier_are_shown_when_the_filter_wants_them_and_they_are_not_forgotten() {
    let (_server, alice, bob, room) = two().await;
    bob.leave(&room).await;
    alice.send(&room, "after").await;
    assert_eq!(bob.sync(None).await["rooms"]["leave"], json!({}));
    let filter = filtered(&json!({"room": {"include_leave": true}}));
    let answer = bob.sync_with(&filter).await;
    let shown = &answer["rooms"]["leave"][&room];
    assert_eq!(said(shown).last(), Some(&"m.room.member"), "nothing after the leave");
    let (status, _) = bob.post(&User::room_path(&room, &["forget"]), &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(bob.sync_with(&filter).await["rooms"]["leave"], json!({}));
}

#[tokio::test]
async fn kicks_and_bans_are_leaves() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    act(&alice, &room, "kick", &bob).await;
    let second = bob.sync_with(&next(&first)).await;
    let event = &second["rooms"]["leave"][&room]["timeline"]["events"][0];
    assert_eq!((&event["content"]["membership"], &event["sender"]), (&json!("leave"), &json!(alice.id)));
    bob.join(&room).await;
    let third = bob.sync_with(&next(&second)).await;
    assert!(joined(&third, &room).is_object());
    act(&alice, &room, "ban", &bob).await;
    let fourth = bob.sync_with(&next(&third)).await;
    let event = &fourth["rooms"]["leave"][&room]["timeline"]["events"][0];
    assert_eq!(event["content"]["membership"], "ban");
}

#[tokio::test]
async fn a_rejected_invitation_is_a_leave_that_shows_nothing_of_the_room() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({"name": "secret"})).await;
    alice.invite(&room, &bob).await;
    let first = bob.sync(None).await;
    alice.send(&room, "secret").await;
    bob.leave(&room).await;
    let second = bob.sync_with(&next(&first)).await;
    let shown = &second["rooms"]["leave"][&room];
    assert_eq!(said(shown), ["m.room.member"]);
    assert_eq!(shown["state"]["events"], json!([]));
    assert_eq!(second["rooms"]["invite"], json!({}));
}

#[tokio::test]
async fn joined_and_left_between_two_syncs_is_a_leave_with_all_that_was_to_be_seen() {
    let (server, alice, _bob, room) = two().await;
    let carol = server.register("carol").await;
    let first = carol.sync(None).await;
    carol.join(&room).await;
    alice.send(&room, "hello").await;
    carol.leave(&room).await;
    alice.send(&room, "gone").await;
    let second = carol.sync_with(&next(&first)).await;
    assert_eq!(second["rooms"]["join"], json!({}));
    let shown = said(&second["rooms"]["leave"][&room]);
    assert!(shown.ends_with(&["m.room.member", "hello", "m.room.member"]), "{shown:?}");
}

#[tokio::test]
async fn left_and_joined_again_between_two_syncs_is_no_leave() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    bob.leave(&room).await;
    alice.set_state(&room, "m.room.topic", "", &json!({"topic": "meanwhile"})).await;
    bob.join(&room).await;
    let second = bob.sync_with(&next(&first)).await;
    assert_eq!(second["rooms"]["leave"], json!({}));
    let shown = joined(&second, &room);
    assert_eq!(said(shown), ["m.room.member", "m.room.topic", "m.room.member"]);
    let third = bob.sync_with(&next(&second)).await;
    assert_eq!(third["rooms"]["join"], json!({}));
}

#[tokio::test]
async fn a_room_joined_again_later_is_told_as_a_whole_and_limited() {
    let (_server, alice, bob, room) = two().await;
    bob.leave(&room).await;
    let first = bob.sync(None).await;
    alice.set_state(&room, "m.room.topic", "", &json!({"topic": "meanwhile"})).await;
    bob.join(&room).await;
    let second = bob.sync_with(&next(&first)).await;
    let shown = joined(&second, &room);
    assert_eq!(shown["timeline"]["limited"], true, "the client's own older part does not connect");
    assert!(said(shown).contains(&"m.room.topic"));
}

#[tokio::test]
async fn a_knock_is_shown_with_the_room_until_it_is_answered() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let rules = json!({"type": "m.room.join_rules", "content": {"join_rule": "knock"}});
    let room = alice.create_room(&json!({"name": "door", "initial_state": [rules]})).await;
    let first = bob.sync(None).await;
    let (status, answer) =
        bob.post(&format!("/_matrix/client/v3/knock/{}", roost_testkit::segment(&room)), &json!({})).await;
    assert_eq!(status, 200, "{answer}");
    let second = bob.sync_with(&next(&first)).await;
    let state = &second["rooms"]["knock"][&room]["knock_state"];
    assert!(kinds(state).contains(&"m.room.create") && kinds(state).contains(&"m.room.name"));
    alice.invite(&room, &bob).await;
    let third = bob.sync_with(&next(&second)).await;
    assert_eq!(third["rooms"]["knock"], json!({}));
    assert!(third["rooms"]["invite"][&room].is_object());
    bob.join(&room).await;
    let fourth = bob.sync_with(&next(&third)).await;
    let shown = joined(&fourth, &room);
    assert!(members(&shown["state"]).contains(&alice.id.as_str()) || said(shown).contains(&"m.room.member"));
}
