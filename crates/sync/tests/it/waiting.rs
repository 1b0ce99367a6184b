//! Long polls.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::house::{Ask, House};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_as_soon_as_there_is_something_to_tell() {
    let house = Arc::new(House::new().await);
    let (alice, bob) = (house.person("alice").await, house.person("bob").await);
    let room = house.room(&alice, "shared").await;
    assert!(house.join(&room, &bob).await);
    let first = house.ask(&bob, Ask::default()).await;
    let waiting = tokio::spawn({
        let (house, bob) = (Arc::clone(&house), bob.clone());
        async move { house.ask(&bob, Ask { timeout: LONG, ..Ask::since(&first) }).await }
    });
    // Long enough for the request to wait, which it need not do for this test to be right.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let said = house.say(&room, &alice, "hello").await.unwrap();
    let answer = tokio::time::timeout(LONG / 2, waiting).await.unwrap().unwrap();
    assert_eq!(answer["rooms"]["join"][room.as_str()]["timeline"]["events"][0]["event_id"], json!(said));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_for_typing_and_for_an_invitation() {
    let house = Arc::new(House::new().await);
    let (alice, bob) = (house.person("alice").await, house.person("bob").await);
    let room = house.room(&alice, "shared").await;
    let other = house.room(&alice, "shared").await;
    assert!(house.join(&room, &bob).await);
    let first = house.ask(&bob, Ask::default()).await;
    let wait = |since: serde_json::Value| {
        let (house, bob) = (Arc::clone(&house), bob.clone());
        tokio::spawn(async move { house.ask(&bob, Ask { timeout: LONG, ..Ask::since(&since) }).await })
    };
    let waiting = wait(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let no = house.rooms.room(&room).await.unwrap().no;
    house.users.typing().set(no, &alice.id, Some(LONG));
    let second = tokio::time::timeout(LONG / 2, waiting).await.unwrap().unwrap();
    let ephemeral = &second["rooms"]["join"][room.as_str()]["ephemeral"]["events"];
    assert_eq!(ephemeral[0], json!({"type": "m.typing", "content": {"user_ids": [alice.id.as_str()]}}));
    let waiting = wait(second);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(house.invite(&other, &alice, &bob).await);
    let third = tokio::time::timeout(LONG / 2, waiting).await.unwrap().unwrap();
    assert!(third["rooms"]["invite"].get(other.as_str()).is_some());
    assert_eq!(third["rooms"]["join"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_early_when_the_server_stops() {
    let house = Arc::new(House::new().await);
    let alice = house.person("alice").await;
    let first = house.ask(&alice, Ask::default()).await;
    let waiting = tokio::spawn({
        let (house, alice) = (Arc::clone(&house), alice.clone());
        async move { house.ask(&alice, Ask { timeout: LONG, ..Ask::since(&first) }).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::timeout(LONG / 2, house.workers.stop()).await.unwrap();
    let answer = tokio::time::timeout(LONG / 2, waiting).await.unwrap().unwrap();
    assert_eq!(answer["rooms"]["join"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_polls_while_others_write_sees_each_message_once_and_in_order() {
    const EACH: usize = 40;
    let house = Arc::new(House::new().await);
    let (reader, alice, bob) = (house.person("reader").await, house.person("alice").await, house.person("bob").await);
    let room = house.room(&alice, "shared").await;
    for person in [&reader, &bob] {
        assert!(house.join(&room, person).await);
    }
    let mut answer = house.ask(&reader, Ask::default()).await;
    let mut writers = vec![];
    for person in [alice.clone(), bob.clone(), alice, bob] {
        let (house, room) = (Arc::clone(&house), room.clone());
        writers.push(tokio::spawn(async move {
            let mut said = vec![];
            for text in 0..EACH {
                said.push(house.say(&room, &person, &text.to_string()).await.unwrap());
            }
            said
        }));
    }
    let mut seen = vec![];
    while seen.len() < EACH * writers.len() {
        let filter = json!({"room": {"timeline": {"limit": 200}}});
        answer = house.ask(&reader, Ask { timeout: LONG, filter, ..Ask::since(&answer) }).await;
        let timeline = &answer["rooms"]["join"][room.as_str()]["timeline"];
        let events = timeline["events"].as_array().expect("the poll ended for a message");
        assert_eq!(timeline["limited"], false);
        seen.extend(events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()));
    }
    for writer in writers {
        let said = writer.await.unwrap();
        let places: Vec<_> = said.iter().map(|id| seen.iter().position(|seen| seen == id).unwrap()).collect();
        assert!(places.is_sorted(), "one writer's messages come in the order of their answers");
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), seen.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_long_poll_of_a_device_ends_when_it_begins_too_many() {
    let house = Arc::new(House::with(roost_sync::Options { per_device: 2, ..roost_sync::Options::default() }).await);
    let alice = house.person("alice").await;
    let first = house.ask(&alice, Ask::default()).await;
    let mut polls = vec![];
    for _ in 0..3 {
        let (house, alice, ask) = (Arc::clone(&house), alice.clone(), Ask { timeout: LONG, ..Ask::since(&first) });
        polls.push(tokio::spawn(async move { house.ask(&alice, ask).await }));
        // So that they come in this order.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = tokio::time::timeout(LONG / 2, polls.remove(0)).await.unwrap().unwrap();
    assert_eq!(answer["rooms"]["join"], json!({}));
    assert!(answer["next_batch"].is_string());
    assert!(polls.iter().all(|poll| !poll.is_finished()), "the newer ones still wait");
    house.workers.stop().await;
}
