//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>

use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

use super::{bodies, good, public_room, refused};

async fn page(user: &User, room: &str, query: &str) -> (u16, Value) {
    user.get(&format!("{}?{query}", User::room_path(room, &["messages"]))).await
}

#[tokio::test]
async fn history_is_paged_through_with_the_tokens_of_the_pages() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    for n in 0..5 {
        alice.send(&room, &n.to_string()).await;
    }
    let first = good(page(&alice, &room, "dir=b&limit=2").await);
    assert_eq!(bodies(&first["chunk"]), ["4", "3"]);
    let end = segment(first["end"].as_str().unwrap());
    let second = good(page(&alice, &room, &format!("dir=b&limit=3&from={end}")).await);
    assert_eq!(bodies(&second["chunk"]), ["2", "1", "0"]);
    assert_eq!(second["start"], first["end"]);
    let forwards = good(page(&alice, &room, &format!("dir=f&from={end}")).await);
    assert_eq!(bodies(&forwards["chunk"]), ["3", "4"]);
    assert!(forwards.get("end").is_none());
    let last = good(page(&alice, &room, "dir=b&limit=1000").await);
    assert_eq!(last["chunk"].as_array().unwrap().last().unwrap()["type"], "m.room.create");
    assert!(last.get("end").is_none());
}

#[tokio::test]
async fn tokens_of_sync_are_understood() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = public_room(&alice).await;
    alice.send(&room, "before").await;
    let sync = alice.sync(None).await;
    let next = segment(sync["next_batch"].as_str().unwrap());
    alice.send(&room, "after").await;
    assert_eq!(bodies(&good(page(&alice, &room, &format!("dir=f&from={next}")).await)["chunk"]), ["after"]);
    assert_eq!(bodies(&good(page(&alice, &room, &format!("dir=b&limit=1&from={next}")).await)["chunk"]), ["before"]);
    assert_eq!(bodies(&good(page(&alice, &room, &format!("dir=b&to={next}")).await)["chunk"]), ["after"]);
}

#[tokio::test]
async fn a_filter_chooses_the_events() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    bob.send(&room, "from bob").await;
    alice.send(&room, "from alice").await;
    alice.send_event(&room, "m.room.message", "url", &json!({ "body": "a file", "url": "mxc://localhost/x" })).await;
    for (filter, wanted) in [
        (json!({ "types": ["m.room.message"] }), vec!["a file", "from alice", "from bob"]),
        (json!({ "senders": [bob.id], "types": ["m.room.m*"] }), vec!["from bob"]),
        (json!({ "not_senders": [bob.id], "types": ["*.message"] }), vec!["a file", "from alice"]),
        (json!({ "not_types": ["*"] }), vec![]),
        (json!({ "contains_url": true }), vec!["a file"]),
        (json!({ "rooms": ["!other:localhost"] }), vec![]),
        (json!({ "limit": 1 }), vec!["a file"]),
    ] {
        let answer =
            good(page(&alice, &room, &format!("dir=b&limit=100&filter={}", segment(&filter.to_string()))).await);
        assert_eq!(bodies(&answer["chunk"]), wanted, "{filter}");
    }
    let lazy = json!({ "lazy_load_members": true, "senders": [bob.id], "types": ["m.room.message"] });
    let answer = good(page(&alice, &room, &format!("dir=b&filter={}", segment(&lazy.to_string()))).await);
    let members: Vec<_> = answer["state"].as_array().unwrap().iter().map(|event| &event["state_key"]).collect();
    assert_eq!(members, [&json!(bob.id)]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    refused(page(&alice, &room, "").await, 400, "M_MISSING_PARAM");
    refused(page(&alice, &room, "dir=x").await, 400, "M_INVALID_PARAM");
    refused(page(&alice, &room, "dir=b&limit=x").await, 400, "M_INVALID_PARAM");
    refused(page(&alice, &room, "dir=b&from=x").await, 400, "M_INVALID_PARAM");
    refused(page(&alice, &room, "dir=b&to=t1_0_0").await, 400, "M_INVALID_PARAM");
    refused(page(&alice, &room, "dir=b&filter=x").await, 400, "M_INVALID_PARAM");
    refused(page(&bob, &room, "dir=b").await, 403, "M_FORBIDDEN");
    refused(page(&bob, "!none:localhost", "dir=b").await, 404, "M_NOT_FOUND");
    good(page(&alice, &room, "dir=b&limit=0&from=&_cacheBuster=1").await);
    good(page(&alice, &room, "dir=b&limit=99999999999").await);
}

#[tokio::test]
async fn each_history_visibility_shows_what_it_says() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for (visibility, wanted) in [
        ("joined", vec!["after the join"]),
        ("invited", vec!["after the join", "after the invitation"]),
        ("shared", vec!["after the join", "after the invitation", "before"]),
        ("world_readable", vec!["after the join", "after the invitation", "before"]),
        ("nonsense", vec!["after the join", "after the invitation", "before"]),
    ] {
        let bob = server.register(&format!("bob-{visibility}")).await;
        let content = json!({ "history_visibility": visibility });
        let initial = json!([{ "type": "m.room.history_visibility", "content": content }]);
        let room = alice.create_room(&json!({ "initial_state": initial })).await;
        alice.send(&room, "before").await;
        alice.invite(&room, &bob).await;
        alice.send(&room, "after the invitation").await;
        if visibility != "world_readable" {
            refused(page(&bob, &room, "dir=b").await, 403, "M_FORBIDDEN");
        }
        bob.join(&room).await;
        alice.send(&room, "after the join").await;
        let seen = good(page(&bob, &room, "dir=b&limit=100").await);
        assert_eq!(bodies(&seen["chunk"]), wanted, "{visibility}");
        bob.leave(&room).await;
        alice.send(&room, "after the leave").await;
        let seen = good(page(&bob, &room, "dir=b&limit=100").await);
        assert_eq!(bodies(&seen["chunk"]).contains(&"after the leave"), visibility == "world_readable", "{visibility}");
    }
}
