//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid>

use roost_testkit::{Server, User};
use serde_json::json;

use super::{good, public_room, refused};

#[tokio::test]
async fn an_event_is_told_to_those_who_may_see_it() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    let id = alice.send(&room, "hello").await;
    let path = User::room_path(&room, &["event", &id]);
    let event = good(alice.get(&path).await);
    assert_eq!(event["event_id"], id.as_str());
    assert_eq!(event["room_id"], room.as_str());
    assert_eq!(event["sender"], alice.id.as_str());
    assert_eq!(event["type"], "m.room.message");
    assert_eq!(event["content"], json!({ "msgtype": "m.text", "body": "hello" }));
    assert!(event["origin_server_ts"].is_u64());
    assert!(event["unsigned"]["age"].is_i64() || event["unsigned"]["age"].is_u64());
    assert_eq!(event["unsigned"]["transaction_id"], "hello");
    for hidden in ["auth_events", "prev_events", "depth", "hashes", "signatures", "state_key"] {
        assert!(event.get(hidden).is_none(), "{hidden}");
    }
    refused(bob.get(&path).await, 404, "M_NOT_FOUND");
    bob.join(&room).await;
    assert!(good(bob.get(&path).await)["unsigned"].get("transaction_id").is_none());
}

#[tokio::test]
async fn an_event_that_is_not_in_the_room_is_not_found() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (room, other) = (public_room(&alice).await, public_room(&alice).await);
    let id = alice.send(&other, "elsewhere").await;
    refused(alice.get(&User::room_path(&room, &["event", &id])).await, 404, "M_NOT_FOUND");
    refused(alice.get(&User::room_path(&room, &["event", "$none"])).await, 404, "M_NOT_FOUND");
    refused(alice.get(&User::room_path("!none:localhost", &["event", &id])).await, 404, "M_NOT_FOUND");
    refused(alice.get(&User::room_path(&room, &["event", "nonsense"])).await, 400, "M_INVALID_PARAM");
}
