//! What accounts do in rooms: profiles, receipts, tags, departures.

use std::time::Duration;

use roost_matrix::ids::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use roost_rooms::{CreateRoom, MemberProfile, NewEvent, Preset};
use roost_store::{Membership, Position, UserNo, account_data, memberships, receipts};
use serde_json::{Value, json, value::RawValue};

use crate::{
    Error, Field, Markers, ReceiptKind,
    tests::{House, house, spawn},
};

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("JSON")
}

fn id(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:example.org")).expect("a user id")
}

impl House {
    async fn user(&self, name: &str) -> (OwnedUserId, UserNo) {
        self.register(name, false).await;
        let user_id = id(name);
        let user = self.store.user_no(&user_id).await.expect("a number");
        (user_id, user)
    }

    async fn room(&self, creator: &UserId) -> OwnedRoomId {
        // In one instant one user could create one room twice: its id is the hash of its first event.
        self.clock.advance(Duration::from_millis(1));
        let mut room = CreateRoom::new(creator);
        room.preset = Some(Preset::PublicChat);
        self.rooms.create(room).await.expect("a room")
    }

    async fn send(&self, room: &RoomId, sender: &UserId, content: Value) -> OwnedEventId {
        let event = NewEvent::message(sender, "m.room.message", raw(&content), None);
        self.rooms.append(room, event).await.expect("sent").event_id
    }

    async fn member(&self, room: &RoomId, reader: &UserId, user: &UserId) -> Value {
        let content = self.rooms.state_content(room, reader, "m.room.member", user.as_str()).await.expect("a member");
        serde_json::from_str(&content).expect("JSON")
    }

    async fn receipts(
        &self,
        room: &RoomId,
        reader: UserNo,
    ) -> Vec<(String, &'static str, Option<String>, OwnedEventId)> {
        let room = self.rooms.room(room).await.expect("a room").no;
        let read = self.store.read(move |read| {
            let frontier = read.frontier()?;
            receipts::of_rooms(read, &[room], reader, Position::START, frontier)
        });
        let rows = read.await.expect("read");
        rows.into_iter().map(|row| (row.user_id.localpart().to_owned(), row.kind(), row.thread, row.event_id)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_reaches_the_rooms_its_user_is_in() {
    let house = house().await;
    let ((ada, ada_no), (bob, _)) = (house.user("ada").await, house.user("bob").await);
    let (first, second) = (house.room(&ada).await, house.room(&bob).await);
    house.rooms.join(&second, &ada, &MemberProfile::default(), None).await.expect("joined");
    let left = house.room(&ada).await;
    house.rooms.leave(&left, &ada, None).await.expect("left");

    house.users.set_profile_field(ada_no, &ada, &Field::DisplayName, &raw(&json!("Ada"))).await.expect("set");
    house
        .users
        .set_profile_field(ada_no, &ada, &Field::AvatarUrl, &raw(&json!("mxc://example.org/a")))
        .await
        .expect("set");
    for room in [&first, &second] {
        let member = house.member(room, &ada, &ada).await;
        assert_eq!(member["membership"], "join");
        assert_eq!(member["displayname"], "Ada");
        assert_eq!(member["avatar_url"], "mxc://example.org/a");
    }
    house.users.delete_profile_field(ada_no, &ada, &Field::DisplayName).await.expect("deleted");
    let member = house.member(&first, &ada, &ada).await;
    assert_eq!((member.get("displayname"), &member["avatar_url"]), (None, &json!("mxc://example.org/a")));
    let row = memberships_of(&house, ada_no, &left).await;
    assert_eq!(row, Membership::Leave, "the room that was left heard nothing");
}

async fn memberships_of(house: &House, user: UserNo, room: &RoomId) -> Membership {
    let room = house.rooms.room(room).await.expect("a room").no;
    let read = house.store.read(move |read| memberships::one(read, user, room));
    read.await.expect("read").expect("a membership").membership
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_members_do_not_repeat_stay_out_of_rooms() {
    let house = house().await;
    let (ada, ada_no) = house.user("ada").await;
    let room = house.room(&ada).await;
    let before = house.store.frontier();
    house
        .users
        .set_profile_field(ada_no, &ada, &Field::parse("m.tz").expect("a field"), &raw(&json!("Europe/Paris")))
        .await
        .expect("set");
    let member = house.member(&room, &ada, &ada).await;
    assert_eq!(member.get("m.tz"), None);
    assert_eq!(house.store.frontier(), Position(before.0 + 1), "one change: that of the profile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_stays_below_64_kib() {
    let house = house().await;
    let (ada, ada_no) = house.user("ada").await;
    let set = |key: &str, len: usize| {
        let (users, ada, field) = (house.users.clone(), ada.clone(), Field::parse(key).expect("a field"));
        async move { users.set_profile_field(ada_no, &ada, &field, &raw(&json!("x".repeat(len)))).await }
    };
    set("com.example.a", 40_000).await.expect("fits");
    assert!(matches!(set("com.example.b", 30_000).await, Err(Error::ProfileTooLarge)));
    set("com.example.b", 20_000).await.expect("fits");
    set("com.example.a", 1).await.expect("smaller");
    set("com.example.b", 60_000).await.expect("fits now");
    let profile = house.users.profile(&ada).await.expect("read").expect("a profile");
    assert!(serde_json::to_string(&profile).expect("JSON").len() < crate::MAX_PROFILE_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_deactivates_leaves_declines_and_takes_back() {
    let house = house().await;
    let ((ada, ada_no), (bob, _)) = (house.user("ada").await, house.user("bob").await);
    let (own, joined, invited) = (house.room(&ada).await, house.room(&bob).await, house.room(&bob).await);
    house.rooms.join(&joined, &ada, &MemberProfile::default(), None).await.expect("joined");
    house.rooms.invite(&invited, &bob, &ada, &MemberProfile::default(), None).await.expect("invited");
    house.users.deactivate(ada_no, &ada, false).await.expect("deactivated");
    for room in [&own, &joined, &invited] {
        assert_eq!(memberships_of(&house, ada_no, room).await, Membership::Leave);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thread_has_a_receipt_of_its_own_and_the_latest_wins() {
    let house = house().await;
    let (ada, ada_no) = house.user("ada").await;
    let room = house.room(&ada).await;
    let top = house.send(&room, &ada, json!({ "body": "root" })).await;
    let threaded = json!({ "body": "in", "m.relates_to": { "rel_type": "m.thread", "event_id": top } });
    let in_thread = house.send(&room, &ada, threaded).await;
    let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": in_thread, "key": "+" } });
    let reaction = house.send(&room, &ada, reaction).await;
    let later = house.send(&room, &ada, json!({ "body": "later" })).await;

    let set = |kind: ReceiptKind, event: &OwnedEventId, thread: Option<&str>| {
        let (users, room) = (house.users.clone(), room.clone());
        let markers = Markers::one(kind, event.clone(), thread.map(ToOwned::to_owned));
        async move { users.set_markers(ada_no, &room, markers?).await }
    };
    set(ReceiptKind::Public, &later, None).await.expect("unthreaded");
    set(ReceiptKind::Public, &top, None).await.expect("backwards is allowed");
    set(ReceiptKind::Public, &later, Some("main")).await.expect("main");
    set(ReceiptKind::Public, &in_thread, Some(top.as_str())).await.expect("in the thread");
    set(ReceiptKind::Public, &reaction, Some(top.as_str())).await.expect("related to what is in the thread");
    set(ReceiptKind::Public, &top, Some("main")).await.expect("a top is in the main timeline");
    set(ReceiptKind::Public, &top, Some(top.as_str())).await.expect("and belongs to its thread");
    for (event, thread) in
        [(&in_thread, "main"), (&reaction, "main"), (&later, top.as_str()), (&later, "$other"), (&top, "")]
    {
        assert!(matches!(set(ReceiptKind::Public, event, Some(thread)).await, Err(Error::Thread(_))), "{thread}");
    }
    assert!(matches!(set(ReceiptKind::FullyRead, &top, Some("main")).await, Err(Error::Thread(_))));

    let mut rows = house.receipts(&room, ada_no).await;
    rows.sort_by(|a, b| a.2.cmp(&b.2));
    let name = || "ada".to_owned();
    let expected = [
        (name(), "m.read", None, top.clone()),
        (name(), "m.read", Some(top.to_string()), top.clone()),
        (name(), "m.read", Some("main".to_owned()), top.clone()),
    ];
    assert_eq!(rows, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_receipt_is_seen_by_its_owner_only() {
    let house = house().await;
    let ((ada, ada_no), (bob, bob_no)) = (house.user("ada").await, house.user("bob").await);
    let room = house.room(&ada).await;
    house.rooms.join(&room, &bob, &MemberProfile::default(), None).await.expect("joined");
    let event = house.send(&room, &ada, json!({ "body": "hello" })).await;
    let markers = Markers { read_private: Some(event.clone()), fully_read: Some(event.clone()), ..Markers::default() };
    house.users.set_markers(ada_no, &room, markers).await.expect("set");
    assert_eq!(house.receipts(&room, ada_no).await.len(), 1);
    assert!(house.receipts(&room, bob_no).await.is_empty());
    let content = house.users.account_data(ada_no, Some(&room), "m.fully_read").await.expect("read").expect("a marker");
    assert_eq!(serde_json::from_str::<Value>(&content).expect("JSON"), json!({ "event_id": event }));
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_point_at_events_of_a_room_that_the_user_is_in() {
    let house = house().await;
    let ((ada, ada_no), (_, bob_no)) = (house.user("ada").await, house.user("bob").await);
    let (room, other) = (house.room(&ada).await, house.room(&ada).await);
    let event = house.send(&room, &ada, json!({ "body": "hello" })).await;
    for kind in [ReceiptKind::Public, ReceiptKind::Private, ReceiptKind::FullyRead] {
        let markers = || Markers::one(kind, event.clone(), None).expect("markers");
        assert!(house.users.set_markers(ada_no, &room, markers()).await.is_ok());
        assert!(matches!(house.users.set_markers(bob_no, &room, markers()).await, Err(Error::NotJoined)));
        assert!(matches!(house.users.set_markers(ada_no, &other, markers()).await, Err(Error::UnknownEvent)));
        let nowhere = RoomId::parse("!nowhere:example.org").expect("a room id");
        assert!(matches!(house.users.set_markers(ada_no, &nowhere, markers()).await, Err(Error::NotJoined)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_are_set_at_the_same_time_are_all_kept() {
    let house = house().await;
    let (ada, ada_no) = house.user("ada").await;
    let room = house.room(&ada).await;
    let all = (0..20).map(|n| {
        let (users, room) = (house.users.clone(), room.clone());
        spawn(async move { users.set_tag(ada_no, &room, &format!("u.{n}"), raw(&json!({ "order": 0.1 }))).await })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.expect("it ended").expect("set");
    }
    assert_eq!(house.users.tags(ada_no, &room).await.expect("read").len(), 20);
    house.users.delete_tag(ada_no, &room, "u.3").await.expect("deleted");
    house.users.delete_tag(ada_no, &room, "u.3").await.expect("deleted already");
    let tags = house.users.tags(ada_no, &room).await.expect("read");
    assert_eq!((tags.len(), tags["u.4"].get()), (19, "{\"order\":0.1}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_has_a_bounded_number_of_tags() {
    let house = house().await;
    let (ada, ada_no) = house.user("ada").await;
    let room = house.room(&ada).await;
    let mut tags = serde_json::Map::new();
    for n in 0..crate::MAX_TAGS {
        tags.insert(format!("u.{n}"), json!({}));
    }
    let content = json!({ "tags": tags, "org.example": 7 }).to_string();
    house.users.set_account_data(ada_no, Some(&room), "m.tag", content).await.expect("set");
    house.users.set_tag(ada_no, &room, "u.0", raw(&json!({ "order": 1 }))).await.expect("it was there");
    let more = house.users.set_tag(ada_no, &room, "u.more", raw(&json!({}))).await;
    assert!(matches!(more, Err(Error::TooManyTags)));
    let content = house.users.account_data(ada_no, Some(&room), "m.tag").await.expect("read").expect("tags");
    let content: Value = serde_json::from_str(&content).expect("JSON");
    assert_eq!((&content["org.example"], &content["tags"]["u.0"]["order"]), (&json!(7), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_account_data_find_what_changed_since() {
    let house = house().await;
    let (ada, ada_no) = house.user("ada").await;
    let room = house.room(&ada).await;
    house.users.set_account_data(ada_no, None, "org.example.a", "{}".to_owned()).await.expect("set");
    let between = house.store.frontier();
    house.users.set_account_data(ada_no, Some(&room), "org.example.b", "{\"b\":1}".to_owned()).await.expect("set");
    let changed = |after: Position| {
        let store = (*house.store).clone();
        async move {
            let read = store.read(move |read| account_data::changed(read, ada_no, after, read.frontier()?));
            read.await.expect("read").into_iter().map(|data| (data.room.is_some(), data.kind)).collect::<Vec<_>>()
        }
    };
    let (a, b) = ((false, "org.example.a".to_owned()), (true, "org.example.b".to_owned()));
    assert_eq!(changed(Position::START).await, [a, b.clone()]);
    assert_eq!(changed(between).await, [b]);
    assert!(changed(house.store.frontier()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_can_not_set_what_the_server_controls() {
    let house = house().await;
    let (ada, ada_no) = house.user("ada").await;
    let room = house.room(&ada).await;
    for kind in ["m.fully_read", "m.push_rules"] {
        for room in [None, Some(&*room)] {
            let set = house.users.set_account_data(ada_no, room, kind, "{}".to_owned()).await;
            assert!(matches!(set, Err(Error::ServerControlled(_))), "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_type() {
    let house = house().await;
    let ((ada, ada_no), (bob, bob_no)) = (house.user("ada").await, house.user("bob").await);
    let room = house.room(&ada).await;
    let long = Some(Duration::from_secs(30));
    house.users.set_typing(ada_no, &ada, &room, long).await.expect("typing");
    assert!(matches!(house.users.set_typing(bob_no, &bob, &room, long).await, Err(Error::NotJoined)));
    let no = house.rooms.room(&room).await.expect("a room").no;
    assert_eq!(house.users.typing().in_room(no).expect("a list").users, [ada]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_filter_gets_the_same_id() {
    let house = house().await;
    let ((_, ada_no), (_, bob_no)) = (house.user("ada").await, house.user("bob").await);
    let first = house.users.put_filter(ada_no, "{}".to_owned()).await.expect("stored");
    let second = house.users.put_filter(ada_no, "{\"a\":1}".to_owned()).await.expect("stored");
    assert_ne!(first, second);
    assert_eq!(house.users.put_filter(ada_no, "{}".to_owned()).await.expect("stored"), first);
    assert_eq!(house.users.filter(ada_no, &second).await.expect("read").as_deref(), Some("{\"a\":1}"));
    assert_eq!(house.users.filter(bob_no, &second).await.expect("read"), None);
    for unknown in ["", "999", "x", "-1", "99999999999999999999"] {
        assert_eq!(house.users.filter(ada_no, unknown).await.expect("read"), None, "{unknown:?}");
    }
}
