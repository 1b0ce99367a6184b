use serde_json::json;

use crate::testing::{bed, state, user};

#[tokio::test]
async fn a_room_is_told_with_its_tips_what_it_takes_and_an_event_with_its_neighbours_and_state() {
    let bed = bed().await;
    let alice = user("alice");
    let room = bed.public_room(&alice).await;
    let first = bed.say(&room, &alice, "one").await.expect("sent").event_id;
    let topic = state(&alice, "m.room.topic", "", &json!({ "topic": "later" }));
    let topic = bed.rooms.append(&room, topic).await.expect("set").event_id;
    let last = bed.say(&room, &alice, "two").await.expect("sent").event_id;

    let told = bed.rooms.inspect(&room, None).await.expect("told");
    assert_eq!(told["room_id"], room.as_str());
    assert_eq!((told["joined"].as_i64(), told["partial"].as_bool()), (Some(1), Some(false)));
    assert_eq!(told["tips"][0]["event_id"], last.as_str());
    assert_eq!(told["appender_open"], true);
    assert_eq!(told["missing"], json!([]));
    let events = told["usage"].as_array().expect("tables").iter().find(|row| row["table"] == "events with a place");
    let events = events.expect("events");
    assert_eq!(events["rows"], told["history"]["last"]);
    assert!(events["bytes"].as_i64().expect("bytes") > 1000);
    assert!(told.get("event").is_none());

    let told = bed.rooms.inspect(&room, Some(&first)).await.expect("told");
    let event = &told["event"];
    assert_eq!(event["standing"], "accepted");
    assert_eq!(event["after"][0]["event_id"], topic.as_str());
    assert_eq!(event["before"].as_array().map(Vec::len), Some(3));
    let has_topic = |event: &serde_json::Value| {
        event["state"].as_array().expect("state").iter().any(|entry| entry["type"] == "m.room.topic")
    };
    assert!(!has_topic(event), "it was set later");
    let told = bed.rooms.inspect(&room, Some(&last)).await.expect("told");
    assert!(has_topic(&told["event"]));

    assert!(bed.rooms.inspect(&room, Some("$nothing:example.org".try_into().expect("an id"))).await.is_err());
}
