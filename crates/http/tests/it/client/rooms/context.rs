//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid>

use roost_testkit::{Server, User, segment};
use serde_json::json;

use super::{bodies, good, public_room, refused};

#[tokio::test]
async fn an_event_is_shown_with_its_neighbours() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    for text in ["1", "2", "3", "4", "5"] {
        alice.send(&room, text).await;
    }
    let middle = alice.send(&room, "3").await;
    let path = User::room_path(&room, &["context", &middle]);
    let found = good(alice.get(&format!("{path}?limit=4")).await);
    assert_eq!(found["event"]["event_id"], middle.as_str());
    assert_eq!(bodies(&found["events_before"]), ["2", "1"]);
    assert_eq!(bodies(&found["events_after"]), ["4", "5"]);
    assert!(found["state"].as_array().unwrap().iter().any(|event| event["type"] == "m.room.create"));
    let end = segment(found["start"].as_str().unwrap());
    let page = good(alice.get(&(User::room_path(&room, &["messages"]) + "?dir=b&limit=1&from=" + &end)).await);
    assert_eq!(page["chunk"][0]["state_key"], bob.id.as_str());

    let filter = segment(&json!({ "lazy_load_members": true, "types": ["m.room.me*"] }).to_string());
    let found = good(alice.get(&format!("{path}?filter={filter}")).await);
    let state: Vec<_> = found["state"].as_array().unwrap().iter().map(|event| event["state_key"].clone()).collect();
    assert!(state.contains(&json!(alice.id)), "{state:?}");
    refused(server.register("carol").await.get(&path).await, 404, "M_NOT_FOUND");
    refused(alice.get(&User::room_path(&room, &["context", "$none"])).await, 404, "M_NOT_FOUND");
    refused(alice.get(&format!("{path}?limit=x")).await, 400, "M_INVALID_PARAM");
}
