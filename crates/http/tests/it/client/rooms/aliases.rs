//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases>

use roost_testkit::{Server, User};
use serde_json::json;

use super::{good, refused};

#[tokio::test]
async fn a_rooms_aliases_are_told_to_members_and_of_open_rooms_to_everybody() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "room_alias_name": "one" })).await;
    good(alice.put("/_matrix/client/v3/directory/room/%23two%3Alocalhost", &json!({ "room_id": room })).await);
    let path = User::room_path(&room, &["aliases"]);
    assert_eq!(good(alice.get(&path).await), json!({ "aliases": ["#one:localhost", "#two:localhost"] }));
    refused(bob.get(&path).await, 403, "M_FORBIDDEN");
    alice.set_state(&room, "m.room.history_visibility", "", &json!({ "history_visibility": "world_readable" })).await;
    good(bob.get(&path).await);
    refused(bob.get(&User::room_path("!none:localhost", &["aliases"])).await, 403, "M_FORBIDDEN");
}
