//! <https://spec.matrix.org/v1.19/client-server-api/#client-config>

use http::Method;
use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

use super::errcode;

fn global(user: &User, kind: &str) -> String {
    format!("/_matrix/client/v3/user/{}/account_data/{}", segment(&user.id), segment(kind))
}

fn of_room(user: &User, room: &str, kind: &str) -> String {
    let (user, room, kind) = (segment(&user.id), segment(room), segment(kind));
    format!("/_matrix/client/v3/user/{user}/rooms/{room}/account_data/{kind}")
}

#[tokio::test]
async fn what_is_kept_comes_back_as_it_was() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    for path in [global(&alice, "org.example/config"), of_room(&alice, &room, "org.example/config")] {
        let (status, body) = alice.get(&path).await;
        assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"));
        // Neither floats nor large numbers are an event's business here.
        for content in [json!({ "a": 0.1, "b": 9_007_199_254_740_993_i64, "c": [null] }), json!({})] {
            assert_eq!(alice.put(&path, &content).await, (200, json!({})));
            assert_eq!(alice.get(&path).await, (200, content));
        }
    }
}

#[tokio::test]
async fn rooms_do_not_inherit_what_is_global() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    alice.put(&global(&alice, "org.example"), &json!({ "global": true })).await;
    assert_eq!(alice.get(&of_room(&alice, &room, "org.example")).await.0, 404);
}

#[tokio::test]
async fn it_reaches_the_users_other_devices() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let phone = server.log_in(&alice).await;
    let next = |sync: Value| sync["next_batch"].as_str().expect("a token").to_owned();
    let (since, bobs) = (next(phone.sync(None).await), next(bob.sync(None).await));
    alice.put(&global(&alice, "org.example"), &json!({ "n": 1 })).await;
    alice.put(&of_room(&alice, &room, "org.example"), &json!({ "n": 2 })).await;
    let sync = phone.sync(Some(&since)).await;
    assert_eq!(sync["account_data"]["events"], json!([{ "type": "org.example", "content": { "n": 1 } }]));
    let data = &sync["rooms"]["join"][&room]["account_data"]["events"];
    assert_eq!(*data, json!([{ "type": "org.example", "content": { "n": 2 } }]));
    let sync = bob.sync(Some(&bobs)).await;
    assert!(!sync.to_string().contains("org.example"), "{sync}");
}

#[tokio::test]
async fn it_is_nobody_elses() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    for path in [global(&alice, "org.example"), of_room(&alice, &room, "org.example")] {
        alice.put(&path, &json!({})).await;
        for (status, body) in [bob.get(&path).await, bob.put(&path, &json!({})).await] {
            assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
        }
        let (status, body) = server.get(&path).await;
        assert_eq!((status, errcode(&body)), (401, "M_MISSING_TOKEN"));
    }
}

#[tokio::test]
async fn what_the_server_controls_can_be_read_and_not_set() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    for kind in ["m.fully_read", "m.push_rules"] {
        for path in [global(&alice, kind), of_room(&alice, &room, kind)] {
            let (status, body) = alice.put(&path, &json!({})).await;
            assert_eq!((status, errcode(&body)), (405, "M_BAD_JSON"), "{path}");
        }
    }
    let (status, body) = alice.get(&global(&alice, "m.push_rules")).await;
    assert_eq!(status, 200);
    assert!(body["global"]["override"].is_array(), "{body}");
    let event = alice.send(&room, "hello").await;
    alice.post(&User::room_path(&room, &["read_markers"]), &json!({ "m.fully_read": event })).await;
    assert_eq!(alice.get(&of_room(&alice, &room, "m.fully_read")).await, (200, json!({ "event_id": event })));
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    let bearer = format!("Bearer {}", alice.token);
    for path in [global(&alice, "org.example"), of_room(&alice, &room, "org.example")] {
        for (raw, expected) in
            [("{", "M_NOT_JSON"), ("nonsense", "M_NOT_JSON"), ("[]", "M_BAD_JSON"), ("7", "M_BAD_JSON")]
        {
            let answer = server.client().raw(Method::PUT, &path, &[("authorization", &bearer)], raw).await;
            assert_eq!((answer.status, errcode(&answer.json())), (400, expected), "{raw}");
        }
        assert_eq!(alice.get(&path).await.0, 404, "nothing was half-written");
    }
    let path = of_room(&alice, "@notaroom:localhost", "org.example");
    for (status, body) in [alice.get(&path).await, alice.put(&path, &json!({})).await] {
        assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    }
    let path = of_room(&alice, "!nowhere:localhost", "org.example");
    for (status, body) in [alice.get(&path).await, alice.put(&path, &json!({})).await] {
        assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"));
    }
    let (status, body) = alice.put(&global(&alice, &"x".repeat(256)), &json!({})).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn what_is_kept_for_one_user_has_an_end() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let large = |bytes: usize| json!({ "a": "x".repeat(bytes) });
    let (status, body) = alice.put(&global(&alice, "org.example"), &large(1 << 20)).await;
    assert_eq!((status, errcode(&body)), (400, "M_TOO_LARGE"), "one piece");
    for piece in 0..32 {
        let path = global(&alice, &format!("org.example.{piece}"));
        assert_eq!(alice.put(&path, &large(1_000_000)).await.0, 200);
    }
    let (status, body) = alice.put(&global(&alice, "org.example.more"), &large(1_000_000)).await;
    assert_eq!(status, 200, "32 MiB are a little more than 32 MB: {body}");
    let (status, body) = alice.put(&global(&alice, "org.example.last"), &large(1_000_000)).await;
    assert_eq!((status, errcode(&body)), (400, "M_TOO_LARGE"), "all together");
    assert_eq!(alice.put(&global(&alice, "org.example.0"), &large(900_000)).await.0, 200, "less is always taken");
    let room = alice.create_room(&json!({})).await;
    let tag = format!("/_matrix/client/v3/user/{}/rooms/{}/tags/u.x", segment(&alice.id), segment(&room));
    let (status, body) = alice.put(&tag, &large(5000)).await;
    assert_eq!((status, errcode(&body)), (400, "M_TOO_LARGE"), "what a tag says");
}
