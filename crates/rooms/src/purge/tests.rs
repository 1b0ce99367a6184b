use std::{sync::Arc, time::Duration};

use roost_matrix::ids::{OwnedEventId, OwnedRoomId, UserId};
use roost_store::{missing_events, purge, state, timeline};
use roost_world::Workers;
use serde_json::json;

use crate::{
    Nobody, Room, Rooms,
    testing::{Bed, bed, pause, state as state_event, text_as, user},
};

async fn place(rooms: &Rooms, room: &Arc<Room>, event: &OwnedEventId) -> i64 {
    let (engine, room, event) = (rooms.clone(), room.clone(), event.clone());
    let found = rooms.store().read(move |read| engine.stored_by_id(read, &room, &event)).await.expect("read");
    found.expect("the event").idx
}

/// Twenty messages, each after a change of the state.
async fn talk(bed: &Bed, alice: &UserId) -> (OwnedRoomId, Vec<OwnedEventId>) {
    let room = bed.public_room(alice).await;
    let mut said = Vec::new();
    for n in 0..20 {
        let thing = state_event(alice, "org.example.thing", &(n % 3).to_string(), &json!({ "n": n }));
        bed.rooms.append(&room, thing).await.expect("set");
        said.push(
            bed.rooms.append(&room, text_as(alice, &n.to_string(), &n.to_string())).await.expect("sent").event_id,
        );
    }
    (room, said)
}

async fn sound(rooms: &Rooms, room: &Arc<Room>) {
    assert_eq!(rooms.check(room).await.expect("a check").faults, Vec::<String>::new());
}

#[tokio::test]
async fn after_a_purge_the_history_begins_later_and_all_else_is_as_it_was() {
    let bed = bed().await;
    let alice = user("alice");
    let (id, said) = talk(&bed, &alice).await;
    let room = bed.rooms.room(&id).await.expect("the room");
    let before = place(&bed.rooms, &room, &said[12]).await;
    let ids = |events: Vec<crate::Rendered>| {
        let mut ids: Vec<_> = events.iter().map(|event| event.stored.pdu.event_id().to_owned()).collect();
        ids.sort();
        ids
    };
    let state_now = ids(bed.rooms.state(&id, &alice).await.expect("state"));
    let purged = bed.rooms.purge_history(&room, before).await.expect("purged");
    // Six to make the room, then twelve things, twelve messages, and the thing before the next.
    assert_eq!(purged.events, usize::try_from(before - 1).expect("small"));
    sound(&bed.rooms, &room).await;
    assert_eq!(bed.bodies(&id, &alice).await, (12..20).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(ids(bed.rooms.state(&id, &alice).await.expect("state")), state_now);
    assert_eq!(bed.rooms.purge_history(&room, before).await.expect("again").events, 0, "once");
    // Of twelve things nobody needs more than three.
    let things = bed.store.scratch.holding("org.example.thing");
    if !things.is_empty() {
        let dump = bed.store.scratch.dump();
        let is_thing = |row: &[u8]| row.windows(25).any(|part| part == b"\"type\":\"org.example.thing");
        let kept = dump.iter().filter(|(table, row)| table == "events" && is_thing(row)).count();
        // The later ones, those that stood at the place, and a few that blocks of the state name which snapshots have changed since.
        assert!((7 + 3..7 + 3 + 4).contains(&kept), "{kept}");
    }
    assert!(
        bed.store
            .read({
                let no = room.no;
                move |read| purge::stale_transactions(read, no, 10)
            })
            .await
            .expect("read")
            .is_empty()
    );
    bed.say(&id, &alice, "on").await.expect("the room goes on");
    sound(&bed.rooms, &room).await;
}

#[tokio::test]
async fn a_purge_that_was_interrupted_leaves_a_sound_room_and_can_be_run_again() {
    let bed = bed().await;
    let alice = user("alice");
    let (id, said) = talk(&bed, &alice).await;
    let room = bed.rooms.room(&id).await.expect("the room");
    let before = place(&bed.rooms, &room, &said[12]).await;
    let mut going = bed.rooms.going(&room, before).await.expect("what goes");
    let all = going.len();
    going.truncate(9);
    bed.rooms.purge_some(&room, going).await.expect("a piece");
    sound(&bed.rooms, &room).await;
    bed.say(&id, &alice, "meanwhile").await.expect("sent");
    let purged = bed.rooms.purge_history(&room, before).await.expect("purged");
    assert_eq!(purged.events, all - 9);
    sound(&bed.rooms, &room).await;
    assert_eq!(bed.bodies(&id, &alice).await.len(), 8 + 1);
}

#[tokio::test]
async fn the_last_event_and_the_tips_are_never_purged() {
    let bed = bed().await;
    let alice = user("alice");
    let (id, said) = talk(&bed, &alice).await;
    let room = bed.rooms.room(&id).await.expect("the room");
    bed.rooms.purge_history(&room, i64::MAX).await.expect("purged");
    sound(&bed.rooms, &room).await;
    assert_eq!(bed.bodies(&id, &alice).await, ["19"]);
    assert_eq!(bed.rooms.tip_ids(&room).await.expect("tips"), [said[19].clone()]);
    bed.say(&id, &alice, "on").await.expect("the room goes on");
    sound(&bed.rooms, &room).await;
}

#[tokio::test]
async fn what_was_purged_is_noted_as_missing_and_nobody_looks_for_it() {
    let bed = bed().await;
    let alice = user("alice");
    let (id, said) = talk(&bed, &alice).await;
    let room = bed.rooms.room(&id).await.expect("the room");
    let before = place(&bed.rooms, &room, &said[5]).await;
    bed.rooms.purge_history(&room, before).await.expect("purged");
    let no = room.no;
    let missing = bed.store.read(move |read| missing_events::all(read, no)).await.expect("read");
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].idx, Some(before));
    assert!(bed.rooms.gap_at(&room, i64::MAX).await.expect("asked").is_none());
}

#[tokio::test]
async fn the_state_at_every_kept_place_and_what_members_may_see_there_is_as_before() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let id = bed.public_room(&alice).await;
    let visibility = state_event(&alice, "m.room.history_visibility", "", &json!({ "history_visibility": "joined" }));
    bed.rooms.append(&id, visibility).await.expect("set");
    bed.say(&id, &alice, "hidden from bob").await.expect("sent");
    bed.join(&id, &bob).await.expect("joined");
    for n in 0..5 {
        bed.say(&id, &alice, &n.to_string()).await.expect("sent");
    }
    bed.rooms.leave(&id, &bob, None).await.expect("left");
    bed.say(&id, &alice, "hidden again").await.expect("sent");
    bed.join(&id, &bob).await.expect("joined");
    let last = bed.say(&id, &alice, "last").await.expect("sent").event_id;
    let room = bed.rooms.room(&id).await.expect("the room");
    let (end, no) = (place(&bed.rooms, &room, &last).await, room.no);
    let states = |from: i64| {
        bed.store.read(move |read| {
            let states = (from..=end).map(|idx| {
                let mut all = state::all_at(read, no, idx)?;
                all.sort();
                Ok(all)
            });
            states.collect::<Result<Vec<_>, roost_store::Error>>()
        })
    };
    // Among them the places where bob is in the room, and where he is not.
    for before in end - 6..end {
        let seen = bed.events(&id, &bob).await;
        let kept = bed.store.read(move |read| timeline::forwards(read, no, before - 1, i64::MAX, 100)).await;
        let kept = kept.expect("places").len();
        let was = states(before).await.expect("states");
        bed.rooms.purge_history(&room, before).await.expect("purged");
        assert_eq!(states(before).await.expect("states"), was);
        let now = bed.events(&id, &bob).await;
        let ids = |events: &[serde_json::Value]| {
            events.iter().take(kept).map(|event| event["event_id"].clone()).collect::<Vec<_>>()
        };
        assert!(now.len() <= kept);
        assert_eq!(ids(&now), ids(&seen)[..now.len()]);
        assert_eq!(now.len(), seen.len().min(now.len()));
        sound(&bed.rooms, &room).await;
    }
    assert_eq!(bed.bodies(&id, &bob).await, ["last"]);
}

#[tokio::test]
async fn a_date_names_the_first_event_from_then_on() {
    let bed = bed().await;
    let alice = user("alice");
    let (id, said) = talk(&bed, &alice).await;
    let room = bed.rooms.room(&id).await.expect("the room");
    let (engine, at, event) = (bed.rooms.clone(), room.clone(), said[7].clone());
    let stored = bed.store.read(move |read| engine.stored_by_id(read, &at, &event)).await.expect("read").expect("it");
    let moment = stored.pdu.origin_server_ts();
    let found = bed.rooms.place_at(&room, moment).await.expect("a place");
    assert!(found <= stored.idx);
    let far = bed.rooms.place_at(&room, u64::MAX).await.expect("a place");
    assert_eq!(far, place(&bed.rooms, &room, &said[19]).await + 1);
    assert_eq!(bed.rooms.place_at(&room, 0).await.expect("a place"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_that_nothing_needs_are_reclaimed_and_none_that_is_used_while_events_are_appended() {
    let bed = bed().await;
    let alice = user("alice");
    let (id, said) = talk(&bed, &alice).await;
    let room = bed.rooms.room(&id).await.expect("the room");
    let workers = Workers::new(roost_store::testing::world());
    let mut reclaimer = bed.rooms.reclaimer();
    let stop = workers.stop_signal();
    // Nothing is garbage yet.
    for _ in 0..3 {
        reclaimer.round(&stop).await.expect("a round");
    }
    sound(&bed.rooms, &room).await;
    let writing = {
        let (rooms, id, alice) = (bed.rooms.clone(), id.clone(), alice.clone());
        async move {
            for n in 0..60 {
                let thing = state_event(&alice, "org.example.other", &(n % 4).to_string(), &json!({ "n": n }));
                rooms.append(&id, thing).await.expect("set");
            }
        }
    };
    let before = place(&bed.rooms, &room, &said[15]).await;
    let sweeping = async {
        bed.rooms.purge_history(&room, before).await.expect("purged");
        let mut sum = 0;
        for _ in 0..20 {
            sum += reclaimer.round(&stop).await.expect("a round").snapshots;
            pause(Duration::from_millis(5)).await;
        }
        sum
    };
    let ((), sum) = tokio::join!(writing, sweeping);
    assert!(sum > 10, "{sum} snapshots were reclaimed");
    sound(&bed.rooms, &room).await;
    let page = bed.rooms.messages(
        &id,
        &alice,
        None,
        crate::MessagesQuery {
            from: None,
            to: None,
            direction: crate::Direction::Backwards,
            limit: 1000,
            filter: crate::EventFilter::default(),
        },
        &Nobody,
    );
    assert_eq!(page.await.expect("messages").chunk.len(), 60 + 5 + 4);
}
