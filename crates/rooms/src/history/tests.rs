use std::collections::HashMap;

use proptest::{prelude::*, test_runner::TestRunner};
use roost_matrix::ids::{OwnedRoomId, UserId};
use serde_json::{Value, json};

use super::*;
use crate::{
    MemberProfile, NewEvent,
    testing::{Bed, bed, content, state, text, text_as, user},
};

fn query(direction: Direction, limit: usize) -> MessagesQuery {
    MessagesQuery { from: None, to: None, direction, limit, filter: EventFilter::default() }
}

fn body(event: &Rendered) -> Option<String> {
    let event: Value = serde_json::from_slice(&event.json).expect("JSON");
    event["content"]["body"].as_str().map(str::to_owned)
}

fn only_messages() -> EventFilter {
    EventFilter { types: Some(vec!["m.room.message".to_owned()]), ..EventFilter::default() }
}

async fn room_with_messages(bed: &Bed, alice: &UserId, count: usize) -> OwnedRoomId {
    let room = bed.public_room(alice).await;
    for n in 0..count {
        bed.say(&room, alice, &n.to_string()).await.expect("sent");
    }
    room
}

#[tokio::test]
async fn paging_in_either_direction_shows_every_event_once() {
    let bed = bed().await;
    let alice = user("alice");
    let room = room_with_messages(&bed, &alice, 23).await;
    for direction in [Direction::Backwards, Direction::Forwards] {
        for limit in [1, 7, 100] {
            for filter in [EventFilter::default(), only_messages()] {
                let mut asked = MessagesQuery { filter, ..query(direction, limit) };
                let mut bodies = Vec::new();
                loop {
                    let page =
                        bed.rooms.messages(&room, &alice, None, asked.clone(), &crate::Nobody).await.expect("messages");
                    assert!(page.chunk.len() <= limit);
                    bodies.extend(page.chunk.iter().filter_map(body));
                    match page.end {
                        Some(end) => asked.from = Some(end),
                        None => break,
                    }
                }
                if direction == Direction::Backwards {
                    bodies.reverse();
                }
                assert_eq!(bodies, (0..23).map(|n| n.to_string()).collect::<Vec<_>>());
            }
        }
    }
}

#[tokio::test]
async fn paging_stops_at_to_and_a_sync_token_stands_for_what_was_seen() {
    let bed = bed().await;
    let alice = user("alice");
    let room = room_with_messages(&bed, &alice, 3).await;
    let position = bed.store.frontier();
    for n in 3..6 {
        bed.say(&room, &alice, &n.to_string()).await.expect("sent");
    }
    let seen =
        Token::Sync(roost_store::token::SyncToken { generation: bed.store.generation(), position, ephemeral: 0 });
    let bodies = |page: &Messages| page.chunk.iter().filter_map(body).collect::<Vec<_>>();
    let page = bed
        .rooms
        .messages(
            &room,
            &alice,
            None,
            MessagesQuery { from: Some(seen), ..query(Direction::Forwards, 100) },
            &crate::Nobody,
        )
        .await
        .expect("messages");
    assert_eq!(bodies(&page), ["3", "4", "5"]);
    let page = bed
        .rooms
        .messages(
            &room,
            &alice,
            None,
            MessagesQuery { to: Some(seen), ..query(Direction::Backwards, 100) },
            &crate::Nobody,
        )
        .await
        .expect("messages");
    assert_eq!(bodies(&page), ["5", "4", "3"]);
    assert!(page.end.is_none());
    let page = bed
        .rooms
        .messages(
            &room,
            &alice,
            None,
            MessagesQuery { from: Some(seen), ..query(Direction::Backwards, 2) },
            &crate::Nobody,
        )
        .await
        .expect("messages");
    assert_eq!(bodies(&page), ["2", "1"]);
    for absurd in [i64::MIN, i64::MAX] {
        let from = bed.rooms.token(absurd);
        for direction in [Direction::Backwards, Direction::Forwards] {
            let asked = MessagesQuery { from: Some(from), to: Some(from), ..query(direction, 10) };
            bed.rooms.messages(&room, &alice, None, asked, &crate::Nobody).await.expect("an answer");
        }
    }
}

#[tokio::test]
async fn lazily_loaded_members_are_those_who_sent_something() {
    let bed = bed().await;
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let room = bed.public_room(&alice).await;
    for other in [&bob, &carol] {
        bed.join(&room, other).await.expect("joined");
    }
    bed.say(&room, &bob, "hello").await.expect("sent");
    let filter = EventFilter { lazy_load_members: true, ..only_messages() };
    let page = bed
        .rooms
        .messages(&room, &alice, None, MessagesQuery { filter, ..query(Direction::Backwards, 10) }, &crate::Nobody)
        .await
        .expect("messages");
    let members: Vec<_> =
        page.state.iter().map(|event| event.stored.pdu.state_key().expect("a member").to_owned()).collect();
    assert_eq!(members, [bob.as_str()]);
}

#[tokio::test]
async fn who_left_sees_what_was_before_and_nothing_after() {
    let bed = bed().await;
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let room = bed.public_room(&alice).await;
    bed.join(&room, &bob).await.expect("joined");
    bed.say(&room, &alice, "while bob was there").await.expect("sent");
    bed.rooms.append(&room, state(&alice, "m.room.topic", "", &json!({ "topic": "then" }))).await.expect("set");
    bed.rooms.leave(&room, &bob, None).await.expect("left");
    bed.rooms.append(&room, state(&alice, "m.room.topic", "", &json!({ "topic": "now" }))).await.expect("set");
    let after = bed.say(&room, &alice, "after bob").await.expect("sent").event_id;

    assert_eq!(bed.bodies(&room, &bob).await, ["while bob was there"]);
    assert!(matches!(bed.rooms.event(&room, &after, &bob, None).await, Err(Error::NotFound(_))));
    assert_eq!(bed.rooms.state_content(&room, &bob, "m.room.topic", "").await.expect("a topic"), r#"{"topic":"then"}"#);
    bed.join(&room, &carol).await.expect("joined");
    let members = bed.rooms.members(&room, &bob, None, |_| true).await.expect("members");
    assert!(members.iter().all(|member| member.stored.pdu.state_key() != Some(carol.as_str())));

    // Forgotten, the room is as closed as to a stranger.
    assert!(matches!(bed.rooms.forget(&room, &carol).await, Err(Error::NotLeft)));
    bed.rooms.forget(&room, &bob).await.expect("forgotten");
    assert!(matches!(bed.rooms.state(&room, &bob).await, Err(Error::Forbidden(_))));
    let refused = bed.rooms.messages(&room, &bob, None, query(Direction::Backwards, 10), &crate::Nobody).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))));
    // Until they come back.
    bed.join(&room, &bob).await.expect("joined");
    assert_eq!(bed.bodies(&room, &bob).await, ["while bob was there", "after bob"]);
}

#[tokio::test]
async fn strangers_see_what_was_said_while_the_world_could_read() {
    let bed = bed().await;
    let (alice, stranger) = (user("alice"), user("stranger"));
    let room = bed.public_room(&alice).await;
    let visibility =
        |value: &str| state(&alice, "m.room.history_visibility", "", &json!({ "history_visibility": value }));
    bed.say(&room, &alice, "closed").await.expect("sent");
    assert!(matches!(bed.rooms.state(&room, &stranger).await, Err(Error::Forbidden(_))));
    bed.rooms.append(&room, visibility("world_readable")).await.expect("set");
    bed.say(&room, &alice, "open").await.expect("sent");
    assert_eq!(bed.bodies(&room, &stranger).await, ["open"]);
    assert!(bed.rooms.state(&room, &stranger).await.is_ok());
    bed.rooms.append(&room, visibility("joined")).await.expect("set");
    bed.say(&room, &alice, "closed again").await.expect("sent");
    assert_eq!(bed.bodies(&room, &stranger).await, ["open"]);
    assert!(matches!(bed.rooms.state(&room, &stranger).await, Err(Error::Forbidden(_))));
    bed.join(&room, &stranger).await.expect("joined");
    bed.say(&room, &alice, "joined").await.expect("sent");
    assert_eq!(bed.bodies(&room, &stranger).await, ["closed", "open", "joined"]);
}

#[tokio::test]
async fn a_redacted_event_is_shown_bare_and_with_the_reason() {
    let bed = bed().await;
    for version in roost_matrix::room_version::RoomVersion::ALL {
        let (alice, bob) = (user("alice"), user("bob"));
        let room = bed.room_of(&alice, version).await;
        bed.join(&room, &bob).await.expect("joined");
        let said = bed.say(&room, &bob, "spam").await.expect("sent").event_id;
        let other = bed.say(&room, &alice, "fine").await.expect("sent").event_id;
        let redact = |sender: &UserId, target: &EventId| NewEvent {
            redacts: Some(target.to_owned()),
            ..NewEvent::message(sender, "m.room.redaction", content(&json!({ "reason": "because" })), None)
        };
        let refused = bed.rooms.append(&room, redact(&bob, &other)).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{version}");
        let unknown = EventId::parse("$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").expect("an id");
        assert!(matches!(bed.rooms.append(&room, redact(&alice, &unknown)).await, Err(Error::NotFound(_))));
        let redaction = bed.rooms.append(&room, redact(&alice, &said)).await.expect("redacted").event_id;

        let shown = bed.rooms.event(&room, &said, &alice, None).await.expect("the event");
        let shown: Value = serde_json::from_slice(&shown.json).expect("JSON");
        assert_eq!(shown["content"], json!({}), "{version}");
        let because = &shown["unsigned"]["redacted_because"];
        assert_eq!(because["event_id"], redaction.as_str(), "{version}");
        assert_eq!(because["content"]["reason"], "because");
        let shown = bed.rooms.event(&room, &redaction, &alice, None).await.expect("the event");
        let shown: Value = serde_json::from_slice(&shown.json).expect("JSON");
        assert_eq!(shown["redacts"], said.as_str(), "{version}");
        assert_eq!(shown["content"]["redacts"], said.as_str(), "{version}");

        // The original is kept.
        let (rooms, at) = (bed.rooms.clone(), room.clone());
        let kept = bed
            .store
            .read(move |read| rooms.stored_by_id(read, &*rooms.room_in(read, &at)?, &said))
            .await
            .expect("a read");
        assert!(kept.expect("the event").pdu.content().contains("spam"));
        assert_eq!(bed.bodies(&room, &alice).await, ["fine"]);
    }
}

#[tokio::test]
async fn clients_may_put_redacts_into_the_content_in_every_version() {
    for version in ["10", "11"] {
        let bed = bed().await;
        let alice = user("alice");
        let room = bed.room_of(&alice, version.parse().expect("a version")).await;
        let said = bed.say(&room, &alice, "oops").await.expect("sent").event_id;
        let redaction = NewEvent::message(&alice, "m.room.redaction", content(&json!({ "redacts": said })), None);
        bed.rooms.append(&room, redaction).await.expect("redacted");
        assert!(bed.bodies(&room, &alice).await.is_empty());
        let nothing = NewEvent::message(&alice, "m.room.redaction", content(&json!({})), None);
        assert!(matches!(bed.rooms.append(&room, nothing).await, Err(Error::BadJson(_))));
    }
}

#[tokio::test]
async fn unsigned_is_each_readers_own() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = bed.public_room(&alice).await;
    let sent = bed.rooms.append(&room, text_as(&alice, "hi", "txn 1")).await.expect("sent").event_id;
    let first = bed
        .rooms
        .append(&room, state(&alice, "m.room.topic", "", &json!({ "topic": "a" })))
        .await
        .expect("set")
        .event_id;
    let second = bed
        .rooms
        .append(&room, state(&alice, "m.room.topic", "", &json!({ "topic": "b" })))
        .await
        .expect("set")
        .event_id;
    bed.join(&room, &bob).await.expect("joined");
    let unsigned = |event: &EventId, reader: &UserId, device: Option<&'static str>| {
        let (rooms, room, event, reader) = (bed.rooms.clone(), room.clone(), event.to_owned(), reader.to_owned());
        async move {
            let shown = rooms.event(&room, &event, &reader, device.map(Into::into)).await.expect("the event");
            let mut shown: Value = serde_json::from_slice(&shown.json).expect("JSON");
            shown["unsigned"].take()
        }
    };
    let own = unsigned(&sent, &alice, Some("DEVICE")).await;
    assert_eq!((own["transaction_id"].as_str(), own["membership"].as_str()), (Some("txn 1"), Some("join")));
    assert!(own["age"].as_i64().is_some());
    assert!(unsigned(&sent, &alice, Some("OTHER")).await.get("transaction_id").is_none());
    let theirs = unsigned(&sent, &bob, Some("DEVICE")).await;
    assert!(theirs.get("transaction_id").is_none());
    assert_eq!(theirs["membership"], "leave");
    let changed = unsigned(&second, &bob, None).await;
    assert_eq!(changed["replaces_state"], first.as_str());
    assert_eq!(changed["prev_content"], json!({ "topic": "a" }));
    assert!(unsigned(&first, &bob, None).await.get("replaces_state").is_none());
}

#[tokio::test]
async fn prev_content_is_not_told_to_those_who_may_not_see_the_event_it_is_of() {
    let bed = bed().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room = bed.public_room(&alice).await;
    let joined = json!({ "history_visibility": "joined" });
    bed.rooms.append(&room, state(&alice, "m.room.history_visibility", "", &joined)).await.expect("set");
    bed.rooms.append(&room, state(&alice, "m.room.topic", "", &json!({ "topic": "secret" }))).await.expect("set");
    bed.join(&room, &bob).await.expect("joined");
    let changed = bed
        .rooms
        .append(&room, state(&alice, "m.room.topic", "", &json!({ "topic": "b" })))
        .await
        .expect("set")
        .event_id;
    let shown = bed.rooms.event(&room, &changed, &bob, None).await.expect("the event");
    let shown: Value = serde_json::from_slice(&shown.json).expect("JSON");
    assert!(shown["unsigned"]["replaces_state"].is_string());
    assert!(shown["unsigned"].get("prev_content").is_none(), "{shown}");
}

#[tokio::test]
async fn context_shows_what_is_around_an_event() {
    let bed = bed().await;
    let alice = user("alice");
    let room = room_with_messages(&bed, &alice, 5).await;
    let middle = bed.say(&room, &alice, "middle").await.expect("sent").event_id;
    for n in 5..10 {
        bed.say(&room, &alice, &n.to_string()).await.expect("sent");
    }
    let found = bed.rooms.context(&room, &middle, &alice, None, 4, EventFilter::default()).await.expect("the context");
    assert_eq!(body(&found.event).as_deref(), Some("middle"));
    assert_eq!(found.before.iter().filter_map(body).collect::<Vec<_>>(), ["4", "3"]);
    assert_eq!(found.after.iter().filter_map(body).collect::<Vec<_>>(), ["5", "6"]);
    assert_eq!(found.state.len(), 6, "create, member, power levels, join rules, visibility, guests");
    let page = |from, direction| {
        let asked = MessagesQuery { from: Some(from), ..query(direction, 1) };
        bed.rooms.messages(&room, &alice, None, asked, &crate::Nobody)
    };
    assert_eq!(body(&page(found.start, Direction::Backwards).await.expect("messages").chunk[0]).as_deref(), Some("2"));
    assert_eq!(body(&page(found.end, Direction::Forwards).await.expect("messages").chunk[0]).as_deref(), Some("7"));
    let alone = bed.rooms.context(&room, &middle, &alice, None, 0, EventFilter::default()).await.expect("the context");
    assert!(alone.before.is_empty() && alone.after.is_empty());
}

#[tokio::test]
async fn a_moment_leads_to_the_event_next_to_it() {
    let bed = bed().await;
    let alice = user("alice");
    let room = bed.public_room(&alice).await;
    let now = 4_000_000_000_000;
    let mut ids = Vec::new();
    for n in 0..10 {
        let event = NewEvent { timestamp: Some(now + n * 10), ..text(&alice, &n.to_string()) };
        ids.push(bed.rooms.append(&room, event).await.expect("sent").event_id);
    }
    let at = |moment, direction| bed.rooms.event_at(&room, &alice, moment, direction);
    assert_eq!(at(now + 35, Direction::Forwards).await.expect("found"), (ids[4].clone(), now + 40));
    assert_eq!(at(now + 35, Direction::Backwards).await.expect("found"), (ids[3].clone(), now + 30));
    assert_eq!(at(now + 40, Direction::Forwards).await.expect("found").0, ids[4]);
    assert_eq!(at(now + 40, Direction::Backwards).await.expect("found").0, ids[4]);
    assert!(matches!(at(now + 91, Direction::Forwards).await, Err(Error::NotFound(_))));
    assert!(matches!(at(1, Direction::Backwards).await, Err(Error::NotFound(_))));
    assert_eq!(at(u64::MAX, Direction::Backwards).await.expect("found").0, ids[9]);
}

/// What happens in a room, for the law below.
#[derive(Clone, Copy, Debug)]
enum Step {
    Say,
    Set { key: u8, value: u8 },
    Come(u8),
    Go(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Say),
        (0_u8..4, 0_u8..3).prop_map(|(key, value)| Step::Set { key, value }),
        (0_u8..3).prop_map(Step::Come),
        (0_u8..3).prop_map(Step::Go),
    ];
    proptest::collection::vec(step, 1..40)
}

#[test]
fn the_state_at_every_index_is_what_the_events_up_to_it_have_made() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() });
    let bed = runtime.block_on(bed());
    runner
        .run(&steps(), |steps| {
            runtime.block_on(async {
                let alice = user("alice");
                let room = bed.public_room(&alice).await;
                for step in steps {
                    let _ = match step {
                        Step::Say => bed.say(&room, &alice, "x").await,
                        Step::Set { key, value } => {
                            let event =
                                state(&alice, "org.example.state", &key.to_string(), &json!({ "value": value }));
                            bed.rooms.append(&room, event).await
                        }
                        Step::Come(who) => {
                            bed.rooms.join(&room, &user(&who.to_string()), &MemberProfile::default(), None).await
                        }
                        Step::Go(who) => bed.rooms.leave(&room, &user(&who.to_string()), None).await,
                    };
                }
                let rooms = bed.rooms.clone();
                bed.store
                    .read(move |read| {
                        let room = rooms.room_in(read, &room)?;
                        let entries = timeline::forwards(read, room.no, 0, i64::MAX, 1000)?;
                        let nos: Vec<_> = entries.iter().map(|entry| entry.event).collect();
                        let history = rooms.stored(read, &room, &nos)?;
                        let count = i64::try_from(history.len()).expect("a number");
                        let mut by_hand = HashMap::new();
                        let mut earlier = HashMap::new();
                        for event in &history {
                            if let Some(key) = event.pdu.state_key() {
                                by_hand.insert((event.pdu.kind().to_owned(), key.to_owned()), event.no);
                            }
                            let stored = rooms.state_at(read, &room, event.idx + 1)?;
                            let stored: HashMap<_, _> = stored
                                .iter()
                                .map(|event| {
                                    let key = event.pdu.state_key().unwrap_or_default().to_owned();
                                    ((event.pdu.kind().to_owned(), key), event.no)
                                })
                                .collect();
                            assert_eq!(stored, by_hand, "at {}", event.idx);
                            if event.idx == count / 2 {
                                earlier = by_hand.clone();
                            }
                        }
                        let current: Vec<_> = rooms.current_state(read, &room)?.iter().map(|event| event.no).collect();
                        assert_eq!(current.len(), by_hand.len());
                        assert!(current.iter().all(|no| by_hand.values().any(|other| other == no)));
                        let middle = count / 2;
                        let delta = rooms.state_delta(read, &room, middle + 1, count + 1)?;
                        let changed = by_hand.iter().filter(|(key, no)| earlier.get(*key) != Some(*no)).count();
                        assert_eq!(delta.len(), changed);
                        Ok::<_, Error>(())
                    })
                    .await
                    .expect("a read");
            });
            Ok(())
        })
        .expect("the law holds");
}
