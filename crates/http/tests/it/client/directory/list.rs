//! <https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>

use roost_testkit::{Server, segment};
use serde_json::{Value, json};

use crate::client::rooms::{good, refused};

const ROOMS: &str = "/_matrix/client/v3/publicRooms";

fn names(page: &Value) -> Vec<&str> {
    page["chunk"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn published_rooms_are_listed_largest_first_and_page_by_page() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let mut large = String::new();
    for name in ["a", "b", "c", "d", "large"] {
        large = alice.create_room(&json!({ "visibility": "public", "name": name })).await;
    }
    alice.create_room(&json!({ "preset": "public_chat", "name": "not published" })).await;
    bob.join(&large).await;

    let mut pages = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = good(server.get(&format!("{ROOMS}{query}")).await);
        assert_eq!(page["total_room_count_estimate"], 5);
        let next = page["next_batch"].as_str().map(segment);
        pages.push(page);
        match next {
            Some(next) => query = format!("?limit=2&since={next}"),
            None => break,
        }
    }
    let all: Vec<_> = pages.iter().flat_map(names).collect();
    assert_eq!(pages.len(), 3);
    assert_eq!(all.first(), Some(&"large"));
    let mut sorted = all.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["a", "b", "c", "d", "large"]);
    assert!(pages[0].get("prev_batch").is_none());
    let back = segment(pages[1]["prev_batch"].as_str().unwrap());
    let page = good(server.get(&format!("{ROOMS}?limit=2&since={back}")).await);
    assert_eq!(names(&page), names(&pages[0]));

    let room = &pages[0]["chunk"][0];
    assert_eq!((&room["room_id"], &room["num_joined_members"]), (&json!(large), &json!(2)));
    assert_eq!((&room["world_readable"], &room["guest_can_join"]), (&json!(false), &json!(false)));
    assert_eq!(room["join_rule"], "public");
}

#[tokio::test]
async fn the_list_is_searched_by_text_and_type() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let publish = async |name: &str, topic: &str, kind: Option<&str>| {
        let creation = kind.map_or_else(|| json!({}), |kind| json!({ "type": kind }));
        alice
            .create_room(&json!({ "visibility": "public", "name": name, "topic": topic, "creation_content": creation }))
            .await;
    };
    publish("Cheese", "Tasty", None).await;
    publish("Wine", "goes with CHEESE", Some("m.space")).await;
    publish("Other", "", None).await;
    for (filter, wanted) in [
        (json!({ "generic_search_term": "cheese" }), vec!["Cheese", "Wine"]),
        (json!({ "generic_search_term": "" }), vec!["Cheese", "Other", "Wine"]),
        (json!({ "room_types": ["m.space"] }), vec!["Wine"]),
        (json!({ "room_types": [null] }), vec!["Cheese", "Other"]),
        (json!({ "room_types": [null], "generic_search_term": "cheese" }), vec!["Cheese"]),
        (json!({ "room_types": null }), vec!["Cheese", "Other", "Wine"]),
    ] {
        let page = good(alice.post(ROOMS, &json!({ "filter": filter, "limit": 10 })).await);
        let mut found = names(&page);
        found.sort_unstable();
        assert_eq!(found, wanted, "{filter}");
    }
    refused(server.post(ROOMS, &json!({})).await, 401, "M_MISSING_TOKEN");
    refused(alice.post(ROOMS, &json!({ "limit": "x" })).await, 400, "M_BAD_JSON");
    refused(alice.post(ROOMS, &json!({ "since": "x" })).await, 400, "M_INVALID_PARAM");
    let long = json!({ "filter": { "generic_search_term": "x".repeat(1025) } });
    refused(alice.post(ROOMS, &long).await, 400, "M_INVALID_PARAM");
    refused(alice.post(ROOMS, &json!({ "filter": { "room_types": vec!["x"; 101] } })).await, 400, "M_INVALID_PARAM");
    refused(server.get(&format!("{ROOMS}?since=x")).await, 400, "M_INVALID_PARAM");
    refused(server.get(&format!("{ROOMS}?server=elsewhere.org")).await, 404, "M_NOT_FOUND");
    good(server.get(&format!("{ROOMS}?server=localhost")).await);
}

#[tokio::test]
async fn the_list_can_be_kept_for_those_who_are_logged_in() {
    let server = Server::with(|config| config.directory.require_authentication = true).await;
    let alice = server.register("alice").await;
    refused(server.get(ROOMS).await, 401, "M_MISSING_TOKEN");
    good(alice.get(ROOMS).await);
}

#[tokio::test]
async fn a_room_is_published_and_hidden_by_those_who_may() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await;
    let path = format!("/_matrix/client/v3/directory/list/room/{}", segment(&room));
    assert_eq!(good(server.get(&path).await), json!({ "visibility": "private" }));
    bob.join(&room).await;
    refused(bob.put(&path, &json!({ "visibility": "public" })).await, 403, "M_FORBIDDEN");
    good(alice.put(&path, &json!({})).await);
    assert_eq!(good(server.get(&path).await), json!({ "visibility": "public" }));
    good(alice.put(&path, &json!({ "visibility": "private" })).await);
    assert_eq!(good(server.get(ROOMS).await)["chunk"], json!([]));
    refused(alice.put(&path, &json!({ "visibility": "dim" })).await, 400, "M_BAD_JSON");
    let unknown = "/_matrix/client/v3/directory/list/room/!none%3Alocalhost";
    refused(server.get(unknown).await, 404, "M_NOT_FOUND");
    refused(alice.put(unknown, &json!({})).await, 404, "M_NOT_FOUND");
}
