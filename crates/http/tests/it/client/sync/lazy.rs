//! Lazily loaded members.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members>

use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::{filtered, joined, members, next, said};

fn lazy(limit: usize) -> String {
    filtered(&json!({"room": {"state": {"lazy_load_members": true}, "timeline": {"limit": limit}}}))
}

/// A room with eight members, in the order in which they joined.
async fn crowd() -> (Server, Vec<User>, String) {
    let server = Server::start().await;
    let mut users = vec![server.register("u0").await];
    let room = users[0].create_room(&json!({"preset": "public_chat"})).await;
    for name in ["u1", "u2", "u3", "u4", "u5", "u6", "u7"] {
        let user = server.register(name).await;
        user.join(&room).await;
        users.push(user);
    }
    (server, users, room)
}

fn shown<'a>(answer: &'a Value, room: &str) -> Vec<&'a str> {
    members(&joined(answer, room)["state"])
}

#[tokio::test]
async fn the_first_sync_has_the_senders_the_heroes_and_the_user() {
    let (_server, users, room) = crowd().await;
    users[6].send(&room, "hello").await;
    let answer = users[7].sync_with(&lazy(1)).await;
    assert_eq!(said(joined(&answer, &room)), ["hello"]);
    let expected: Vec<_> = [0, 1, 2, 3, 4, 6, 7].iter().map(|no| users[*no].id.as_str()).collect();
    assert_eq!(shown(&answer, &room), expected);
}

#[tokio::test]
async fn a_member_who_was_sent_is_not_sent_again_unless_asked_for() {
    let (_server, users, room) = crowd().await;
    let reader = &users[7];
    let first = reader.sync_with(&lazy(1)).await;
    users[5].send(&room, "one").await;
    let second = reader.sync_with(&format!("{}&{}", next(&first), lazy(10))).await;
    assert_eq!(shown(&second, &room), [users[5].id.as_str()]);
    // The answer got lost: the client asks again with its old token.
    let again = reader.sync_with(&format!("{}&{}", next(&first), lazy(10))).await;
    assert_eq!(shown(&again, &room), [users[5].id.as_str()]);
    users[5].send(&room, "two").await;
    let third = reader.sync_with(&format!("{}&{}", next(&second), lazy(10))).await;
    assert_eq!(said(joined(&third, &room)), ["two"]);
    assert_eq!(shown(&third, &room), Vec::<&str>::new());
    let redundant =
        filtered(&json!({"room": {"state": {"lazy_load_members": true, "include_redundant_members": true}}}));
    let third = reader.sync_with(&format!("{}&{redundant}", next(&second))).await;
    assert_eq!(shown(&third, &room), [users[5].id.as_str()]);
}

#[tokio::test]
async fn a_client_that_begins_anew_is_sent_everything_again() {
    let (_server, users, room) = crowd().await;
    let reader = &users[7];
    let first = reader.sync_with(&lazy(1)).await;
    users[5].send(&room, "one").await;
    reader.sync_with(&format!("{}&{}", next(&first), lazy(10))).await;
    let anew = reader.sync_with(&lazy(1)).await;
    assert!(shown(&anew, &room).contains(&users[5].id.as_str()));
    users[5].send(&room, "two").await;
    let after = reader.sync_with(&format!("{}&{}", next(&anew), lazy(10))).await;
    assert_eq!(shown(&after, &room), Vec::<&str>::new());
}

#[tokio::test]
async fn memberships_that_changed_in_a_gap_are_sent_whoever_spoke() {
    let (_server, users, room) = crowd().await;
    let reader = &users[7];
    let first = reader.sync_with(&lazy(1)).await;
    users[3].leave(&room).await;
    for text in ["1", "2", "3"] {
        users[0].send(&room, text).await;
    }
    let second = reader.sync_with(&format!("{}&{}", next(&first), lazy(2))).await;
    assert_eq!(said(joined(&second, &room)), ["2", "3"]);
    assert_eq!(joined(&second, &room)["timeline"]["limited"], true);
    assert!(shown(&second, &room).contains(&users[3].id.as_str()));
}

#[tokio::test]
async fn with_state_after_the_members_are_those_after_the_timeline() {
    let (_server, users, room) = crowd().await;
    let reader = &users[7];
    let first = reader.sync_with(&format!("{}&use_state_after=true", lazy(1))).await;
    assert!(members(&joined(&first, &room)["state_after"]).contains(&reader.id.as_str()));
    users[6].leave(&room).await;
    users[5].send(&room, "hello").await;
    let second = reader.sync_with(&format!("{}&{}&use_state_after=true", next(&first), lazy(10))).await;
    let state = &joined(&second, &room)["state_after"];
    assert_eq!(members(state), [users[5].id.as_str(), users[6].id.as_str()]);
}
