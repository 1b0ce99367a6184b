//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid>

use roost_testkit::{Server, User};
use serde_json::json;

use super::{good, public_room, refused};

#[tokio::test]
async fn a_redacted_event_is_served_without_its_content_and_with_the_redaction() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    let event = bob.send(&room, "spam").await;
    let path = User::room_path(&room, &["redact", &event, "1"]);
    let redaction = good(alice.put(&path, &json!({ "reason": "no" })).await)["event_id"].clone();
    assert_eq!(
        good(alice.put(&path, &json!({ "reason": "no" })).await)["event_id"],
        redaction,
        "once per transaction id"
    );
    let shown = good(bob.get(&User::room_path(&room, &["event", &event])).await);
    assert_eq!(shown["content"], json!({}));
    let because = &shown["unsigned"]["redacted_because"];
    assert_eq!((&because["event_id"], &because["type"]), (&redaction, &json!("m.room.redaction")));
    assert_eq!(because["content"], json!({ "reason": "no", "redacts": event }));
}

#[tokio::test]
async fn only_own_events_are_redacted_without_the_power_to_redact() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    let theirs = alice.send(&room, "hers").await;
    let own = bob.send(&room, "his").await;
    refused(bob.put(&User::room_path(&room, &["redact", &theirs, "1"]), &json!({})).await, 403, "M_FORBIDDEN");
    good(bob.put(&User::room_path(&room, &["redact", &own, "1"]), &json!({})).await);
    let unknown = format!("${}", "A".repeat(43));
    refused(bob.put(&User::room_path(&room, &["redact", &unknown, "2"]), &json!({})).await, 404, "M_NOT_FOUND");
    let create = good(alice.get(&(User::room_path(&room, &["state", "m.room.create", ""]) + "?format=event")).await);
    let path = User::room_path(&room, &["redact", create["event_id"].as_str().unwrap(), "3"]);
    refused(alice.put(&path, &json!({})).await, 403, "M_FORBIDDEN");
}

#[tokio::test]
async fn redacted_state_keeps_what_the_room_needs() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    let topic = alice.set_state(&room, "m.room.topic", "", &json!({ "topic": "x" })).await;
    good(alice.put(&User::room_path(&room, &["redact", &topic, "1"]), &json!({})).await);
    assert_eq!(good(alice.get(&User::room_path(&room, &["state", "m.room.topic", ""])).await), json!({}));
    let again = alice.set_state(&room, "m.room.topic", "", &json!({ "topic": "x" })).await;
    assert_ne!(again, topic, "the same topic again is a new event once the old one is redacted");
}
