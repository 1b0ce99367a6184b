use std::time::Duration;

use roost_matrix::ids::{OwnedRoomId, OwnedUserId, UserId};
use roost_rooms::{CreateRoom, MemberProfile, Preset};
use roost_store::{UserNo, accounts, user_directory};

use crate::tests::{House, house};

fn id(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:example.org")).expect("a user id")
}

impl House {
    async fn numbered(&self, name: &str) -> UserNo {
        self.store.user_no(&id(name)).await.expect("a number")
    }

    async fn account_of(&self, name: &str) -> UserNo {
        let user = self.numbered(name).await;
        let write = self.store.write(move |tx| accounts::insert(tx, user, None, false, 0));
        write.await.expect("an account");
        user
    }

    async fn room_of(&self, creator: &str, preset: Preset, published: bool) -> OwnedRoomId {
        self.clock.advance(Duration::from_millis(1));
        let creator = id(creator);
        let mut room = CreateRoom::new(&creator);
        room.preset = Some(preset);
        room.published = published;
        self.rooms.create(room).await.expect("a room")
    }

    async fn found(&self, reader: UserNo, term: &str) -> Vec<String> {
        let (found, _) = self.users.search(reader, term, 10).await.expect("searched");
        found.into_iter().map(|found| found.user_id.localpart().to_owned()).collect()
    }
}

/// So many people who match and whom nobody can meet, registered before all others.
async fn crowd(house: &House, size: usize) {
    let mut strangers = vec![];
    for number in 0..size {
        strangers.push(house.numbered(&format!("common-stranger-{number}")).await);
    }
    let write = house
        .store
        .write(move |tx| strangers.iter().try_for_each(|stranger| accounts::insert(tx, *stranger, None, false, 0)));
    write.await.expect("accounts");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_are_near_are_found_however_many_others_match() {
    let house = house().await;
    crowd(&house, 600).await;
    let reader = house.account_of("reader").await;
    for name in ["common-friend", "common-public", "common-hidden"] {
        house.account_of(name).await;
    }
    let room = house.room_of("common-friend", Preset::PrivateChat, false).await;
    assert!(house.found(reader, "common").await.is_empty(), "nobody is near yet");
    let (friend, own) = (id("common-friend"), id("reader"));
    house.rooms.invite(&room, &friend, &own, &MemberProfile::default(), None).await.expect("invited");
    house.rooms.join(&room, &own, &MemberProfile::default(), None).await.expect("joined");
    house.room_of("common-public", Preset::PublicChat, true).await;
    house.room_of("common-hidden", Preset::PrivateChat, true).await;
    assert_eq!(house.found(reader, "common").await, ["common-friend", "common-public"]);
    assert_eq!(house.found(reader, "m").await, ["common-friend", "common-public"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_name_begins_with_the_term_comes_first_when_not_all_can_be_looked_at() {
    let house = house().await;
    let reader = house.account_of("reader").await;
    let room = house.room_of("reader", Preset::PublicChat, false).await;
    let mut people = vec![];
    for name in ["uncommon", "bob", "common-1"] {
        people.push(house.account_of(name).await);
        house.rooms.join(&room, &id(name), &MemberProfile::default(), None).await.expect("joined");
    }
    let name = serde_json::value::to_raw_value("Common Bob").expect("JSON");
    let field = crate::Field::parse("displayname").expect("a field");
    house.users.set_profile_field(people[1], &id("bob"), &field, &name).await.expect("named");
    let no = house.rooms.room(&room).await.expect("a room").no;
    let first = house.store.read(move |read| user_directory::search_in(read, reader, &[no], "common", 2)).await;
    assert_eq!(first.expect("searched"), [people[1], people[2]], "the id of the first to register only holds it");
    let all = house.store.read(move |read| user_directory::search_in(read, reader, &[no], "common", 10)).await;
    assert_eq!(all.expect("searched"), [people[1], people[2], people[0]]);
}
