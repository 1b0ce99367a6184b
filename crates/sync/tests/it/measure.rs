//! How long it takes. Not a test: `cargo test -p roost-sync --test it measure -- --ignored --nocapture`.

use std::time::Duration;

use serde_json::json;

use crate::house::{Ask, House};

const ROOMS: usize = 200;
const EVENTS: usize = 50;
const ROUNDS: u32 = 200;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn how_long_a_sync_of_many_rooms_takes() {
    let house = House::new().await;
    let (alice, bob) = (house.person("alice").await, house.person("bob").await);
    let mut rooms = vec![];
    for _ in 0..ROOMS {
        let room = house.room(&alice, "shared").await;
        assert!(house.join(&room, &bob).await);
        for text in 0..EVENTS {
            house.say(&room, &alice, &text.to_string()).await.unwrap();
        }
        rooms.push(room);
    }
    let clock = roost_store::testing::world().clock;
    let filter = json!({"room": {"timeline": {"limit": EVENTS}}});
    for round in ["first", "second"] {
        let before = clock.monotonic();
        let answer = house.ask(&bob, Ask { filter: filter.clone(), ..Ask::default() }).await;
        let took = clock.monotonic().saturating_sub(before);
        println!(
            "initial sync, {ROOMS} rooms of {EVENTS} events, {round} time: {took:?}, {} bytes",
            answer.to_string().len()
        );
    }
    let since = house.ask(&bob, Ask::default()).await;
    let per = |took: Duration| took / ROUNDS;
    let before = clock.monotonic();
    for _ in 0..ROUNDS {
        house.ask(&bob, Ask::since(&since)).await;
    }
    println!("incremental sync, nothing new: {:?}", per(clock.monotonic().saturating_sub(before)));
    let mut took = Duration::ZERO;
    let mut since = since;
    for round in 0..ROUNDS {
        house.say(&rooms[round as usize % ROOMS], &alice, "new").await.unwrap();
        let before = clock.monotonic();
        since = house.ask(&bob, Ask::since(&since)).await;
        took += clock.monotonic().saturating_sub(before);
    }
    println!("incremental sync, one message: {:?}", per(took));
}
