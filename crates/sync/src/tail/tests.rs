use std::{collections::HashSet, time::Duration};

use roost_store::{Change, Entry, EventNo, Membership, Position, RoomNo, UserNo};

use super::{Finish, IDLE, Known, Loaded, Member, News, Touched};

const ALICE: UserNo = UserNo(1);
const BOB: UserNo = UserNo(2);
const ROOM: RoomNo = RoomNo(10);
const OTHER: RoomNo = RoomNo(11);
const NOW: Duration = Duration::from_secs(1_000);

struct Log {
    known: Known,
    position: i64,
}

impl Log {
    fn new() -> Self {
        Self { known: Known::at(Position(100)), position: 100 }
    }

    /// Applies a change and returns whom it concerns.
    fn put(&mut self, change: Change) -> (HashSet<RoomNo>, HashSet<UserNo>) {
        self.position += 1;
        let (mut rooms, mut users) = (HashSet::new(), HashSet::new());
        self.known.apply(&Entry { position: Position(self.position), change }, &mut rooms, &mut users);
        (rooms, users)
    }

    fn event(&mut self, room: RoomNo) {
        self.put(Change::Event { room, event: EventNo(self.position), member: None });
    }

    fn member(&mut self, room: RoomNo, user: UserNo, membership: Membership) {
        self.put(Change::Event { room, event: EventNo(self.position), member: Some((user, membership)) });
    }

    fn load(&mut self, user: UserNo, rooms: &[(RoomNo, Membership, i64, i64)]) {
        self.known.begin_loading(user, NOW);
        assert_eq!(self.known.finish_loading(user, &loaded(self.position, rooms)), Finish::Done);
    }

    fn news(&mut self, user: UserNo, since: i64) -> News {
        self.known.news(user, Position(since), false, NOW).unwrap().0
    }
}

fn loaded(at: i64, rooms: &[(RoomNo, Membership, i64, i64)]) -> Loaded {
    let row = |(room, membership, began, last): &(RoomNo, Membership, i64, i64)| {
        (*room, Member { membership: *membership, position: Position(*began) }, Position(*last), Position::START)
    };
    Loaded { at: Position(at), rooms: rooms.iter().map(row).collect(), data: Position(5) }
}

fn touched(room: RoomNo, membership: Membership, began: i64, events: bool, receipts: bool) -> Touched {
    Touched { room, member: Member { membership, position: Position(began) }, events, receipts }
}

#[test]
fn a_user_who_is_not_loaded_has_to_be_loaded_first() {
    let mut log = Log::new();
    assert!(log.known.news(ALICE, Position::START, false, NOW).is_none());
    log.known.begin_loading(ALICE, NOW);
    assert!(log.known.news(ALICE, Position::START, false, NOW).is_none());
    log.known.finish_loading(ALICE, &loaded(100, &[]));
    assert!(log.known.news(ALICE, Position::START, false, NOW).is_some());
}

#[test]
fn only_rooms_with_something_new_are_named() {
    let mut log = Log::new();
    log.load(ALICE, &[(ROOM, Membership::Join, 10, 50), (OTHER, Membership::Join, 20, 60)]);
    assert!(!log.news(ALICE, 100).any);
    log.event(ROOM);
    log.event(RoomNo(99));
    let news = log.news(ALICE, 100);
    assert_eq!(news.rooms, [touched(ROOM, Membership::Join, 10, true, false)]);
    assert_eq!(news.to, Position(102));
    assert!(!log.news(ALICE, 102).any);
    // What was before the tail began is known, too.
    assert_eq!(log.news(ALICE, 55).rooms.len(), 2);
}

#[test]
fn all_rooms_are_named_when_account_data_changed() {
    let mut log = Log::new();
    log.load(ALICE, &[(ROOM, Membership::Join, 10, 50)]);
    log.put(Change::AccountData { user: BOB, room: None });
    assert!(!log.news(ALICE, 100).any);
    log.put(Change::AccountData { user: ALICE, room: Some(ROOM) });
    let news = log.news(ALICE, 100);
    assert!(news.any && news.data);
    assert_eq!(news.rooms, [touched(ROOM, Membership::Join, 10, false, false)]);
}

#[test]
fn a_private_receipt_wakes_its_owner_only() {
    let mut log = Log::new();
    log.load(ALICE, &[(ROOM, Membership::Join, 10, 50)]);
    log.load(BOB, &[(ROOM, Membership::Join, 11, 50)]);
    let (rooms, users) = log.put(Change::Receipt { room: ROOM, user: ALICE, private: true });
    assert!(rooms.is_empty());
    assert_eq!(users, HashSet::from([ALICE]));
    assert!(log.news(ALICE, 100).rooms[0].receipts);
    let (rooms, _) = log.put(Change::Receipt { room: ROOM, user: ALICE, private: false });
    assert_eq!(rooms, HashSet::from([ROOM]));
    assert!(log.news(BOB, 101).rooms[0].receipts);
}

#[test]
fn events_of_a_left_room_are_no_news() {
    let mut log = Log::new();
    log.load(ALICE, &[(ROOM, Membership::Join, 10, 50)]);
    log.member(ROOM, ALICE, Membership::Leave);
    log.event(ROOM);
    assert_eq!(log.news(ALICE, 100).rooms, [touched(ROOM, Membership::Leave, 101, true, false)]);
    assert!(!log.news(ALICE, 101).any);
}

#[test]
fn a_membership_begins_where_it_began_and_not_with_a_new_display_name() {
    let mut log = Log::new();
    log.load(ALICE, &[(ROOM, Membership::Join, 10, 50)]);
    log.member(ROOM, ALICE, Membership::Join);
    assert_eq!(log.news(ALICE, 100).rooms, [touched(ROOM, Membership::Join, 10, true, false)]);
    log.member(ROOM, ALICE, Membership::Leave);
    log.member(ROOM, ALICE, Membership::Join);
    assert_eq!(log.news(ALICE, 100).rooms, [touched(ROOM, Membership::Join, 103, true, true)]);
}

#[test]
fn what_the_log_says_while_a_user_is_loaded_wins_over_older_rows() {
    let mut log = Log::new();
    log.known.begin_loading(ALICE, NOW);
    let rows = loaded(100, &[(ROOM, Membership::Join, 10, 50), (OTHER, Membership::Join, 20, 60)]);
    log.member(ROOM, ALICE, Membership::Ban);
    assert_eq!(log.known.finish_loading(ALICE, &rows), Finish::Done);
    assert_eq!(log.news(ALICE, 100).rooms, [touched(ROOM, Membership::Ban, 101, true, false)]);
    log.event(ROOM);
    assert!(!log.news(ALICE, 101).any);
}

#[test]
fn rows_from_beyond_the_known_log_are_not_taken() {
    let mut log = Log::new();
    log.known.begin_loading(ALICE, NOW);
    assert_eq!(log.known.finish_loading(ALICE, &loaded(101, &[])), Finish::Behind);
    log.event(ROOM);
    assert_eq!(log.known.finish_loading(ALICE, &loaded(101, &[])), Finish::Done);
    assert_eq!(log.known.finish_loading(BOB, &loaded(101, &[])), Finish::Lost);
}

#[test]
fn those_who_wait_are_woken_by_what_concerns_them() {
    let mut log = Log::new();
    log.load(ALICE, &[(ROOM, Membership::Join, 10, 50)]);
    log.load(BOB, &[(OTHER, Membership::Join, 10, 50)]);
    let (_, alice) = log.known.news(ALICE, Position(100), false, NOW).unwrap();
    let (_, bob) = log.known.news(BOB, Position(100), false, NOW).unwrap();
    let (rooms, users) = log.put(Change::Event { room: ROOM, event: EventNo(1), member: None });
    log.known.wake(&rooms, &users);
    assert!(alice.has_changed().unwrap());
    assert!(!bob.has_changed().unwrap());
    let (rooms, users) =
        log.put(Change::Event { room: RoomNo(77), event: EventNo(2), member: Some((BOB, Membership::Invite)) });
    log.known.wake(&rooms, &users);
    assert!(bob.has_changed().unwrap());
}

#[test]
fn users_who_are_away_are_let_go_and_their_rooms_with_them() {
    let mut log = Log::new();
    log.load(ALICE, &[(ROOM, Membership::Join, 10, 50)]);
    log.load(BOB, &[(ROOM, Membership::Join, 10, 50), (OTHER, Membership::Join, 10, 50)]);
    let (_, waiting) = log.known.news(BOB, Position(100), false, NOW).unwrap();
    log.known.sweep(NOW + IDLE);
    assert_eq!(log.known.users.len(), 2);
    log.known.sweep(NOW + IDLE * 2);
    assert_eq!(log.known.users.keys().collect::<Vec<_>>(), [&BOB]);
    assert_eq!(log.known.rooms[&ROOM].joined, HashSet::from([BOB]));
    drop(waiting);
    log.known.sweep(NOW + IDLE * 2);
    assert!(log.known.users.is_empty() && log.known.rooms.is_empty());
}

#[test]
fn a_room_whose_members_are_all_known_now_begins_anew_for_those_in_it() {
    let mut log = Log::new();
    log.load(ALICE, &[(ROOM, Membership::Join, 10, 50)]);
    let (_, alice) = log.known.news(ALICE, Position(100), false, NOW).unwrap();
    let (rooms, users) = log.put(Change::Whole { room: ROOM });
    log.known.wake(&rooms, &users);
    assert!(alice.has_changed().unwrap());
    let (news, _) = log.known.news(ALICE, Position(100), false, NOW).unwrap();
    assert!(news.rooms[0].events);
    assert!(news.rooms[0].member.position > Position(100));
}
