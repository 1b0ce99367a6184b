//! <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use http::Method;
use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

use super::errcode;

fn path(user: &User, field: &str) -> String {
    format!("/_matrix/client/v3/profile/{}/{}", segment(&user.id), segment(field))
}

fn whole(user: &User) -> String {
    format!("/_matrix/client/v3/profile/{}", segment(&user.id))
}

#[tokio::test]
async fn everybody_reads_what_a_user_has_set() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    assert_eq!(server.get(&whole(&alice)).await, (200, json!({})));
    let fields = [
        ("displayname", json!("Alice Margatroid")),
        ("avatar_url", json!("mxc://matrix.org/SDGdghriugerRg")),
        ("m.tz", json!("Europe/London")),
        ("com.example.field", json!({ "deep": [1, 2.5, null] })),
        ("com.example.null", Value::Null),
    ];
    for (field, value) in &fields {
        let (status, body) = server.get(&path(&alice, field)).await;
        assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"), "{field} before");
        assert_eq!(alice.put(&path(&alice, field), &json!({ *field: value })).await, (200, json!({})), "{field}");
        assert_eq!(server.get(&path(&alice, field)).await, (200, json!({ *field: value })), "{field}");
    }
    let expected: serde_json::Map<_, _> = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
    assert_eq!(server.get(&whole(&alice)).await, (200, Value::Object(expected)));
}

#[tokio::test]
async fn fields_can_be_removed() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for field in ["displayname", "avatar_url", "com.example.field"] {
        let value = if field == "avatar_url" { "mxc://a/b" } else { "x" };
        alice.put(&path(&alice, field), &json!({ field: value })).await;
        assert_eq!(alice.delete(&path(&alice, field)).await, (200, json!({})), "{field}");
        assert_eq!(server.get(&path(&alice, field)).await.0, 404, "{field}");
        assert_eq!(alice.delete(&path(&alice, field)).await, (200, json!({})), "{field}, which is gone already");
    }
    for field in ["displayname", "avatar_url"] {
        let value = if field == "avatar_url" { "mxc://a/b" } else { "x" };
        alice.put(&path(&alice, field), &json!({ field: value })).await;
        assert_eq!(alice.put(&path(&alice, field), &json!({ field: "" })).await.0, 200);
        assert_eq!(server.get(&path(&alice, field)).await.0, 404, "an empty {field} is none");
    }
}

#[tokio::test]
async fn only_the_user_changes_their_profile() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let name = path(&alice, "displayname");
    let (status, body) = bob.put(&name, &json!({ "displayname": "Bob was here" })).await;
    assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
    let (status, body) = bob.delete(&name).await;
    assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
    for method in [Method::PUT, Method::DELETE] {
        let answer = server.client().raw(method, &name, &[], "{\"displayname\":\"x\"}").await;
        assert_eq!((answer.status, errcode(&answer.json())), (401, "M_MISSING_TOKEN"));
    }
}

#[tokio::test]
async fn nobody_has_no_profile() {
    let server = Server::start().await;
    for user in ["@nobody:localhost", "@alice:elsewhere.example"] {
        for path in
            [format!("/_matrix/client/v3/profile/{user}"), format!("/_matrix/client/v3/profile/{user}/displayname")]
        {
            let (status, body) = server.get(&path).await;
            assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"), "{path}");
        }
    }
    let (status, body) = server.get("/_matrix/client/v3/profile/nobody").await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn values_are_checked() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let long = "x".repeat(257);
    let cases = [
        ("displayname", json!({ "displayname": 7 }), "M_BAD_JSON"),
        ("displayname", json!({ "displayname": null }), "M_BAD_JSON"),
        ("displayname", json!({ "displayname": long }), "M_BAD_JSON"),
        ("displayname", json!({}), "M_MISSING_PARAM"),
        ("displayname", json!({ "avatar_url": "mxc://a/b" }), "M_MISSING_PARAM"),
        ("avatar_url", json!({ "avatar_url": "https://example.org/a.png" }), "M_BAD_JSON"),
        ("avatar_url", json!({ "avatar_url": "mxc://" }), "M_BAD_JSON"),
        ("avatar_url", json!({ "avatar_url": [] }), "M_BAD_JSON"),
        ("m.tz", json!({ "m.tz": 7 }), "M_BAD_JSON"),
        ("com.example.a", json!({ "com.example.b": 1 }), "M_MISSING_PARAM"),
        ("name", json!({ "name": 1 }), "M_INVALID_PARAM"),
        ("Com.Example", json!({ "Com.Example": 1 }), "M_INVALID_PARAM"),
        ("com.exa mple", json!({ "com.exa mple": 1 }), "M_INVALID_PARAM"),
    ];
    for (field, request, expected) in cases {
        let (status, body) = alice.put(&path(&alice, field), &request).await;
        assert_eq!((status, errcode(&body)), (400, expected), "{field} {request}");
    }
    let (status, body) = alice.delete(&path(&alice, "not a field")).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    for (raw, expected) in [("{", "M_NOT_JSON"), ("\"x\"", "M_BAD_JSON")] {
        let bearer = format!("Bearer {}", alice.token);
        let name = path(&alice, "displayname");
        let answer = server.client().raw(Method::PUT, &name, &[("authorization", &bearer)], raw).await;
        assert_eq!((answer.status, errcode(&answer.json())), (400, expected), "{raw}");
    }
    assert_eq!(server.get(&whole(&alice)).await, (200, json!({})), "nothing was half-written");
}

#[tokio::test]
async fn keys_and_profiles_have_a_largest_size() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let key = |len: usize| format!("m.{}", "a".repeat(len - 2));
    assert_eq!(alice.put(&path(&alice, &key(255)), &json!({ key(255): 1 })).await.0, 200);
    let (status, body) = alice.put(&path(&alice, &key(256)), &json!({ key(256): 1 })).await;
    assert_eq!((status, errcode(&body)), (400, "M_KEY_TOO_LARGE"));
    let field = path(&alice, "com.example.large");
    let (status, body) = alice.put(&field, &json!({ "com.example.large": "x".repeat(65_536) })).await;
    assert_eq!((status, errcode(&body)), (400, "M_PROFILE_TOO_LARGE"));
    assert_eq!(alice.put(&field, &json!({ "com.example.large": "x".repeat(60_000) })).await.0, 200);
    let other = path(&alice, "com.example.other");
    let (status, body) = alice.put(&other, &json!({ "com.example.other": "x".repeat(6_000) })).await;
    assert_eq!((status, errcode(&body)), (400, "M_PROFILE_TOO_LARGE"));
}

#[tokio::test]
async fn rooms_hear_of_a_new_name_and_avatar() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let since = bob.sync(None).await["next_batch"].as_str().expect("a token").to_owned();
    alice.put(&path(&alice, "displayname"), &json!({ "displayname": "Alice" })).await;
    alice.put(&path(&alice, "avatar_url"), &json!({ "avatar_url": "mxc://a/b" })).await;
    let (status, member) = bob.get(&User::room_path(&room, &["state", "m.room.member", &alice.id])).await;
    assert_eq!(status, 200);
    assert_eq!(member, json!({ "membership": "join", "displayname": "Alice", "avatar_url": "mxc://a/b" }));
    let sync = bob.sync(Some(&since)).await;
    let timeline = sync["rooms"]["join"][&room]["timeline"]["events"].as_array().expect("a timeline").clone();
    assert_eq!(timeline.len(), 2, "{sync}");
    assert_eq!(timeline[1]["content"], member);
}

#[tokio::test]
async fn who_joins_brings_their_name_along() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    alice.put(&path(&alice, "displayname"), &json!({ "displayname": "Alice" })).await;
    let room = bob.create_room(&json!({ "preset": "public_chat" })).await;
    alice.join(&room).await;
    let (_, member) = bob.get(&User::room_path(&room, &["state", "m.room.member", &alice.id])).await;
    assert_eq!(member["displayname"], "Alice");
}
