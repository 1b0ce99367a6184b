//! <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>

use http::Method;
use roost_testkit::{Server, User, segment};
use serde_json::json;

use super::errcode;

fn list(user: &User, room: &str) -> String {
    format!("/_matrix/client/v3/user/{}/rooms/{}/tags", segment(&user.id), segment(room))
}

fn tag(user: &User, room: &str, tag: &str) -> String {
    format!("{}/{}", list(user, room), segment(tag))
}

#[tokio::test]
async fn tags_are_set_listed_and_removed() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    assert_eq!(alice.get(&list(&alice, &room)).await, (200, json!({ "tags": {} })));
    let tags = json!({ "m.favourite": { "order": 0.1 }, "u.Work": { "order": 0.7, "colour": "red" }, "u.A/B": {} });
    for (name, info) in tags.as_object().expect("tags") {
        assert_eq!(alice.put(&tag(&alice, &room, name), info).await, (200, json!({})));
    }
    assert_eq!(alice.get(&list(&alice, &room)).await, (200, json!({ "tags": tags })));
    assert_eq!(alice.delete(&tag(&alice, &room, "u.Work")).await, (200, json!({})));
    assert_eq!(alice.delete(&tag(&alice, &room, "u.Work")).await, (200, json!({})), "gone already");
    let left = json!({ "tags": { "m.favourite": { "order": 0.1 }, "u.A/B": {} } });
    assert_eq!(alice.get(&list(&alice, &room)).await, (200, left.clone()));
    let data = list(&alice, &room).replace("/tags", "/account_data/m.tag");
    assert_eq!(alice.get(&data).await, (200, left));
}

#[tokio::test]
async fn tags_reach_the_users_other_devices() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    let since = alice.sync(None).await["next_batch"].as_str().expect("a token").to_owned();
    alice.put(&tag(&alice, &room, "u.x"), &json!({})).await;
    let sync = alice.sync(Some(&since)).await;
    let expected = json!([{ "type": "m.tag", "content": { "tags": { "u.x": {} } } }]);
    assert_eq!(sync["rooms"]["join"][&room]["account_data"]["events"], expected);
}

#[tokio::test]
async fn tags_are_nobody_elses() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({})).await;
    let path = tag(&alice, &room, "u.x");
    for (status, body) in
        [bob.get(&list(&alice, &room)).await, bob.put(&path, &json!({})).await, bob.delete(&path).await]
    {
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
    }
    assert_eq!(server.get(&list(&alice, &room)).await.0, 401);
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    let (status, body) = alice.put(&tag(&alice, &room, "u.x"), &json!({ "order": "first" })).await;
    assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"));
    let (status, body) = alice.put(&tag(&alice, &room, &"ä".repeat(128)), &json!({})).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    assert_eq!(alice.put(&tag(&alice, &room, &"ä".repeat(127)), &json!({})).await.0, 200);
    let (status, body) = alice.put(&tag(&alice, "nonsense", "u.x"), &json!({})).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    let bearer = format!("Bearer {}", alice.token);
    for (raw, expected) in [("{", "M_NOT_JSON"), ("[]", "M_BAD_JSON")] {
        let path = tag(&alice, &room, "u.y");
        let answer = server.client().raw(Method::PUT, &path, &[("authorization", &bearer)], raw).await;
        assert_eq!((answer.status, errcode(&answer.json())), (400, expected), "{raw}");
    }
}
