//! What an answer may cost.

use std::{collections::HashMap, time::Duration};

use roost_store::{Position, token::SyncToken};
use roost_sync::Options;
use serde_json::{Value, json};

use crate::house::{Ask, House, Person};

const ROOMS: usize = 6;
const SAID: usize = 10;

/// How many events of each room's timeline an answer holds, and whether it says that there are more.
fn timelines(answer: &Value) -> HashMap<String, (usize, bool)> {
    let joined = answer["rooms"]["join"].as_object().unwrap();
    let timeline = |room: &Value| {
        let timeline = &room["timeline"];
        (timeline["events"].as_array().unwrap().len(), timeline["limited"].as_bool().unwrap())
    };
    joined.iter().map(|(room, content)| (room.clone(), timeline(content))).collect()
}

/// Alice's rooms; she has said something long in each of them, which comes after the returned answer.
async fn chatter(house: &House, alice: &Person) -> Value {
    let mut rooms = vec![];
    for _ in 0..ROOMS {
        rooms.push(house.room(alice, "shared").await);
    }
    let before = house.ask(alice, Ask::default()).await;
    for room in &rooms {
        for number in 0..SAID {
            assert!(house.say(room, alice, &format!("{number}{}", "x".repeat(2_000))).await.is_some());
        }
    }
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn once_an_answer_is_large_each_further_room_is_told_with_its_last_event_alone() {
    let house = House::with(Options { answer_bytes: 50_000, ..Options::default() }).await;
    let alice = house.person("alice").await;
    let before = chatter(&house, &alice).await;
    let filter = json!({"room": {"timeline": {"limit": 200}}});
    for ask in [Ask::default(), Ask::since(&before)] {
        let first = ask.since.is_none();
        let answer = house.ask(&alice, Ask { filter: filter.clone(), ..ask }).await;
        let timelines = timelines(&answer);
        assert_eq!(timelines.len(), ROOMS, "every room is told");
        assert!(timelines.values().any(|(events, _)| *events >= SAID), "there is room for one at least: {timelines:?}");
        let cut = timelines.values().filter(|(events, limited)| *events == 1 && *limited).count();
        assert!(cut >= ROOMS / 2, "{timelines:?}");
        // State comes beside it.
        let length = answer.to_string().len();
        assert!(length < if first { 120_000 } else { 80_000 }, "{length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_was_cut_short_goes_on_from_its_prev_batch() {
    let house = House::with(Options { answer_bytes: 0, ..Options::default() }).await;
    let alice = house.person("alice").await;
    let before = chatter(&house, &alice).await;
    let answer = house.ask(&alice, Ask::since(&before)).await;
    for (room, (events, limited)) in timelines(&answer) {
        assert_eq!((events, limited), (1, true), "{room}");
        let timeline = &answer["rooms"]["join"][&room]["timeline"];
        assert!(timeline["prev_batch"].is_string());
        let body = timeline["events"][0]["content"]["body"].as_str().unwrap();
        assert!(body.starts_with('9'), "the last event is the one that is shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_wait_for_their_turn_and_others_do_not() {
    let house = House::with(Options { large_at_once: 0, ..Options::default() }).await;
    let alice = house.person("alice").await;
    let room = house.room(&alice, "shared").await;
    let token = SyncToken {
        generation: house.store.generation(),
        position: Position::START,
        ephemeral: house.users.typing().serial(),
    };
    let small = Ask { since: Some(token.to_string()), ..Ask::default() };
    let soon = Duration::from_secs(10);
    let answer = tokio::time::timeout(soon, house.ask(&alice, small.clone())).await.unwrap();
    assert!(answer["rooms"]["join"].get(room.as_str()).is_some());
    // Nothing lets these in, ever.
    for large in [Ask::default(), Ask { full_state: true, ..small }] {
        assert!(tokio::time::timeout(Duration::from_millis(200), house.ask(&alice, large)).await.is_err());
    }
}
