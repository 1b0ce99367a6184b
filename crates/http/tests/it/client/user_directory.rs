//! <https://spec.matrix.org/v1.19/client-server-api/#user-directory>

use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::errcode;

const SEARCH: &str = "/_matrix/client/v3/user_directory/search";

async fn find(user: &User, term: &str) -> Vec<String> {
    let (status, body) = user.post(SEARCH, &json!({ "search_term": term })).await;
    assert_eq!(status, 200, "{body}");
    let results = body["results"].as_array().expect("results");
    results.iter().map(|found| found["user_id"].as_str().expect("an id").to_owned()).collect()
}

async fn set_name(user: &User, name: &str) {
    let path = format!("/_matrix/client/v3/profile/{}/displayname", user.id);
    assert_eq!(user.put(&path, &json!({ "displayname": name })).await.0, 200);
}

#[tokio::test]
async fn people_in_shared_and_in_public_rooms_are_found_and_others_are_not() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (shared, public, readable, hidden) = (
        server.register("wonder-shared").await,
        server.register("wonder-public").await,
        server.register("wonder-readable").await,
        server.register("wonder-hidden").await,
    );
    let room = alice.create_room(&json!({ "preset": "private_chat" })).await;
    alice.invite(&room, &shared).await;
    assert!(find(&alice, "wonder").await.is_empty(), "who is invited is not in yet");
    shared.join(&room).await;
    public.create_room(&json!({ "preset": "public_chat" })).await;
    let room = readable.create_room(&json!({ "preset": "private_chat" })).await;
    readable
        .set_state(&room, "m.room.history_visibility", "", &json!({ "history_visibility": "world_readable" }))
        .await;
    hidden.create_room(&json!({ "preset": "private_chat" })).await;
    assert_eq!(find(&alice, "wonder").await, [public.id, readable.id, shared.id]);
    assert!(find(&hidden, "alice").await.is_empty());
}

#[tokio::test]
async fn names_are_found_whichever_their_case_and_as_they_are_now() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    bob.create_room(&json!({ "preset": "public_chat" })).await;
    set_name(&bob, "Émile 100%_Sure!").await;
    for term in ["bob", "BOB", "@bob:localhost", "émile", "ÉMILE", "100%_sure!", " mile "] {
        assert_eq!(find(&alice, term).await, std::slice::from_ref(&bob.id), "{term:?}");
    }
    for term in ["", "  ", "nobody", "1__%", "alice"] {
        assert!(find(&alice, term).await.is_empty(), "{term:?}");
    }
    let (_, body) = alice.post(SEARCH, &json!({ "search_term": "bob" })).await;
    let expected = json!([{ "user_id": bob.id, "display_name": "Émile 100%_Sure!" }]);
    assert_eq!(body, json!({ "results": expected, "limited": false }));
    set_name(&bob, "Jean").await;
    assert!(find(&alice, "émile").await.is_empty());
    assert_eq!(find(&alice, "jean").await, std::slice::from_ref(&bob.id));
}

#[tokio::test]
async fn the_best_come_first_and_the_limit_holds() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    let mut ids = Vec::new();
    for name in ["a-rab", "rabbit", "rab"] {
        let user = server.register(name).await;
        user.join(&room).await;
        ids.push(user.id);
    }
    ids.reverse();
    assert_eq!(find(&alice, "rab").await, ids);
    let (_, body) = alice.post(SEARCH, &json!({ "search_term": "rab", "limit": 2 })).await;
    assert_eq!((body["results"].as_array().map(Vec::len), &body["limited"]), (Some(2), &json!(true)));
    let (_, body) = alice.post(SEARCH, &json!({ "search_term": "rab", "limit": 3 })).await;
    assert_eq!((body["results"].as_array().map(Vec::len), &body["limited"]), (Some(3), &json!(false)));
}

#[tokio::test]
async fn who_has_deactivated_is_not_found() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    bob.create_room(&json!({ "preset": "public_chat" })).await;
    let auth = json!({ "type": "m.login.password", "user": bob.id, "password": bob.password });
    assert_eq!(bob.post("/_matrix/client/v3/account/deactivate", &json!({ "auth": auth })).await.0, 200);
    assert!(find(&alice, "bob").await.is_empty());
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for request in [json!({}), json!({ "search_term": 7 }), json!({ "search_term": "x", "limit": -1 })] {
        let (status, body) = alice.post(SEARCH, &request).await;
        assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"), "{request}");
    }
    let (status, body) = server.post(SEARCH, &json!({ "search_term": "x" })).await;
    assert_eq!((status, errcode(&body)), (401, "M_MISSING_TOKEN"));
    assert_eq!(alice.post(SEARCH, &json!({ "search_term": "x", "limit": Value::Null })).await.0, 200);
}

#[tokio::test]
async fn a_term_longer_than_any_name_finds_nobody() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    assert!(find(&alice, &"x".repeat(100_000)).await.is_empty());
}

#[tokio::test]
async fn a_name_that_somebody_bears_in_one_room_only_is_found_by_nobody() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    set_name(&bob, "Robert").await;
    let (private, public) = (
        bob.create_room(&json!({ "invite": [alice.id] })).await,
        bob.create_room(&json!({ "preset": "public_chat" })).await,
    );
    alice.join(&private).await;
    for room in [&private, &public] {
        let content = json!({ "membership": "join", "displayname": "Secretive" });
        bob.set_state(room, "m.room.member", &bob.id, &content).await;
    }
    for finder in [&alice, &carol] {
        assert!(find(finder, "secretive").await.is_empty());
        assert_eq!(find(finder, "robert").await, std::slice::from_ref(&bob.id));
    }
}
