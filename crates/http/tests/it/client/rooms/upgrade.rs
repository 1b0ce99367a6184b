//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade>

use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

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

#[tokio::test]
async fn what_a_user_has_set_for_a_room_follows_them_into_the_one_that_replaces_it() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let old = alice.create_room(&json!({ "room_version": "10", "preset": "public_chat" })).await;
    bob.join(&old).await;
    for user in [&alice, &bob] {
        settle(user, &old).await;
    }
    let answer = good(alice.post(&User::room_path(&old, &["upgrade"]), &json!({ "new_version": "12" })).await);
    let new = answer["replacement_room"].as_str().unwrap();
    assert_eq!(
        settings(&bob, new).await,
        json!({ "tags": {}, "room": false, "override": null, "direct": ["!x", old] })
    );
    bob.join(new).await;
    for user in [&alice, &bob] {
        let muted = json!([{ "kind": "event_match", "key": "room_id", "pattern": new }]);
        assert_eq!(
            settings(user, new).await,
            json!({ "tags": { "u.work": { "order": 0.5 } }, "room": true, "override": muted, "direct": ["!x", old, new] })
        );
        // It is a copy: those of the old room are still there.
        assert_eq!(settings(user, &old).await["room"], true);
    }
    // What they change from then on is theirs.
    let tag = format!("/_matrix/client/v3/user/{}/rooms/{}/tags/u.work", segment(&bob.id), segment(new));
    good(bob.delete(&tag).await);
    bob.join(new).await;
    assert_eq!(settings(&bob, new).await["tags"], json!({}));
}

#[tokio::test]
async fn a_room_that_only_claims_to_replace_another_gets_nothing_of_it() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let old = bob.create_room(&json!({})).await;
    settle(&bob, &old).await;
    let claim = json!({ "preset": "public_chat", "creation_content": { "predecessor": { "room_id": old } } });
    let new = alice.create_room(&claim).await;
    bob.join(&new).await;
    assert_eq!(
        settings(&bob, &new).await,
        json!({ "tags": {}, "room": false, "override": null, "direct": ["!x", old] })
    );
}

/// Sets everything that can follow.
async fn settle(user: &User, room: &str) {
    let mine = format!("/_matrix/client/v3/user/{}", segment(&user.id));
    let rules = "/_matrix/client/v3/pushrules/global";
    let here = segment(room);
    good(user.put(&format!("{mine}/rooms/{here}/tags/u.work"), &json!({ "order": 0.5 })).await);
    good(user.put(&format!("{mine}/account_data/m.direct"), &json!({ "@x:localhost": ["!x", room] })).await);
    good(user.put(&format!("{rules}/room/{here}"), &json!({ "actions": ["notify"] })).await);
    let muted = json!({
        "actions": [], "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": room }],
    });
    good(user.put(&format!("{rules}/override/{here}"), &muted).await);
}

/// What is set for a room, and which rooms are direct chats.
async fn settings(user: &User, room: &str) -> Value {
    let mine = format!("/_matrix/client/v3/user/{}", segment(&user.id));
    let rules = "/_matrix/client/v3/pushrules/global";
    let here = segment(room);
    json!({
        "tags": good(user.get(&format!("{mine}/rooms/{here}/tags")).await)["tags"],
        "room": user.get(&format!("{rules}/room/{here}")).await.0 == 200,
        "override": user.get(&format!("{rules}/override/{here}")).await.1["conditions"],
        "direct": good(user.get(&format!("{mine}/account_data/m.direct")).await)["@x:localhost"],
    })
}
