use std::collections::{BTreeSet, HashSet};

use futures_util::{FutureExt as _, future::join_all};
use roost_matrix::room_version::RoomVersion;
use roost_store::{Membership, rooms, timeline};
use serde_json::json;

use crate::{
    Error, Rooms,
    testing::{another, bed, state, text, text_as, user},
};

async fn revision(rooms: &Rooms, room: &roost_matrix::ids::RoomId) -> i64 {
    let room = room.to_string();
    let row = rooms.store().read(move |read| rooms::by_id(read, &room).map_err(Error::from)).await.expect("a read");
    row.expect("the room").revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_senders_in_one_room_share_commits_and_lose_nothing() {
    let bed = bed().await;
    let creator = user("creator");
    let room = bed.public_room(&creator).await;
    let senders: Vec<_> = (0..20).map(|n| user(&format!("sender{n}"))).collect();
    for sender in &senders {
        bed.join(&room, sender).await.expect("joined");
    }
    let before = revision(&bed.rooms, &room).await;
    let sent = join_all(senders.iter().map(|sender| {
        let (bed, room) = (&bed, &room);
        async move {
            let mut ids = Vec::new();
            for n in 0..25 {
                ids.push(bed.say(room, sender, &format!("{sender} {n}")).await.expect("sent").event_id);
            }
            ids
        }
    }))
    .await;
    let ids: HashSet<_> = sent.iter().flatten().collect();
    assert_eq!(ids.len(), 500);

    let bodies = bed.bodies(&room, &creator).await;
    assert_eq!(bodies.len(), 500);
    for sender in &senders {
        let theirs: Vec<_> = bodies.iter().filter(|body| body.starts_with(sender.as_str())).collect();
        let wanted: Vec<_> = (0..25).map(|n| format!("{sender} {n}")).collect();
        assert_eq!(
            theirs,
            wanted.iter().collect::<Vec<_>>(),
            "each sender's messages stand in the order they were sent"
        );
    }
    let commits = revision(&bed.rooms, &room).await - before;
    assert!(commits < 250, "500 events took {commits} commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_follows_the_one_before_it() {
    let bed = bed().await;
    for version in RoomVersion::ALL {
        let creator = user("creator");
        let room = bed.room_of(&creator, version).await;
        for n in 0..3 {
            bed.say(&room, &creator, &n.to_string()).await.expect("sent");
        }
        let rooms = bed.rooms.clone();
        let stored = bed
            .store
            .read(move |read| {
                let room = rooms.room_in(read, &room)?;
                let entries = timeline::forwards(read, room.no, 0, i64::MAX, 100)?;
                let nos: Vec<_> = entries.iter().map(|entry| entry.event).collect();
                rooms.stored(read, &room, &nos)
            })
            .await
            .expect("a read");
        assert!(stored.len() >= 9, "{version}: {}", stored.len());
        for pair in stored.windows(2) {
            let [earlier, later] = pair else { continue };
            assert_eq!(later.idx, earlier.idx + 1);
            assert_eq!(later.pdu.prev_events(), [earlier.pdu.event_id().to_owned()], "{version}");
            assert_eq!(later.pdu.depth(), earlier.pdu.depth() + 1);
        }
        let ids: BTreeSet<_> = stored.iter().map(|stored| stored.pdu.event_id().to_owned()).collect();
        for event in &stored {
            assert!(event.pdu.auth_events().iter().all(|id| ids.contains(id)), "{version}");
        }
    }
}

#[tokio::test]
async fn a_transaction_id_names_one_event_however_often_it_is_sent() {
    let bed = bed().await;
    let alice = user("alice");
    let room = bed.public_room(&alice).await;
    let first = bed.rooms.append(&room, text_as(&alice, "once", "t1")).await.expect("sent");
    let again = bed.rooms.append(&room, text_as(&alice, "twice", "t1")).await.expect("sent");
    assert_eq!(first.event_id, again.event_id);
    assert!(first.position.is_some() && again.position.is_none());

    // Also in one batch, and on an engine that has just started.
    let both = join_all((0..8).map(|_| bed.rooms.append(&room, text_as(&alice, "thrice", "t2")))).await;
    let ids: HashSet<_> = both.into_iter().map(|sent| sent.expect("sent").event_id).collect();
    assert_eq!(ids.len(), 1);
    let restarted = another(&bed.store.scratch).await;
    let again = restarted.append(&room, text_as(&alice, "four times", "t1")).await.expect("sent");
    assert_eq!(first.event_id, again.event_id);

    // Another device, another event type and another room are other requests.
    let mut other = text_as(&alice, "other", "t1");
    other.transaction = other.transaction.map(|t| crate::Transaction { device: "OTHER".into(), ..t });
    assert_ne!(bed.rooms.append(&room, other).await.expect("sent").event_id, first.event_id);
    let mut other = text_as(&alice, "other", "t1");
    other.transaction = other.transaction.map(|t| crate::Transaction { endpoint: "send/m.other".into(), ..t });
    assert_ne!(bed.rooms.append(&room, other).await.expect("sent").event_id, first.event_id);
    let elsewhere = bed.public_room(&alice).await;
    let other = bed.rooms.append(&elsewhere, text_as(&alice, "other", "t1")).await.expect("sent");
    assert_ne!(other.event_id, first.event_id);
    assert_eq!(bed.bodies(&room, &alice).await, ["once", "thrice", "other", "other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_on_one_database_take_turns_and_lose_nothing() {
    let bed = bed().await;
    let alice = user("alice");
    let room = bed.public_room(&alice).await;
    let others = [another(&bed.store.scratch).await, another(&bed.store.scratch).await];
    let engines: Vec<_> = std::iter::once(bed.rooms.clone()).chain(others).collect();
    let sent = join_all(
        engines
            .iter()
            .enumerate()
            .flat_map(|(engine, rooms)| (0..4).map(move |sender| (engine, sender, rooms.clone())))
            .map(|(engine, sender, rooms)| {
                let (room, alice) = (&room, &alice);
                async move {
                    for n in 0..15 {
                        let body = format!("{engine} {sender} {n}");
                        rooms.append(room, text_as(alice, &body, &body)).await.expect("sent");
                    }
                }
            }),
    )
    .await;
    assert_eq!(sent.len(), 12);
    let bodies = bed.bodies(&room, &alice).await;
    let distinct: HashSet<_> = bodies.iter().collect();
    assert_eq!((bodies.len(), distinct.len()), (180, 180));
}

#[tokio::test]
async fn one_refusal_refuses_only_its_own_request() {
    let bed = bed().await;
    let (alice, stranger) = (user("alice"), user("stranger"));
    let room = bed.public_room(&alice).await;
    let huge = "x".repeat(70_000);
    let requests = [
        text(&alice, "before"),
        text(&stranger, "not a member"),
        text(&alice, &huge),
        state(&alice, "m.room.power_levels", "", &json!({ "users": { "@alice:example.org": 100 } })),
        text(&alice, "after"),
    ];
    let answers = join_all(requests.into_iter().map(|event| bed.rooms.append(&room, event))).await;
    assert!(answers[0].is_ok());
    assert!(matches!(answers[1], Err(Error::Forbidden(_))), "{:?}", answers[1]);
    assert!(matches!(answers[2], Err(Error::TooLarge)), "{:?}", answers[2]);
    assert!(answers[4].is_ok());
    assert_eq!(bed.bodies(&room, &alice).await, ["before", "after"]);
}

#[tokio::test]
async fn members_are_counted_as_the_history_says() {
    let bed = bed().await;
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let room = bed.public_room(&alice).await;
    bed.join(&room, &bob).await.expect("joined");
    bed.rooms.invite(&room, &alice, &carol, &crate::MemberProfile::default(), None).await.expect("invited");
    let counts = || async {
        let (rooms, room) = (bed.rooms.clone(), room.clone());
        let no = bed.store.user_no(&alice).await.expect("a number");
        let summary = bed
            .store
            .read(move |read| rooms.summary(read, &*rooms.room_in(read, &room)?, no))
            .await
            .expect("a summary");
        (summary.joined, summary.invited, summary.heroes)
    };
    assert_eq!(counts().await, (2, 1, vec![bob.clone(), carol.clone()]));
    bed.join(&room, &carol).await.expect("joined");
    bed.rooms.leave(&room, &bob, None).await.expect("left");
    assert_eq!(counts().await, (2, 0, vec![carol.clone()]));
    bed.rooms.ban(&room, &alice, &carol, None).await.expect("banned");
    assert_eq!(counts().await, (1, 0, vec![bob.clone(), carol.clone()]));
}

#[tokio::test]
async fn a_membership_and_a_new_name_in_one_batch_leave_the_right_row() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = bed.public_room(&alice).await;
    // Known already, so that the requests reach the door in the order in which they are made.
    let no = bed.store.user_no(&bob).await.expect("a number");
    let join =
        |name: &str| state(&bob, "m.room.member", bob.as_str(), &json!({ "membership": "join", "displayname": name }));
    let answers = join_all(["a", "b", "c"].map(|name| bed.rooms.append(&room, join(name)))).await;
    // They need not arrive in the order in which they were asked for.
    let last = answers.into_iter().map(|answer| answer.expect("appended")).max_by_key(|answer| answer.position);
    let last = last.expect("three").event_id;
    let rooms = bed.rooms.clone();
    let (entry, event) = bed
        .store
        .read(move |read| {
            let room = rooms.room_in(read, &room)?;
            let entry = rooms.membership(read, no, room.no)?.expect("a membership");
            let stored = rooms.stored(read, &room, &[entry.event])?;
            Ok::<_, Error>((entry, stored[0].clone()))
        })
        .await
        .expect("a read");
    assert_eq!(entry.membership, Membership::Join);
    assert_eq!(event.pdu.event_id(), last, "the row names the latest member event");
    assert_eq!(entry.idx, event.idx - 2, "the membership began with the first of them");
    assert!(entry.position.0 > 0);
}

#[tokio::test]
async fn the_same_state_twice_is_one_event() {
    let bed = bed().await;
    let alice = user("alice");
    let room = bed.public_room(&alice).await;
    let name = |name: &str| state(&alice, "m.room.name", "", &json!({ "name": name }));
    let first = bed.rooms.append(&room, name("a")).await.expect("set");
    assert_eq!(bed.rooms.append(&room, name("a")).await.expect("set").event_id, first.event_id);
    let other = bed.rooms.append(&room, name("b")).await.expect("set");
    assert_ne!(other.event_id, first.event_id);
    assert_ne!(bed.rooms.append(&room, name("a")).await.expect("set").event_id, first.event_id);
    // Who is out is told so, even where nothing would change.
    bed.rooms.leave(&room, &alice, None).await.expect("left");
    assert!(matches!(bed.rooms.append(&room, name("a")).await, Err(Error::Forbidden(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_resort_of_a_locked_row_loses_nothing_either() {
    let bed = bed().await;
    let (alice, stranger) = (user("alice"), user("stranger"));
    let room = bed.public_room(&alice).await;
    let locking = crate::Options { tries: 0, ..crate::Options::default() };
    let engine = || async {
        Rooms::open(
            bed.store.scratch.open().await,
            crate::testing::identity(),
            locking.clone(),
            roost_store::testing::world(),
        )
        .await
        .expect("an engine")
    };
    let engines = [engine().await, engine().await];
    join_all(engines.iter().enumerate().flat_map(|(engine, rooms)| {
        let (room, alice, stranger) = (&room, &alice, &stranger);
        (0..3).map(move |sender| async move {
            for n in 0..10 {
                let body = format!("{engine} {sender} {n}");
                let sent = rooms.append(room, text_as(alice, &body, &body)).await.expect("sent");
                assert!(sent.position.is_some());
                assert_eq!(
                    rooms.append(room, text_as(alice, &body, &body)).await.expect("sent").event_id,
                    sent.event_id
                );
                let refused = rooms.append(room, text(stranger, "no")).await;
                assert!(matches!(refused, Err(Error::Forbidden(_))));
            }
        })
    }))
    .await;
    let bodies = bed.bodies(&room, &alice).await;
    assert_eq!(bodies.iter().collect::<HashSet<_>>().len(), 60);
    assert_eq!(bodies.len(), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doors_that_close_at_once_lose_nothing() {
    let bed = bed().await;
    let alice = user("alice");
    let options = crate::Options { appenders: 0, queue: 1, batch: 2, ..crate::Options::default() };
    let rooms = Rooms::open((*bed.store).clone(), crate::testing::identity(), options, roost_store::testing::world())
        .await
        .expect("an engine");
    let ids = [bed.public_room(&alice).await, bed.public_room(&alice).await, bed.public_room(&alice).await];
    join_all((0..12).map(|sender| {
        let (rooms, ids, alice) = (&rooms, &ids, &alice);
        async move {
            for n in 0..20 {
                let room = &ids[(sender + n) % ids.len()];
                rooms.append(room, text(alice, &format!("{sender} {n}"))).await.expect("sent");
            }
        }
    }))
    .await;
    let mut all = HashSet::new();
    for room in &ids {
        all.extend(bed.bodies(room, &alice).await);
    }
    assert_eq!(all.len(), 240);
}

#[tokio::test]
async fn a_commit_that_fails_is_answered_as_such_and_leaves_nothing() {
    let bed = bed().await;
    let alice = user("alice");
    let room = bed.public_room(&alice).await;
    bed.say(&room, &alice, "before").await.expect("sent");
    bed.store.close().await;
    let answers = join_all((0..5).map(|n| bed.say(&room, &alice, "never").map(move |answer| (n, answer)))).await;
    assert!(answers.iter().all(|(_, answer)| matches!(answer, Err(Error::Store(_)))), "{answers:?}");
    let restarted = another(&bed.store.scratch).await;
    restarted.append(&room, text(&alice, "after")).await.expect("sent");
    let seen = crate::testing::Bed { rooms: restarted, store: bed.store };
    assert_eq!(seen.bodies(&room, &alice).await, ["before", "after"]);
}
