//! <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>

use http::Method;
use roost_testkit::config::RateSetting;
use roost_testkit::{Server, User};
use serde_json::json;

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_back() {
    let server = Server::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.registration_per_address = RateSetting::of(2, 600);
    })
    .await;
    let path = "/_matrix/client/v3/register/available?username=alice";
    for _ in 0..2 {
        assert_ne!(server.get(path).await.0, 429);
    }
    let answer = server.client().raw(Method::GET, path, &[], "").await;
    assert_eq!(answer.status, 429);
    let body = answer.json();
    assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
    let wait = body["retry_after_ms"].as_u64().unwrap();
    assert!((1..=300_000).contains(&wait), "{wait}");
    assert_eq!(answer.header("retry-after"), wait.div_ceil(1000).to_string());
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(server.get("/_matrix/client/versions").await.0, 200, "other endpoints have their own allowance");
}

#[tokio::test]
async fn limits_can_be_switched_off() {
    let server = Server::with(|config| {
        config.rate_limits.enabled = false;
        config.rate_limits.registration_per_address = RateSetting::of(1, 600);
    })
    .await;
    for _ in 0..5 {
        assert_ne!(server.get("/_matrix/client/v3/register/available?username=alice").await.0, 429);
    }
}

#[tokio::test]
async fn a_proxys_header_counts_only_when_it_is_trusted() {
    let path = "/_matrix/client/v3/register/available?username=alice";
    for trusted in [false, true] {
        let server = Server::with(|config| {
            config.rate_limits.enabled = true;
            config.rate_limits.registration_per_address = RateSetting::of(1, 600);
            if trusted {
                config.http.client_address_header = "X-Forwarded-For".to_owned();
            }
        })
        .await;
        let ask =
            async |from: &str| server.client().raw(Method::GET, path, &[("x-forwarded-for", from)], "").await.status;
        assert_ne!(ask("192.0.2.1").await, 429);
        let second = ask("192.0.2.2").await;
        assert_eq!(second != 429, trusted, "{second}");
        // What a client writes itself stands before what the proxy appends.
        assert_eq!(ask("198.51.100.7, 192.0.2.1").await, 429);
    }
}

#[tokio::test]
async fn sending_is_limited_for_each_user() {
    let server = Server::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.sending_per_user = RateSetting::of(3, 600);
    })
    .await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    for number in 0..3 {
        alice.send(&room, &format!("message {number}")).await;
    }
    let content = json!({ "msgtype": "m.text", "body": "one too many" });
    let path = User::room_path(&room, &["send", "m.room.message", "one too many"]);
    let (status, body) = alice.put(&path, &content).await;
    assert_eq!((status, body["errcode"].as_str()), (429, Some("M_LIMIT_EXCEEDED")));
    bob.send(&room, "from somebody else").await;
    let (_, messages) = bob.get(&(User::room_path(&room, &["messages"]) + "?dir=b&limit=50")).await;
    assert!(!messages.to_string().contains("one too many"), "what was refused is not there");
}

#[tokio::test]
async fn attempts_to_log_in_count_for_the_account_that_is_tried() {
    let server = Server::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.login_per_user = RateSetting::of(2, 600);
    })
    .await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let attempt = async |user: &str, password: &str| {
        let identifier = json!({ "type": "m.id.user", "user": user });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        server.post("/_matrix/client/v3/login", &body).await.0
    };
    assert_eq!(attempt(&alice.id, "wrong").await, 403);
    assert_eq!(attempt("alice", "wrong").await, 403);
    assert_eq!(attempt(&alice.id, &alice.password).await, 429, "even with the right password");
    assert_eq!(attempt(&bob.id, &bob.password).await, 200);
}

#[tokio::test]
async fn each_invited_person_counts_however_they_are_invited() {
    let server = Server::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.invitations_per_user = RateSetting::of(4, 600);
    })
    .await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let mut guests = Vec::new();
    for name in ["carol", "dan", "erin", "frank"] {
        guests.push(server.register(name).await);
    }
    let ids: Vec<&str> = guests.iter().map(|guest| guest.id.as_str()).collect();
    let room = alice.create_room(&json!({ "preset": "private_chat", "invite": &ids[..2] })).await;
    let refused = |(status, body): (u16, serde_json::Value)| {
        assert_eq!((status, body["errcode"].as_str()), (429, Some("M_LIMIT_EXCEEDED")), "{body}");
    };
    refused(alice.post("/_matrix/client/v3/createRoom", &json!({ "invite": &ids[..3] })).await);
    alice.invite(&room, &guests[2]).await;
    alice.set_state(&room, "m.room.member", &guests[3].id, &json!({ "membership": "invite" })).await;
    refused(alice.post(&User::room_path(&room, &["invite"]), &json!({ "user_id": bob.id })).await);
    let member = User::room_path(&room, &["state", "m.room.member", &bob.id]);
    refused(alice.put(&member, &json!({ "membership": "invite" })).await);
    alice.create_room(&json!({})).await;
    alice.set_state(&room, "m.room.name", "", &json!({ "name": "full" })).await;
    bob.create_room(&json!({ "invite": &ids })).await;
}
