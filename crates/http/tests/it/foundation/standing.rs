//! <https://spec.matrix.org/v1.19/client-server-api/#account-locking>,
//! <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>

use http::Method;
use roost_testkit::{Server, User};
use serde_json::{Value, json};

async fn number(server: &Server, user: &User) -> roost_store::UserNo {
    let id = user.id.as_str().try_into().unwrap();
    server.house().users.account(id).await.unwrap().unwrap().user
}

async fn suspend(server: &Server, user: &User, suspended: bool) {
    let no = number(server, user).await;
    server.house().users.suspend(no, suspended).await.unwrap();
}

fn redact(room: &str, event: &str) -> String {
    User::room_path(room, &["redact", event, "once"])
}

#[tokio::test]
async fn a_suspended_user_can_read_and_leave_but_not_act() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    let open = bob.create_room(&json!({ "preset": "public_chat" })).await;
    let invited = bob.create_room(&json!({ "preset": "private_chat", "invite": [alice.id] })).await;
    bob.join(&room).await;
    let own = alice.send(&room, "before").await;
    let foreign = bob.send(&room, "from somebody else").await;
    suspend(&server, &alice, true).await;

    let message = json!({ "msgtype": "m.text", "body": "no" });
    let profile = format!("/_matrix/client/v3/profile/{}/displayname", alice.id);
    for (method, path, body) in [
        (Method::PUT, User::room_path(&room, &["send", "m.room.message", "1"]), message),
        (Method::PUT, User::room_path(&room, &["state", "m.room.name", ""]), json!({ "name": "no" })),
        (Method::PUT, redact(&room, &foreign), json!({})),
        (Method::POST, User::room_path(&room, &["invite"]), json!({ "user_id": "@carol:localhost" })),
        (Method::POST, User::room_path(&room, &["kick"]), json!({ "user_id": bob.id })),
        (Method::POST, User::room_path(&open, &["join"]), json!({})),
        (Method::POST, User::room_path(&invited, &["join"]), json!({})),
        (Method::POST, format!("/_matrix/client/v3/join/{open}"), json!({})),
        (Method::POST, format!("/_matrix/client/v3/knock/{open}"), json!({})),
        (Method::POST, "/_matrix/client/v3/createRoom".to_owned(), json!({})),
        (Method::PUT, profile.clone(), json!({ "displayname": "no" })),
        (Method::DELETE, profile, Value::Null),
    ] {
        let (status, answer) = alice.request(method.clone(), &path, (!body.is_null()).then_some(&body)).await;
        assert_eq!((status, answer["errcode"].as_str()), (403, Some("M_USER_SUSPENDED")), "{method} {path}: {answer}");
    }

    let sync = alice.sync(None).await;
    assert!(sync["rooms"]["join"].get(&room).is_some(), "they see what there is");
    assert_eq!(alice.put(&redact(&room, &own), &json!({})).await.0, 200, "what is theirs they can redact");
    alice.leave(&invited).await;
    alice.leave(&room).await;
    let laptop = server.log_in(&alice).await;
    assert_eq!(laptop.post("/_matrix/client/v3/createRoom", &json!({})).await.0, 403, "suspended as well");
    assert_eq!(laptop.post("/_matrix/client/v3/logout", &json!({})).await.0, 200);

    suspend(&server, &alice, false).await;
    alice.join(&open).await;
}

#[tokio::test]
async fn a_lock_holds_against_the_password_alone() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    server.house().users.lock(number(&server, &alice).await, true).await.unwrap();
    let auth = json!({ "type": "m.login.password", "user": alice.id, "password": alice.password });
    for (path, body) in [
        ("account/password", json!({ "new_password": "another one", "auth": auth })),
        ("account/deactivate", json!({ "auth": auth })),
        ("login", auth.clone()),
    ] {
        let (status, answer) = server.post(&format!("/_matrix/client/v3/{path}"), &body).await;
        assert_eq!((status, answer["errcode"].as_str()), (401, Some("M_USER_LOCKED")), "{path}: {answer}");
        assert_eq!(answer["soft_logout"], true, "{path}");
    }
    let wrong = json!({ "type": "m.login.password", "user": alice.id, "password": "guessed" });
    assert_eq!(server.post("/_matrix/client/v3/login", &wrong).await.0, 403, "only its owner learns of the lock");
    let (status, answer) = alice.get("/_matrix/client/v3/sync").await;
    assert_eq!((status, answer["errcode"].as_str()), (401, Some("M_USER_LOCKED")));
    assert_eq!(answer["soft_logout"], true);
    bob.sync(None).await;

    server.house().users.lock(number(&server, &alice).await, false).await.unwrap();
    alice.sync(None).await;
    assert_eq!(alice.post("/_matrix/client/v3/logout", &json!({})).await.0, 200);
}
