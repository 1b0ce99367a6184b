//! State before, in and after the timeline, and the summary.

use roost_testkit::Server;
use serde_json::json;

use super::{filtered, joined, keys, members, next, said, two};

#[tokio::test]
async fn state_is_that_before_the_timeline() {
    let (_server, alice, bob, room) = two().await;
    for text in ["1", "2", "3"] {
        alice.send(&room, text).await;
    }
    alice.set_state(&room, "m.room.topic", "", &json!({"topic": "new"})).await;
    let filter = filtered(&json!({"room": {"timeline": {"limit": 2}}}));
    let first = bob.sync_with(&filter).await;
    let shown = joined(&first, &room);
    assert_eq!(said(shown), ["3", "m.room.topic"]);
    assert!(keys(&shown["state"]).contains(&("m.room.name", "")));
    assert!(!keys(&shown["state"]).contains(&("m.room.topic", "")), "it changed within the timeline");
    assert_eq!(members(&shown["state"]), [&alice.id, &bob.id]);
    assert!(shown.get("state_after").is_none());
}

#[tokio::test]
async fn state_of_a_gap_holds_what_changed_in_it_and_no_more() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.set_state(&room, "m.room.topic", "", &json!({"topic": "one"})).await;
    let last = alice.set_state(&room, "m.room.topic", "", &json!({"topic": "two"})).await;
    for text in ["1", "2"] {
        alice.send(&room, text).await;
    }
    alice.set_state(&room, "m.room.name", "", &json!({"name": "in the timeline"})).await;
    let filter = filtered(&json!({"room": {"timeline": {"limit": 2}}}));
    let second = bob.sync_with(&format!("{}&{filter}", next(&first))).await;
    let shown = joined(&second, &room);
    assert_eq!(said(shown), ["2", "m.room.name"]);
    assert_eq!(keys(&shown["state"]), [("m.room.topic", "")]);
    assert_eq!(shown["state"]["events"][0]["event_id"], json!(last));
    let name = &shown["timeline"]["events"][1];
    assert_eq!(name["unsigned"]["prev_content"], json!({"name": "two"}));
    assert!(name["unsigned"]["replaces_state"].is_string());
}

#[tokio::test]
async fn state_after_is_that_after_the_timeline_and_is_called_as_it_was_asked_for() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.set_state(&room, "m.room.topic", "", &json!({"topic": "new"})).await;
    alice.send(&room, "hello").await;
    for (name, after) in
        [("use_state_after", "state_after"), ("org.matrix.msc4222.use_state_after", "org.matrix.msc4222.state_after")]
    {
        let answer = bob.sync_with(&format!("{}&{name}=true", next(&first))).await;
        let shown = joined(&answer, &room);
        assert_eq!(said(shown), ["m.room.topic", "hello"]);
        assert_eq!(keys(&shown[after]), [("m.room.topic", "")]);
        assert!(shown.get("state").is_none());
        let first = bob.sync_with(&format!("{name}=true")).await;
        assert!(keys(&joined(&first, &room)[after]).contains(&("m.room.topic", "")));
    }
    // Required even if it is empty.
    let second = bob.sync_with(&next(&first)).await;
    alice.send(&room, "again").await;
    let third = bob.sync_with(&format!("{}&use_state_after=true", next(&second))).await;
    assert_eq!(joined(&third, &room)["state_after"], json!({"events": []}));
}

#[tokio::test]
async fn state_that_the_filter_hides_from_the_timeline_is_told_as_state() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.send(&room, "before").await;
    alice.set_state(&room, "m.room.topic", "", &json!({"topic": "new"})).await;
    alice.send(&room, "after").await;
    let filter = filtered(&json!({"room": {"timeline": {"types": ["m.room.message"]}}}));
    let second = bob.sync_with(&format!("{}&{filter}", next(&first))).await;
    let shown = joined(&second, &room);
    assert_eq!(said(shown), ["before", "after"]);
    assert_eq!(keys(&shown["state"]), [("m.room.topic", "")]);
}

#[tokio::test]
async fn the_summary_counts_members_and_names_heroes() {
    let (server, alice, bob, room) = two().await;
    let carol = server.register("carol").await;
    let first = bob.sync(None).await;
    let summary = &joined(&first, &room)["summary"];
    assert_eq!(summary, &json!({"m.heroes": [alice.id], "m.joined_member_count": 2, "m.invited_member_count": 0}));
    alice.invite(&room, &carol).await;
    let second = bob.sync_with(&next(&first)).await;
    let summary = &joined(&second, &room)["summary"];
    assert_eq!(summary["m.heroes"], json!([alice.id, carol.id]));
    assert_eq!((&summary["m.joined_member_count"], &summary["m.invited_member_count"]), (&json!(2), &json!(1)));
    alice.leave(&room).await;
    carol.join(&room).await;
    carol.leave(&room).await;
    let third = bob.sync_with(&next(&second)).await;
    let summary = &joined(&third, &room)["summary"];
    assert_eq!(summary["m.joined_member_count"], 1);
    let mut heroes: Vec<_> = summary["m.heroes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    heroes.sort_unstable();
    assert_eq!(heroes, [alice.id.as_str(), carol.id.as_str()], "those who left stand in for members");
}

#[tokio::test]
async fn there_are_at_most_five_heroes_and_they_are_the_first() {
    let server = Server::start().await;
    let reader = server.register("reader").await;
    let room = reader.create_room(&json!({"preset": "public_chat"})).await;
    let mut all = vec![];
    for name in ["f", "e", "d", "c", "b", "a"] {
        let user = server.register(name).await;
        user.join(&room).await;
        all.push(user.id);
    }
    let answer = reader.sync(None).await;
    assert_eq!(joined(&answer, &room)["summary"]["m.heroes"], json!(all[..5]));
}
