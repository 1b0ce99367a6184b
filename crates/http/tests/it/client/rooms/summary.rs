//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>

use roost_testkit::{Server, segment};
use serde_json::json;

use super::{good, refused};

#[tokio::test]
async fn a_room_is_summarised_for_those_who_could_get_in() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let open = alice.create_room(&json!({ "preset": "public_chat", "room_alias_name": "open", "name": "Open" })).await;
    let closed = alice.create_room(&json!({ "name": "Closed" })).await;
    let path = |named: &str| format!("/_matrix/client/v1/room_summary/{}", segment(named));
    let summary = good(bob.get(&path("#open:localhost")).await);
    assert_eq!((&summary["room_id"], &summary["name"]), (&json!(open), &json!("Open")));
    assert_eq!((&summary["num_joined_members"], &summary["room_version"]), (&json!(1), &json!("12")));
    assert!(summary.get("membership").is_none());
    refused(bob.get(&path(&closed)).await, 404, "M_NOT_FOUND");
    alice.invite(&closed, &bob).await;
    assert_eq!(good(bob.get(&path(&closed)).await)["membership"], "invite");
    refused(bob.get(&path("!none:localhost")).await, 404, "M_NOT_FOUND");
}
