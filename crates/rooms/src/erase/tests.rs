use std::time::Duration;

use roost_matrix::ids::RoomId;
use serde_json::json;

use crate::{
    NewEvent,
    testing::{another, bed, content, pause, state, user},
};

fn redaction(sender: &roost_matrix::ids::UserId, event: &roost_matrix::ids::EventId) -> NewEvent {
    NewEvent::message(sender, "m.room.redaction", content(&json!({ "redacts": event })), None)
}

async fn checked(rooms: &crate::Rooms, room: &RoomId) {
    let room = rooms.room(room).await.expect("the room");
    assert_eq!(rooms.check(&room).await.expect("a check").faults, Vec::<String>::new());
}

#[tokio::test]
async fn after_its_time_no_table_holds_what_was_redacted_and_reads_are_as_before() {
    let bed = bed().await;
    let alice = user("alice");
    for version in roost_matrix::room_version::RoomVersion::ALL {
        let room = bed.room_of(&alice, version).await;
        let said = bed.say(&room, &alice, "an indiscretion").await.expect("sent").event_id;
        let topic = state(&alice, "m.room.topic", "", &json!({ "topic": "an indiscretion" }));
        let topic = bed.rooms.append(&room, topic).await.expect("set").event_id;
        bed.say(&room, &alice, "harmless").await.expect("sent");
        for event in [&said, &topic] {
            bed.rooms.append(&room, redaction(&alice, event)).await.expect("redacted");
        }
        let stable = |mut events: Vec<serde_json::Value>| {
            for event in &mut events {
                strip_ages(event);
            }
            events
        };
        let before = stable(bed.events(&room, &alice).await);
        assert_eq!(bed.rooms.erase_redacted(Duration::from_secs(3600)).await.expect("nothing"), 0, "not yet");
        assert_eq!(bed.rooms.erase_redacted(Duration::ZERO).await.expect("erased"), 2, "{version}");
        assert_eq!(bed.rooms.erase_redacted(Duration::ZERO).await.expect("nothing"), 0, "once");
        assert_eq!(bed.store.scratch.holding("an indiscretion"), Vec::<String>::new(), "{version}");
        assert_eq!(stable(bed.events(&room, &alice).await), before, "{version}");
        let at = bed.rooms.room(&room).await.expect("the room");
        let kept = bed.store.read({
            let (rooms, said) = (bed.rooms.clone(), said.clone());
            move |read| rooms.stored_by_id(read, &at, &said)
        });
        let kept = kept.await.expect("read").expect("the event");
        assert!(!kept.pdu.as_str().contains("indiscretion"), "the cache has it still");
        checked(&bed.rooms, &room).await;
        bed.say(&room, &alice, "and on").await.expect("the room goes on");
    }
}

fn strip_ages(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            members.remove("age");
            members.values_mut().for_each(strip_ages);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip_ages),
        _ => {}
    }
}

#[tokio::test]
async fn a_reader_of_before_does_not_bring_erased_content_back_into_memory() {
    let bed = bed().await;
    let alice = user("alice");
    let room = bed.public_room(&alice).await;
    let said = bed.say(&room, &alice, "an indiscretion").await.expect("sent").event_id;
    let at = bed.rooms.room(&room).await.expect("the room");
    let read = |id: roost_matrix::ids::OwnedEventId| {
        let (rooms, at) = (bed.rooms.clone(), at.clone());
        bed.store.read(move |read| rooms.stored_by_id(read, &at, &id))
    };
    let old = read(said.clone()).await.expect("read").expect("the event");
    bed.rooms.append(&room, redaction(&alice, &said)).await.expect("redacted");
    assert_eq!(bed.rooms.erase_redacted(Duration::ZERO).await.expect("erased"), 1);
    bed.rooms.0.events.put(old);
    let now = read(said).await.expect("read").expect("the event");
    assert!(!now.pdu.as_str().contains("indiscretion"));
}

#[tokio::test]
async fn another_node_drops_what_was_erased_as_soon_as_it_hears_of_it() {
    let bed = bed().await;
    let alice = user("alice");
    let room = bed.public_room(&alice).await;
    let said = bed.say(&room, &alice, "an indiscretion").await.expect("sent").event_id;
    // A second engine on the same store: its caches are its own, the log is the same.
    let other = another(&bed.store.scratch).await;
    let workers = roost_world::Workers::new(roost_store::testing::world());
    workers.start_future("removals", |stop| other.clone().follow_removals(stop));
    let at = other.room(&room).await.expect("the room");
    let read = |id: roost_matrix::ids::OwnedEventId| {
        let (rooms, at) = (other.clone(), at.clone());
        other.store().read(move |read| rooms.stored_by_id(read, &at, &id))
    };
    assert!(read(said.clone()).await.expect("read").expect("the event").pdu.as_str().contains("indiscretion"));
    bed.rooms.append(&room, redaction(&alice, &said)).await.expect("redacted");
    assert_eq!(bed.rooms.erase_redacted(Duration::ZERO).await.expect("erased"), 1);
    if std::env::var("ROOST_TEST_DATABASE").as_deref() == Ok("postgres") {
        let head = bed.store.frontier();
        other.store().reach(head).await.expect("reached");
        let mut is_gone = false;
        for _ in 0..100 {
            is_gone =
                !read(said.clone()).await.expect("read").expect("the event").pdu.as_str().contains("indiscretion");
            if is_gone {
                break;
            }
            pause(Duration::from_millis(20)).await;
        }
        assert!(is_gone);
    } else {
        // SQLite is for one process: there is no other node that could hear. What the follower does is asked of the one that there is.
        let old = read(said.clone()).await.expect("read").expect("the event");
        assert!(old.pdu.as_str().contains("indiscretion"), "not told");
        other.0.events.erased(old.no);
        assert!(!read(said).await.expect("read").expect("the event").pdu.as_str().contains("indiscretion"));
    }
    workers.stop().await;
}
