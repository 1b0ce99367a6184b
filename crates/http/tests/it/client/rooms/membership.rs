//! Joining, inviting, kicking, banning and knocking.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-membership>

use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

use super::{good, public_room, refused};

async fn act(user: &User, room: &str, what: &str, target: &User) -> (u16, Value) {
    user.post(&User::room_path(room, &[what]), &json!({ "user_id": target.id, "reason": "so" })).await
}

async fn membership(reader: &User, room: &str, user: &User) -> Value {
    good(reader.get(&User::room_path(room, &["state", "m.room.member", &user.id])).await)
}

#[tokio::test]
async fn a_public_room_is_joined_by_id_and_by_alias() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let room = alice.create_room(&json!({ "preset": "public_chat", "room_alias_name": "here" })).await;
    let joined = good(bob.post(&User::room_path(&room, &["join"]), &json!({ "reason": "curious" })).await);
    assert_eq!(joined, json!({ "room_id": room }));
    assert_eq!(membership(&alice, &room, &bob).await, json!({ "membership": "join", "reason": "curious" }));
    let by_alias = format!("/_matrix/client/v3/join/{}?via=localhost", segment("#here:localhost"));
    assert_eq!(good(carol.post(&by_alias, &json!({})).await), json!({ "room_id": room }));
    let by_id = format!("/_matrix/client/v3/join/{}", segment(&room));
    assert_eq!(good(carol.post(&by_id, &json!({})).await), json!({ "room_id": room }));
}

#[tokio::test]
async fn who_is_in_the_room_already_joins_again_without_a_trace() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    let before = membership(&alice, &room, &alice).await;
    good(alice.post(&User::room_path(&room, &["join"]), &json!({ "reason": "again" })).await);
    assert_eq!(membership(&alice, &room, &alice).await, before);
}

#[tokio::test]
async fn a_join_that_is_not_allowed_is_forbidden() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let closed = alice.create_room(&json!({})).await;
    refused(bob.post(&User::room_path(&closed, &["join"]), &json!({})).await, 403, "M_FORBIDDEN");
    let room = public_room(&alice).await;
    good(act(&alice, &room, "ban", &bob).await);
    refused(bob.post(&User::room_path(&room, &["join"]), &json!({})).await, 403, "M_FORBIDDEN");
    refused(bob.post(&User::room_path("!none:localhost", &["join"]), &json!({})).await, 404, "M_NOT_FOUND");
    let alias = format!("/_matrix/client/v3/join/{}", segment("#none:localhost"));
    refused(bob.post(&alias, &json!({})).await, 404, "M_NOT_FOUND");
    refused(bob.post("/_matrix/client/v3/join/nonsense", &json!({})).await, 400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn an_invitation_is_accepted_or_declined() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let room = alice.create_room(&json!({})).await;
    good(act(&alice, &room, "invite", &bob).await);
    good(act(&alice, &room, "invite", &bob).await);
    good(act(&alice, &room, "invite", &carol).await);
    bob.join(&room).await;
    carol.leave(&room).await;
    assert_eq!(membership(&alice, &room, &bob).await["membership"], "join");
    assert_eq!(membership(&alice, &room, &carol).await["membership"], "leave");
    refused(carol.post(&User::room_path(&room, &["join"]), &json!({})).await, 403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_invitation_that_is_not_allowed_is_forbidden() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    refused(act(&bob, &room, "invite", &carol).await, 403, "M_FORBIDDEN");
    bob.join(&room).await;
    refused(act(&bob, &room, "invite", &carol).await, 403, "M_FORBIDDEN");
    refused(act(&alice, &room, "invite", &bob).await, 403, "M_FORBIDDEN");
    good(act(&alice, &room, "ban", &carol).await);
    refused(act(&alice, &room, "invite", &carol).await, 403, "M_FORBIDDEN");
    let path = User::room_path(&room, &["invite"]);
    refused(alice.post(&path, &json!({})).await, 400, "M_BAD_JSON");
    refused(alice.post(&path, &json!({ "user_id": "nobody" })).await, 400, "M_BAD_JSON");
    let address = json!({ "id_server": "x", "id_access_token": "x", "medium": "email", "address": "a@b" });
    refused(alice.post(&path, &address).await, 400, "M_SERVER_NOT_TRUSTED");
}

#[tokio::test]
async fn a_member_is_kicked_and_may_come_back() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let room = public_room(&alice).await;
    refused(act(&alice, &room, "kick", &bob).await, 403, "M_FORBIDDEN");
    bob.join(&room).await;
    refused(act(&carol, &room, "kick", &bob).await, 403, "M_FORBIDDEN");
    refused(act(&bob, &room, "kick", &alice).await, 403, "M_FORBIDDEN");
    good(act(&alice, &room, "kick", &bob).await);
    assert_eq!(membership(&alice, &room, &bob).await, json!({ "membership": "leave", "reason": "so" }));
    refused(act(&alice, &room, "kick", &bob).await, 403, "M_FORBIDDEN");
    bob.join(&room).await;
}

#[tokio::test]
async fn a_banned_user_can_not_come_back_until_the_ban_is_lifted() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    refused(act(&bob, &room, "ban", &alice).await, 403, "M_FORBIDDEN");
    good(act(&alice, &room, "ban", &bob).await);
    assert_eq!(membership(&alice, &room, &bob).await["membership"], "ban");
    refused(bob.post(&User::room_path(&room, &["join"]), &json!({})).await, 403, "M_FORBIDDEN");
    refused(bob.put(&User::room_path(&room, &["send", "m.room.message", "1"]), &json!({})).await, 403, "M_FORBIDDEN");
    refused(act(&bob, &room, "unban", &bob).await, 403, "M_FORBIDDEN");
    good(act(&alice, &room, "unban", &bob).await);
    refused(act(&alice, &room, "unban", &bob).await, 403, "M_BAD_STATE");
    bob.join(&room).await;
}

#[tokio::test]
async fn a_knock_is_answered_by_an_invitation() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let rules = |rule: &str| json!([{ "type": "m.room.join_rules", "content": { "join_rule": rule } }]);
    let room = alice.create_room(&json!({ "initial_state": rules("knock"), "room_alias_name": "door" })).await;
    let path = format!("/_matrix/client/v3/knock/{}", segment("#door:localhost"));
    assert_eq!(good(bob.post(&path, &json!({ "reason": "please" })).await), json!({ "room_id": room }));
    assert_eq!(membership(&alice, &room, &bob).await, json!({ "membership": "knock", "reason": "please" }));
    refused(bob.post(&User::room_path(&room, &["join"]), &json!({})).await, 403, "M_FORBIDDEN");
    good(act(&alice, &room, "invite", &bob).await);
    bob.join(&room).await;
    refused(bob.post(&path, &json!({})).await, 403, "M_FORBIDDEN");

    good(carol.post(&path, &json!({})).await);
    carol.leave(&room).await;
    assert_eq!(membership(&alice, &room, &carol).await["membership"], "leave");
    good(act(&alice, &room, "ban", &carol).await);
    refused(carol.post(&path, &json!({})).await, 403, "M_FORBIDDEN");

    let closed = alice.create_room(&json!({})).await;
    refused(
        carol.post(&format!("/_matrix/client/v3/knock/{}", segment(&closed)), &json!({})).await,
        403,
        "M_FORBIDDEN",
    );
    refused(carol.post("/_matrix/client/v3/knock/%23none%3Alocalhost", &json!({})).await, 404, "M_NOT_FOUND");
}

#[tokio::test]
async fn members_of_one_room_join_another_that_is_restricted_to_them() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    for (version, rule) in [("8", "restricted"), ("11", "knock_restricted"), ("12", "restricted")] {
        let space = public_room(&alice).await;
        let content = json!({ "join_rule": rule, "allow": [
            { "type": "org.example.unknown" },
            { "type": "m.room_membership", "room_id": "!none:localhost" },
            { "type": "m.room_membership", "room_id": space },
        ] });
        let initial = json!([{ "type": "m.room.join_rules", "content": content }]);
        let room = alice.create_room(&json!({ "initial_state": initial, "room_version": version })).await;
        refused(bob.post(&User::room_path(&room, &["join"]), &json!({})).await, 403, "M_FORBIDDEN");
        bob.join(&space).await;
        bob.join(&room).await;
        assert_eq!(membership(&alice, &room, &bob).await["join_authorised_via_users_server"], alice.id.as_str());
        // An invitation needs none of that.
        alice.invite(&room, &carol).await;
        carol.join(&room).await;
        assert!(membership(&alice, &room, &carol).await.get("join_authorised_via_users_server").is_none());
    }
}

#[tokio::test]
async fn who_writes_their_own_join_can_not_name_who_vouches_for_it() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let space = public_room(&alice).await;
    let content = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": space }] });
    let initial = json!([{ "type": "m.room.join_rules", "content": content }]);
    let room = alice.create_room(&json!({ "initial_state": initial })).await;
    let own = User::room_path(&room, &["state", "m.room.member", &bob.id]);
    let join = json!({ "membership": "join", "join_authorised_via_users_server": alice.id });
    refused(bob.put(&own, &join).await, 403, "M_FORBIDDEN");
    refused(bob.put(&own, &json!({ "membership": "join" })).await, 403, "M_FORBIDDEN");
    // With the right to come in, the server finds somebody itself.
    bob.join(&space).await;
    let claim = json!({ "membership": "join", "join_authorised_via_users_server": bob.id });
    good(bob.put(&own, &claim).await);
    assert_eq!(membership(&alice, &room, &bob).await["join_authorised_via_users_server"], alice.id.as_str());
}

#[tokio::test]
async fn who_blocks_invitations_is_not_invited() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let config = format!("/_matrix/client/v3/user/{}/account_data/m.invite_permission_config", segment(&bob.id));
    good(bob.put(&config, &json!({ "default_action": "block" })).await);
    let room = alice.create_room(&json!({})).await;
    refused(act(&alice, &room, "invite", &bob).await, 403, "M_INVITE_BLOCKED");
    let own = User::room_path(&room, &["state", "m.room.member", &bob.id]);
    refused(alice.put(&own, &json!({ "membership": "invite" })).await, 403, "M_INVITE_BLOCKED");
    let create = "/_matrix/client/v3/createRoom";
    refused(alice.post(create, &json!({ "invite": [bob.id] })).await, 403, "M_INVITE_BLOCKED");
    good(bob.put(&config, &json!({})).await);
    alice.invite(&room, &bob).await;
}

#[tokio::test]
async fn member_events_carry_the_profile() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let name = |user: &User| format!("/_matrix/client/v3/profile/{}/displayname", segment(&user.id));
    for (user, text) in [(&alice, "Alice"), (&bob, "Bob")] {
        good(user.put(&name(user), &json!({ "displayname": text })).await);
    }
    let room = alice.create_room(&json!({ "invite": [bob.id] })).await;
    assert_eq!(membership(&alice, &room, &alice).await["displayname"], "Alice");
    assert_eq!(membership(&alice, &room, &bob).await["displayname"], "Bob");
    bob.join(&room).await;
    assert_eq!(membership(&alice, &room, &bob).await, json!({ "membership": "join", "displayname": "Bob" }));
}

#[tokio::test]
async fn join_rules_that_name_no_room_as_they_should_let_nobody_in() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let space = public_room(&alice).await;
    bob.join(&space).await;
    for allow in [
        json!(["invalid"]),
        json!([{ "type": "m.room_membership", "room": space }]),
        json!([{ "type": "m.room_membership", "room_id": [space] }]),
        json!([{ "type": "invalid", "room_id": space }]),
        json!({ "type": "m.room_membership", "room_id": space }),
        json!("invalid"),
        json!([]),
    ] {
        let content = json!({ "join_rule": "restricted", "allow": allow });
        let initial = json!([{ "type": "m.room.join_rules", "content": content }]);
        let (status, answer) = alice.post("/_matrix/client/v3/createRoom", &json!({ "initial_state": initial })).await;
        // Whether such rules are taken at all or not, they open nothing.
        if let (200, Some(room)) = (status, answer["room_id"].as_str()) {
            refused(bob.post(&User::room_path(room, &["join"]), &json!({})).await, 403, "M_FORBIDDEN");
        } else {
            assert_eq!(status, 400, "{answer}");
        }
    }
}
