//! <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

use roost_testkit::{Server, User, segment};
use serde_json::json;

use crate::client::rooms::{good, public_room, refused};

fn path(alias: &str) -> String {
    format!("/_matrix/client/v3/directory/room/{}", segment(alias))
}

#[tokio::test]
async fn an_alias_is_made_looked_up_and_removed() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    let here = path("#here:localhost");
    refused(server.get(&here).await, 404, "M_NOT_FOUND");
    assert_eq!(good(alice.put(&here, &json!({ "room_id": room })).await), json!({}));
    assert_eq!(good(server.get(&here).await), json!({ "room_id": room, "servers": ["localhost"] }));
    refused(alice.put(&here, &json!({ "room_id": room })).await, 409, "M_UNKNOWN");
    assert_eq!(good(alice.delete(&here).await), json!({}));
    refused(alice.delete(&here).await, 404, "M_NOT_FOUND");
    refused(server.get(&here).await, 404, "M_NOT_FOUND");
}

#[tokio::test]
async fn an_alias_is_made_by_members_and_removed_by_its_maker_or_a_moderator() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let room = public_room(&alice).await;
    let here = path("#here:localhost");
    refused(bob.put(&here, &json!({ "room_id": room })).await, 403, "M_FORBIDDEN");
    for user in [&bob, &carol] {
        user.join(&room).await;
    }
    good(bob.put(&here, &json!({ "room_id": room })).await);
    refused(carol.delete(&here).await, 403, "M_FORBIDDEN");
    good(bob.delete(&here).await);
    good(bob.put(&here, &json!({ "room_id": room })).await);
    good(alice.delete(&here).await);
}

#[tokio::test]
async fn an_alias_that_can_not_be_is_refused() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    refused(alice.put(&path("nonsense"), &json!({ "room_id": room })).await, 400, "M_INVALID_PARAM");
    refused(server.get(&path("nonsense")).await, 400, "M_INVALID_PARAM");
    refused(alice.put(&path("#a:elsewhere.org"), &json!({ "room_id": room })).await, 400, "M_INVALID_PARAM");
    refused(alice.put(&path("#a:localhost"), &json!({})).await, 400, "M_BAD_JSON");
    refused(alice.put(&path("#a:localhost"), &json!({ "room_id": "!none:localhost" })).await, 404, "M_NOT_FOUND");
    refused(server.put(&path("#a:localhost"), &json!({ "room_id": room })).await, 401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_removed_alias_leaves_the_rooms_canonical_aliases_too() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({ "room_alias_name": "here" })).await;
    good(alice.delete(&path("#here:localhost")).await);
    assert_eq!(good(alice.get(&User::room_path(&room, &["state", "m.room.canonical_alias", ""])).await), json!({}));
}
