//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event>

use roost_testkit::{Server, User, segment};

use super::{good, public_room, refused};

#[tokio::test]
async fn the_event_next_to_a_moment_is_found() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    let id = alice.send(&room, "hello").await;
    let event = good(alice.get(&User::room_path(&room, &["event", &id])).await);
    let at = event["origin_server_ts"].as_u64().unwrap();
    let path = format!("/_matrix/client/v1/rooms/{}/timestamp_to_event", segment(&room));
    let found = good(alice.get(&format!("{path}?dir=b&ts={}", at + 1_000_000)).await);
    assert_eq!((found["event_id"].as_str(), found["origin_server_ts"].as_u64()), (Some(id.as_str()), Some(at)));
    good(alice.get(&format!("{path}?dir=f&ts=0")).await);
    refused(alice.get(&format!("{path}?dir=f&ts={}", at + 1_000_000)).await, 404, "M_NOT_FOUND");
    refused(alice.get(&format!("{path}?dir=b&ts=0")).await, 404, "M_NOT_FOUND");
    refused(alice.get(&format!("{path}?dir=b")).await, 400, "M_MISSING_PARAM");
    let bob = server.register("bob").await;
    refused(bob.get(&format!("{path}?dir=f&ts=0")).await, 403, "M_FORBIDDEN");
}
