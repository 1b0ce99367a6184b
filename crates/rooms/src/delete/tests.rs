use std::time::Duration;

use roost_matrix::ids::{OwnedRoomId, UserId};
use roost_store::{Membership, deletion, usage};
use roost_world::{Stop, Workers};
use serde_json::json;

use crate::{
    CreateRoom, Error, Preset,
    testing::{Bed, another, bed, pause, state, text_as, user},
};

fn never() -> Stop {
    Workers::new(roost_store::testing::world()).stop_signal()
}

async fn busy_room(bed: &Bed, alice: &UserId, bob: &UserId) -> OwnedRoomId {
    let mut request = CreateRoom { preset: Some(Preset::PublicChat), ..CreateRoom::new(alice) };
    request.alias = Some("busy".to_owned());
    let room = bed.rooms.create(request).await.expect("a room");
    bed.join(&room, bob).await.expect("joined");
    for n in 0..40 {
        bed.rooms.append(&room, text_as(bob, &n.to_string(), &format!("txn {n}"))).await.expect("sent");
        let thing = state(alice, "org.example.thing", &(n % 20).to_string(), &json!({ "n": n }));
        bed.rooms.append(&room, thing).await.expect("set");
    }
    room
}

/// Rows that have the room's number, or its events'.
async fn rows(bed: &Bed, no: roost_store::RoomNo) -> Vec<String> {
    let used = bed.store.read(move |read| usage::of_room(read, no)).await.expect("usage");
    let mut left: Vec<String> = used.iter().filter(|used| used.rows > 0).map(|used| used.table.to_owned()).collect();
    let own = format!(" room_no={no} ");
    let is_own = |row: &[u8]| row.windows(own.len()).any(|part| part == own.as_bytes());
    let dump = bed.store.scratch.dump();
    left.extend(dump.into_iter().filter(|(table, row)| table != "log" && is_own(row)).map(|(table, _)| table));
    left.sort();
    left.dedup();
    left
}

#[tokio::test]
async fn of_a_deleted_room_nothing_is_left() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = busy_room(&bed, &alice, &bob).await;
    let other = bed.public_room(&alice).await;
    bed.say(&other, &alice, "stays").await.expect("sent");
    let no = bed.rooms.room(&room).await.expect("the room").no;
    let found = rows(&bed, no).await;
    assert!(found.len() >= 8, "{found:?}");
    let done = bed.rooms.delete(&room, false).await.expect("deleted");
    assert_eq!(done.left, 2);
    assert!(done.rows > 100, "{done:?}");
    assert_eq!(rows(&bed, no).await, Vec::<String>::new());
    assert_eq!(bed.store.scratch.holding(room.as_str()), Vec::<String>::new());
    assert!(matches!(bed.rooms.room(&room).await, Err(Error::UnknownRoom)));
    assert!(matches!(bed.rooms.delete(&room, false).await, Err(Error::UnknownRoom)));
    // Others do not notice.
    assert_eq!(bed.bodies(&other, &alice).await, ["stays"]);
    let at = bed.rooms.room(&other).await.expect("the room");
    assert_eq!(bed.rooms.check(&at).await.expect("a check").faults, Vec::<String>::new());
}

#[tokio::test]
async fn members_are_taken_out_of_the_room_before_it_is_deleted_and_clients_hear_of_it() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = busy_room(&bed, &alice, &bob).await;
    let mut follower = bed.store.follow(bed.store.frontier());
    bed.rooms.delete(&room, false).await.expect("deleted");
    let roost_store::Step::Advanced { entries, .. } = follower.drain() else { panic!("lost") };
    let is_leave = |entry: &&roost_store::Entry| {
        matches!(entry.change, roost_store::Change::Event { member: Some((_, Membership::Leave)), .. })
    };
    assert_eq!(entries.iter().filter(is_leave).count(), 2);
}

#[tokio::test]
async fn by_force_nobody_is_asked() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = busy_room(&bed, &alice, &bob).await;
    let done = bed.rooms.delete(&room, true).await.expect("deleted");
    assert_eq!(done.left, 0);
    assert!(matches!(bed.rooms.room(&room).await, Err(Error::UnknownRoom)));
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_goes_on_and_meanwhile_nobody_sees_the_room() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = busy_room(&bed, &alice, &bob).await;
    let no = bed.rooms.room(&room).await.expect("the room").no;
    assert!(bed.store.write(move |tx| deletion::mark(tx, no, 1)).await.expect("marked"));
    for _ in 0..3 {
        assert!(bed.store.write(move |tx| deletion::step(tx, no, 10)).await.expect("a step") > 0);
    }
    // As after a restart.
    let again = another(&bed.store.scratch).await;
    assert!(matches!(again.room(&room).await, Err(Error::UnknownRoom)));
    let alias = roost_matrix::ids::RoomAliasId::parse("#busy:example.org").expect("an alias");
    assert!(again.resolve(&alias).await.expect("asked").is_none());
    assert!(again.joined_rooms(&bob).await.expect("rooms").is_empty());
    let pending = room.to_string();
    assert!(bed.store.read(move |read| deletion::is_pending(read, &pending)).await.expect("asked"));
    assert!(again.resume_deletions(&never()).await.expect("resumed") > 0);
    assert_eq!(rows(&bed, no).await, Vec::<String>::new());
    assert_eq!(again.resume_deletions(&never()).await.expect("nothing"), 0);
}

#[tokio::test]
async fn a_worker_takes_up_what_was_interrupted() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = busy_room(&bed, &alice, &bob).await;
    let no = bed.rooms.room(&room).await.expect("the room").no;
    assert!(bed.store.write(move |tx| deletion::mark(tx, no, 1)).await.expect("marked"));
    let workers = Workers::new(roost_store::testing::world());
    workers.start_future("deletions", |stop| bed.rooms.clone().keep_deleting(stop));
    for _ in 0..200 {
        if bed.store.read(deletion::pending).await.expect("asked").is_empty() {
            break;
        }
        pause(Duration::from_millis(20)).await;
    }
    workers.stop().await;
    assert_eq!(rows(&bed, no).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_door_of_a_deleted_room_refuses_also_when_it_was_open() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = busy_room(&bed, &alice, &bob).await;
    let at = bed.rooms.room(&room).await.expect("the room");
    assert!(bed.rooms.0.doors.is_open(at.no));
    let no = at.no;
    // On another node, so that nothing in memory knows.
    assert!(bed.store.write(move |tx| deletion::mark(tx, no, 1)).await.expect("marked"));
    let refused = bed.say(&room, &alice, "too late").await;
    assert!(matches!(refused, Err(Error::UnknownRoom)), "{refused:?}");
    bed.rooms.resume_deletions(&never()).await.expect("resumed");
    assert!(bed.say(&room, &alice, "much too late").await.is_err());
    assert_eq!(rows(&bed, no).await, Vec::<String>::new());
}
