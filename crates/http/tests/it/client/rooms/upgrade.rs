//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade>

use roost_testkit::{Server, User};
use serde_json::json;

use super::{good, refused};

#[tokio::test]
async fn a_room_is_replaced_by_one_of_another_version() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    for (from, to) in [("5", "12"), ("12", "11"), ("10", "10"), ("12", "12")] {
        let name = format!("alias-{from}-{to}");
        let body = json!({
            "room_version": from, "preset": "public_chat", "visibility": "public", "room_alias_name": name,
            "name": "Old", "creation_content": { "type": "m.space" },
        });
        let old = alice.create_room(&body).await;
        bob.join(&old).await;
        let path = User::room_path(&old, &["upgrade"]);
        refused(bob.post(&path, &json!({ "new_version": to })).await, 403, "M_FORBIDDEN");
        refused(alice.post(&path, &json!({ "new_version": "99" })).await, 400, "M_UNSUPPORTED_ROOM_VERSION");
        refused(alice.post(&path, &json!({})).await, 400, "M_BAD_JSON");
        let answer = good(alice.post(&path, &json!({ "new_version": to, "additional_creators": [bob.id] })).await);
        let new = answer["replacement_room"].as_str().unwrap();

        let state = async |room: &str, kind: &str| good(alice.get(&User::room_path(room, &["state", kind, ""])).await);
        let create = state(new, "m.room.create").await;
        assert_eq!(create["room_version"], to, "{from} to {to}");
        assert_eq!(create["predecessor"]["room_id"], old.as_str());
        assert_eq!(create["type"], "m.space");
        assert_eq!(create.get("additional_creators").is_some(), to == "12");
        assert_eq!(state(new, "m.room.name").await["name"], "Old");
        assert_eq!(state(new, "m.room.join_rules").await["join_rule"], "public");
        assert_eq!(state(&old, "m.room.tombstone").await["replacement_room"], new);
        let alias = good(alice.get(&format!("/_matrix/client/v3/directory/room/%23{name}%3Alocalhost")).await);
        assert_eq!(alias["room_id"], new);
        refused(
            bob.put(&User::room_path(&old, &["send", "m.room.message", "x"]), &json!({})).await,
            403,
            "M_FORBIDDEN",
        );
        bob.join(new).await;
        bob.send(new, "hello").await;
        let members = good(alice.get(&(User::room_path(new, &["members"]) + "?membership=join")).await);
        assert_eq!(members["chunk"].as_array().unwrap().len(), 2);
    }
}
