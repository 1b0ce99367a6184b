//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>

mod beside;
mod filters;
mod lazy;
mod membership;
mod state;
mod waking;

use std::time::Duration;

use roost_testkit::{Server, User, eventually, segment, sleep};
use serde_json::{Value, json};

/// The query parameters `filter`, for an inline filter.
fn filtered(filter: &Value) -> String {
    format!("filter={}", segment(&filter.to_string()))
}

fn next(answer: &Value) -> String {
    format!("since={}", answer["next_batch"].as_str().expect("a token"))
}

fn joined<'a>(answer: &'a Value, room: &str) -> &'a Value {
    &answer["rooms"]["join"][room]
}

/// What the timeline's events say: the body of messages, the type of others.
fn said(room: &Value) -> Vec<&str> {
    let events = room["timeline"]["events"].as_array().unwrap_or_else(|| panic!("no timeline in {room}"));
    events.iter().map(|event| event["content"]["body"].as_str().or(event["type"].as_str()).expect("a type")).collect()
}

/// `type` and `state_key` of state events, sorted.
fn keys(list: &Value) -> Vec<(&str, &str)> {
    let events = list["events"].as_array().unwrap_or_else(|| panic!("no events in {list}"));
    let mut keys: Vec<_> =
        events.iter().map(|event| (event["type"].as_str().unwrap(), event["state_key"].as_str().unwrap())).collect();
    keys.sort_unstable();
    keys
}

fn members(list: &Value) -> Vec<&str> {
    keys(list).into_iter().filter(|(kind, _)| *kind == "m.room.member").map(|(_, user)| user).collect()
}

/// A room that everybody may join, with alice as its creator and bob in it.
async fn two() -> (Server, User, User, String) {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({"preset": "public_chat", "name": "two"})).await;
    bob.join(&room).await;
    (server, alice, bob, room)
}

#[tokio::test]
async fn it_needs_an_access_token() {
    let server = Server::start().await;
    let (status, answer) = server.get("/_matrix/client/v3/sync").await;
    assert_eq!((status, &answer["errcode"]), (401, &json!("M_MISSING_TOKEN")));
}

#[tokio::test]
async fn it_answers_under_r0_and_ignores_unknown_parameters() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (status, answer) = alice.get("/_matrix/client/r0/sync?_cacheBuster=17").await;
    assert_eq!(status, 200);
    assert!(answer["next_batch"].is_string());
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for query in [
        "since=nonsense",
        "since=t1_0_5",
        "since=s1_-4_0",
        "timeout=-1",
        "timeout=soon",
        "full_state=perhaps",
        "set_presence=asleep",
        "filter=0815",
    ] {
        let (status, answer) = alice.get(&format!("/_matrix/client/v3/sync?{query}")).await;
        assert_eq!((status, &answer["errcode"]), (400, &json!("M_INVALID_PARAM")), "{query}");
    }
    for (filter, errcode) in [("{", "M_NOT_JSON"), (r#"{"room":1}"#, "M_BAD_JSON")] {
        let (status, answer) = alice.get(&format!("/_matrix/client/v3/sync?filter={}", segment(filter))).await;
        assert_eq!((status, &answer["errcode"]), (400, &json!(errcode)), "{filter}");
    }
    for presence in ["online", "offline", "unavailable"] {
        alice.sync_with(&format!("set_presence={presence}")).await;
    }
}

#[tokio::test]
async fn the_first_sync_tells_everything_and_the_next_only_what_is_new() {
    let (_server, alice, bob, room) = two().await;
    alice.send(&room, "one").await;
    let first = bob.sync(None).await;
    let shown = joined(&first, &room);
    assert_eq!(said(shown).last(), Some(&"one"));
    assert_eq!(shown["timeline"]["limited"], false);
    // The whole history fits, so that there is no state before it.
    assert_eq!(shown["state"]["events"], json!([]));
    assert!(shown["timeline"].get("prev_batch").is_none());

    alice.send(&room, "two").await;
    let second = bob.sync_with(&next(&first)).await;
    let shown = joined(&second, &room);
    assert_eq!(said(shown), ["two"]);
    assert_eq!(shown["timeline"]["limited"], false);
    assert_eq!(shown["state"]["events"], json!([]));
    assert!(shown.get("summary").is_none(), "no membership changed");

    let third = bob.sync_with(&next(&second)).await;
    assert_eq!(third["rooms"], json!({"join": {}, "invite": {}, "knock": {}, "leave": {}}));
    assert_eq!(third["account_data"]["events"], json!([]));
    assert_eq!(third["next_batch"], second["next_batch"]);
}

#[tokio::test]
async fn the_same_token_gives_the_same_answer_again() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.send(&room, "one").await;
    for _ in 0..2 {
        assert_eq!(said(joined(&bob.sync_with(&next(&first)).await, &room)), ["one"]);
    }
}

#[tokio::test]
async fn events_come_in_the_format_for_clients_without_their_room() {
    let (_server, alice, bob, room) = two().await;
    let since = bob.sync(None).await;
    let id = alice.send(&room, "one").await;
    let answer = bob.sync_with(&next(&since)).await;
    let event = &joined(&answer, &room)["timeline"]["events"][0];
    assert_eq!(event["event_id"], json!(id));
    assert_eq!(event["sender"], json!(alice.id));
    assert_eq!(event["type"], "m.room.message");
    assert_eq!(event["content"], json!({"msgtype": "m.text", "body": "one"}));
    assert!(event["origin_server_ts"].is_u64());
    assert!(event["unsigned"]["age"].is_i64());
    assert_eq!(event["unsigned"]["membership"], "join");
    for absent in ["room_id", "hashes", "signatures", "auth_events", "prev_events", "depth"] {
        assert!(event.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn only_the_device_that_sent_an_event_is_told_its_transaction_id() {
    let (server, alice, bob, room) = two().await;
    let other = server.log_in(&alice).await;
    let since = [alice.sync(None).await, other.sync(None).await, bob.sync(None).await];
    alice.send(&room, "txn-1").await;
    let expected = [json!("txn-1"), Value::Null, Value::Null];
    for ((user, since), expected) in [&alice, &other, &bob].into_iter().zip(&since).zip(expected) {
        let answer = user.sync_with(&next(since)).await;
        let event = &joined(&answer, &room)["timeline"]["events"][0];
        assert_eq!(event["unsigned"]["transaction_id"], expected, "{} {}", user.id, user.device_id);
    }
}

#[tokio::test]
async fn a_gap_is_limited_and_can_be_filled_through_messages() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    for text in ["1", "2", "3", "4", "5"] {
        alice.send(&room, text).await;
    }
    let filter = filtered(&json!({"room": {"timeline": {"limit": 2}}}));
    let second = bob.sync_with(&format!("{}&{filter}", next(&first))).await;
    let timeline = &joined(&second, &room)["timeline"];
    assert_eq!(said(joined(&second, &room)), ["4", "5"]);
    assert_eq!(timeline["limited"], true);
    let (from, to) = (timeline["prev_batch"].as_str().unwrap(), first["next_batch"].as_str().unwrap());
    let path = User::room_path(&room, &["messages"]);
    let (status, gap) = bob.get(&format!("{path}?dir=b&from={from}&to={to}&limit=50")).await;
    assert_eq!(status, 200, "{gap}");
    let gap: Vec<_> = gap["chunk"].as_array().unwrap().iter().map(|event| &event["content"]["body"]).collect();
    assert_eq!(gap, ["3", "2", "1"]);
}

#[tokio::test]
async fn a_token_from_before_a_restored_backup_gets_a_full_answer() {
    let (_server, alice, bob, room) = two().await;
    alice.send(&room, "one").await;
    let full = bob.sync(None).await;
    let token = full["next_batch"].as_str().unwrap();
    let (_, rest) = token.split_once('_').unwrap();
    for other in [format!("s987654321_{rest}"), token.replacen('_', "_9999999", 1)] {
        let answer = bob.sync(Some(&other)).await;
        assert_eq!(said(joined(&answer, &room)), said(joined(&full, &room)), "{other}");
    }
}

#[tokio::test]
async fn a_token_outlives_a_restart() {
    let (mut server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.send(&room, "before").await;
    server.restart().await;
    alice.send(&room, "after").await;
    let second = bob.sync_with(&next(&first)).await;
    assert_eq!(said(joined(&second, &room)), ["before", "after"]);
}

#[tokio::test]
async fn full_state_tells_all_rooms_and_their_whole_state_but_no_old_events() {
    let (_server, alice, bob, room) = two().await;
    let first = bob.sync(None).await;
    alice.send(&room, "one").await;
    let answer = bob.sync_with(&format!("{}&full_state=true&timeout=30000", next(&first))).await;
    let shown = joined(&answer, &room);
    assert_eq!(said(shown), ["one"]);
    assert!(keys(&shown["state"]).contains(&("m.room.create", "")));
    assert_eq!(members(&shown["state"]), [&alice.id, &bob.id]);
    let quiet = bob.sync_with(&format!("{}&full_state=true&timeout=30000", next(&answer))).await;
    let shown = joined(&quiet, &room);
    assert_eq!(said(shown), Vec::<&str>::new());
    assert!(keys(&shown["state"]).contains(&("m.room.create", "")));
}

#[tokio::test]
async fn what_end_to_end_encryption_will_need_is_there_and_empty() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let first = alice.sync(None).await;
    assert_eq!(first["device_unused_fallback_key_types"], json!([]));
    assert!(first.get("device_lists").is_none(), "only an incremental answer has them");
    let second = alice.sync_with(&next(&first)).await;
    assert_eq!(second["device_lists"], json!({"changed": [], "left": []}));
    assert_eq!(second["to_device"]["events"], json!([]));
    assert_eq!(second["presence"]["events"], json!([]));
}

#[tokio::test]
async fn without_a_timeout_it_answers_at_once_and_with_one_it_waits() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let first = alice.sync(None).await;
    alice.sync_with(&next(&first)).await;
    let world = &server.house().world;
    let before = world.clock.monotonic();
    alice.sync_with(&format!("{}&timeout=300", next(&first))).await;
    assert!(world.clock.monotonic().saturating_sub(before) >= std::time::Duration::from_millis(300));
}

#[tokio::test]
async fn a_device_that_is_logged_out_while_it_waits_learns_nothing_more() {
    let (server, alice, bob, room) = two().await;
    let phone = server.log_in(&bob).await;
    let path = format!("/_matrix/client/v3/sync?timeout=20000&{}", next(&phone.sync(None).await));
    let (waited, ()) = tokio::join!(phone.get(&path), async {
        server.house().world.clock.sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(phone.post("/_matrix/client/v3/logout", &json!({})).await.0, 200);
        alice.send(&room, "not for the phone").await;
    });
    assert_eq!((waited.0, &waited.1["errcode"]), (401, &json!("M_UNKNOWN_TOKEN")));
}

#[tokio::test]
async fn a_redacted_event_is_shown_redacted_with_the_reason() {
    let (_server, alice, bob, room) = two().await;
    let since = bob.sync(None).await;
    let id = alice.send(&room, "regret").await;
    let (status, answer) = alice.put(&User::room_path(&room, &["redact", &id, "r1"]), &json!({"reason": "oops"})).await;
    assert_eq!(status, 200, "{answer}");
    let answer = bob.sync_with(&next(&since)).await;
    let events = joined(&answer, &room)["timeline"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["content"], json!({}));
    assert_eq!(events[0]["unsigned"]["redacted_because"]["event_id"], answer_id(&events[1]));
    assert_eq!(events[1]["type"], "m.room.redaction");
}

fn answer_id(event: &Value) -> Value {
    event["event_id"].clone()
}

#[tokio::test]
async fn a_user_with_too_many_requests_under_way_is_told_to_come_back() {
    let server = Server::with(|config| config.sync.per_user = 1).await;
    let (phone, bob) = (server.register("alice").await, server.register("bob").await);
    let laptop = server.log_in(&phone).await;
    let since = next(&phone.sync(None).await);
    // Until the server, too, has noticed that the answer is written.
    sleep(Duration::from_millis(100)).await;
    let query = format!("{since}&timeout=3000");
    let waiting = phone.sync_with(&query);
    let refused = async {
        // The other one comes first.
        sleep(Duration::from_millis(300)).await;
        laptop.get("/_matrix/client/v3/sync").await
    };
    let (_, refusal) = tokio::join!(waiting, refused);
    assert_eq!((refusal.0, refusal.1["errcode"].as_str()), (429, Some("M_LIMIT_EXCEEDED")));
    assert!(refusal.1["retry_after_ms"].as_u64().is_some());
    bob.sync(None).await;
    eventually("a turn", async || (laptop.get("/_matrix/client/v3/sync").await.0 == 200).then_some(())).await;
}
