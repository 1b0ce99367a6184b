//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers>

use std::collections::BTreeSet;

use roost_testkit::{Server, User, segment};
use serde_json::{Value, json};

use super::{good, public_room, refused};

fn names(answer: &Value) -> BTreeSet<&str> {
    answer["chunk"].as_array().unwrap().iter().map(|event| event["state_key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn members_are_listed_by_their_membership() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    bob.leave(&room).await;
    alice.invite(&room, &carol).await;
    let (a, b, c) = (alice.id.as_str(), bob.id.as_str(), carol.id.as_str());
    for (query, wanted) in [
        ("", vec![a, b, c]),
        ("?membership=join", vec![a]),
        ("?membership=leave", vec![b]),
        ("?not_membership=leave", vec![a, c]),
        ("?membership=leave&not_membership=join", vec![b, c]),
        ("?membership=ban", vec![]),
    ] {
        let answer = good(alice.get(&(User::room_path(&room, &["members"]) + query)).await);
        assert_eq!(names(&answer), wanted.into_iter().collect(), "{query}");
    }
    refused(alice.get(&(User::room_path(&room, &["members"]) + "?membership=x")).await, 400, "M_INVALID_PARAM");
    refused(alice.get(&(User::room_path(&room, &["members"]) + "?at=x")).await, 400, "M_INVALID_PARAM");
    refused(carol.get(&User::room_path(&room, &["members"])).await, 403, "M_FORBIDDEN");
}

#[tokio::test]
async fn members_of_a_moment_are_listed_and_those_of_when_one_left() {
    let server = Server::start().await;
    let (alice, bob, carol) =
        (server.register("alice").await, server.register("bob").await, server.register("carol").await);
    let room = public_room(&alice).await;
    bob.join(&room).await;
    let page = good(alice.get(&(User::room_path(&room, &["messages"]) + "?dir=b&limit=1")).await);
    let at = page["start"].as_str().unwrap();
    bob.leave(&room).await;
    carol.join(&room).await;
    let path = User::room_path(&room, &["members"]);
    let then = good(alice.get(&format!("{path}?membership=join&at={}", segment(at))).await);
    assert_eq!(names(&then), [alice.id.as_str(), bob.id.as_str()].into());
    assert_eq!(names(&good(bob.get(&format!("{path}?membership=join")).await)), [alice.id.as_str()].into());
    assert_eq!(
        names(&good(alice.get(&format!("{path}?membership=join")).await)),
        [alice.id.as_str(), carol.id.as_str()].into()
    );
}

#[tokio::test]
async fn joined_members_are_told_to_members_with_their_profiles() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    let path = User::room_path(&room, &["joined_members"]);
    refused(bob.get(&path).await, 403, "M_FORBIDDEN");
    bob.join(&room).await;
    let own = json!({ "membership": "join", "displayname": "Bob", "avatar_url": "mxc://localhost/b" });
    bob.set_state(&room, "m.room.member", &bob.id, &own).await;
    let joined = good(alice.get(&path).await);
    assert_eq!(joined["joined"][&bob.id], json!({ "display_name": "Bob", "avatar_url": "mxc://localhost/b" }));
    assert_eq!(joined["joined"].as_object().unwrap().len(), 2);
    assert_eq!(joined["joined"][&alice.id].get("avatar_url"), None, "an avatar that is not there is left out");
    bob.leave(&room).await;
    refused(bob.get(&path).await, 403, "M_FORBIDDEN");
}

#[tokio::test]
async fn ones_own_rooms_are_listed() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (first, second) = (public_room(&alice).await, public_room(&alice).await);
    let rooms = good(alice.get("/_matrix/client/v3/joined_rooms").await);
    let rooms: BTreeSet<_> = rooms["joined_rooms"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(rooms, [first.as_str(), second.as_str()].into());
}
