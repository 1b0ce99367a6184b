//! <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use http::Method;
use roost_testkit::{Server, User, segment};
use serde_json::json;

use super::errcode;

fn path(user: &User) -> String {
    format!("/_matrix/client/v3/user/{}/filter", segment(&user.id))
}

#[tokio::test]
async fn a_stored_filter_can_be_read_and_used() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({})).await;
    for n in 0..5 {
        alice.send(&room, &format!("message {n}")).await;
    }
    let filter = json!({ "room": { "timeline": { "limit": 2 } }, "event_format": "client", "org.example": 1 });
    let (status, body) = alice.post(&path(&alice), &filter).await;
    assert_eq!(status, 200, "{body}");
    let id = body["filter_id"].as_str().expect("an id");
    assert!(!id.starts_with('{'));
    assert_eq!(alice.get(&format!("{}/{id}", path(&alice))).await, (200, filter.clone()));
    let sync = alice.sync_with(&format!("filter={id}")).await;
    assert_eq!(sync["rooms"]["join"][&room]["timeline"]["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(alice.post(&path(&alice), &filter).await.1["filter_id"], id, "the same filter has the same id");
    assert_ne!(alice.post(&path(&alice), &json!({})).await.1["filter_id"], id);
}

#[tokio::test]
async fn filters_are_nobody_elses() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let id = alice.post(&path(&alice), &json!({})).await.1["filter_id"].as_str().expect("an id").to_owned();
    let (status, body) = bob.post(&path(&alice), &json!({})).await;
    assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
    let (status, body) = bob.get(&format!("{}/{id}", path(&alice))).await;
    assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
    let (status, body) = bob.get(&format!("{}/{id}", path(&bob))).await;
    assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"));
    assert_eq!(server.post(&path(&alice), &json!({})).await.0, 401);
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let bearer = format!("Bearer {}", alice.token);
    let large = format!("{{\"event_fields\":[\"{}\"]}}", "x".repeat(70_000));
    let cases = [
        ("{", 400, "M_NOT_JSON"),
        ("[]", 400, "M_BAD_JSON"),
        ("{\"room\":7}", 400, "M_BAD_JSON"),
        ("{\"room\":{\"timeline\":{\"limit\":\"ten\"}}}", 400, "M_BAD_JSON"),
        ("{\"event_format\":7}", 400, "M_BAD_JSON"),
        ("{\"room\":{\"rooms\":[\"not a room\"]}}", 400, "M_BAD_JSON"),
        (large.as_str(), 413, "M_TOO_LARGE"),
    ];
    for (raw, status, expected) in cases {
        let answer =
            server.client().raw(Method::POST, &path(&alice), &[("authorization", &bearer)], raw.to_owned()).await;
        let shown: String = raw.chars().take(60).collect();
        assert_eq!((answer.status, errcode(&answer.json())), (status, expected), "{shown}");
    }
    for id in ["999", "nonsense"] {
        let (status, body) = alice.get(&format!("{}/{id}", path(&alice))).await;
        assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"), "{id}");
    }
    let (status, body) = alice.post("/_matrix/client/v3/user/nobody/filter", &json!({})).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
}
