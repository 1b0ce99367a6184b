use roost_world::Workers;

use super::*;
use crate::tests::ManualClock;

fn typing() -> (Typing, Arc<ManualClock>, Workers) {
    let clock = ManualClock::new();
    let world = World { clock: clock.clone(), ..roost_store::testing::world() };
    let typing = Typing::new(world.clone());
    let workers = Workers::new(world);
    let expiring = typing.clone();
    workers.start_future("typing", |stop| expiring.expire(stop));
    (typing, clock, workers)
}

fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:example.org")).expect("a user id")
}

fn names(typing: &Typing, room: RoomNo) -> Vec<OwnedUserId> {
    typing.in_room(room).map(|list| list.users).unwrap_or_default()
}

const ROOM: RoomNo = RoomNo(7);
const LONG: Option<Duration> = Some(Duration::from_secs(60));

#[tokio::test]
async fn a_room_lists_who_types_in_it() {
    let (typing, ..) = typing();
    typing.set(ROOM, &user("bob"), LONG);
    typing.set(ROOM, &user("ada"), LONG);
    typing.set(RoomNo(8), &user("eve"), LONG);
    assert_eq!(names(&typing, ROOM), [user("ada"), user("bob")]);
    typing.set(ROOM, &user("bob"), None);
    assert_eq!(names(&typing, ROOM), [user("ada")]);
}

#[tokio::test]
async fn readers_hear_of_each_change_once_and_of_the_end() {
    let (typing, ..) = typing();
    let start = typing.serial();
    assert_eq!(start, typing.started_at());
    typing.set(ROOM, &user("ada"), LONG);
    let first = typing.since(start);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].users, [user("ada")]);
    assert_eq!(first[0].serial, typing.serial());
    assert!(typing.since(typing.serial()).is_empty());
    typing.set(ROOM, &user("ada"), None);
    let end = typing.since(first[0].serial);
    assert_eq!(end.len(), 1);
    assert!(end[0].users.is_empty());
}

#[tokio::test]
async fn going_on_typing_is_no_news() {
    let (typing, ..) = typing();
    typing.set(ROOM, &user("ada"), LONG);
    let serial = typing.serial();
    typing.set(ROOM, &user("ada"), LONG);
    typing.set(ROOM, &user("bob"), None);
    assert_eq!(typing.serial(), serial);
}

#[tokio::test]
async fn a_notice_ends_by_itself_and_wakes_readers() {
    let (typing, clock, _workers) = typing();
    typing.set(ROOM, &user("ada"), Some(Duration::from_secs(10)));
    let mut changes = typing.subscribe();
    changes.mark_unchanged();
    clock.advance(Duration::from_secs(6));
    typing.set(ROOM, &user("ada"), Some(Duration::from_secs(10)));
    clock.advance(Duration::from_secs(6));
    tokio::task::yield_now().await;
    assert_eq!(names(&typing, ROOM), [user("ada")], "it was renewed");
    clock.advance(Duration::from_secs(4));
    changes.changed().await.expect("told");
    assert!(names(&typing, ROOM).is_empty());
}

#[tokio::test]
async fn no_notice_lasts_longer_than_the_limit() {
    let (typing, clock, _workers) = typing();
    let mut changes = typing.subscribe();
    typing.set(ROOM, &user("ada"), Some(Duration::MAX));
    changes.mark_unchanged();
    clock.advance(MAX_TIMEOUT);
    changes.changed().await.expect("told");
    assert!(names(&typing, ROOM).is_empty());
}

#[tokio::test]
async fn rooms_where_nobody_types_any_more_are_forgotten_at_last() {
    let (typing, ..) = typing();
    for room in 1..=i64::try_from(MAX_EMPTIED).expect("small") + 10 {
        typing.set(RoomNo(room), &user("ada"), LONG);
        typing.set(RoomNo(room), &user("ada"), None);
    }
    assert_eq!(typing.since(0).len(), MAX_EMPTIED);
    assert!(typing.in_room(RoomNo(1)).is_none());
}
