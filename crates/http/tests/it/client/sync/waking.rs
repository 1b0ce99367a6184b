//! What ends the wait of a client that has heard everything.

use std::time::Duration;

use http::Method;
use roost_testkit::{User, segment};
use serde_json::{Value, json};

use super::{next, two};

#[tokio::test]
async fn every_change_that_a_client_is_told_of_ends_its_wait() {
    let (server, alice, bob, room) = two().await;
    let mine = format!("/_matrix/client/v3/user/{}", segment(&bob.id));
    let here = format!("{mine}/rooms/{}", segment(&room));
    let rules = "/_matrix/client/v3/pushrules/global";
    let said = alice.send(&room, "first").await;
    let rule = json!({ "pattern": "cake", "actions": ["notify"] });
    let (put, post, delete) = (Method::PUT, Method::POST, Method::DELETE);
    let other = alice.create_room(&json!({})).await;
    let changes: Vec<(&User, &Method, String, Value)> = vec![
        (&alice, &put, User::room_path(&room, &["send", "m.room.message", "t"]), json!({ "body": "wake up" })),
        (&alice, &put, User::room_path(&room, &["state", "m.room.topic", ""]), json!({ "topic": "waking" })),
        (&alice, &put, User::room_path(&room, &["redact", &said, "r"]), json!({})),
        (&alice, &put, User::room_path(&room, &["typing", &alice.id]), json!({ "typing": true, "timeout": 20_000 })),
        (&alice, &put, User::room_path(&room, &["typing", &alice.id]), json!({ "typing": false })),
        (&alice, &post, User::room_path(&room, &["receipt", "m.read", &said]), json!({})),
        (&alice, &put, format!("/_matrix/client/v3/profile/{}/displayname", alice.id), json!({ "displayname": "A" })),
        (&alice, &post, User::room_path(&other, &["invite"]), json!({ "user_id": bob.id })),
        (&alice, &post, User::room_path(&other, &["kick"]), json!({ "user_id": bob.id })),
        (&bob, &put, format!("{mine}/account_data/org.example.a"), json!({ "a": 1 })),
        (&bob, &put, format!("{here}/account_data/org.example.a"), json!({ "a": 1 })),
        (&bob, &put, format!("{here}/tags/u.work"), json!({})),
        (&bob, &delete, format!("{here}/tags/u.work"), json!({})),
        (&bob, &post, User::room_path(&room, &["read_markers"]), json!({ "m.fully_read": said })),
        (&bob, &put, format!("{rules}/content/cake"), rule),
        (&bob, &put, format!("{rules}/content/cake/enabled"), json!({ "enabled": false })),
        (&bob, &put, format!("{rules}/content/cake/actions"), json!({ "actions": [] })),
        (&bob, &delete, format!("{rules}/content/cake"), json!({})),
        (&bob, &post, User::room_path(&room, &["leave"]), json!({})),
    ];
    let clock = &server.house().world.clock;
    let mut latest = bob.sync(None).await;
    for (who, method, path, body) in changes {
        let query = format!("{}&timeout=20000", next(&latest));
        let begun = clock.monotonic();
        let (answer, ()) = tokio::join!(bob.sync_with(&query), async {
            clock.sleep(Duration::from_millis(60)).await;
            let (status, answer) = who.request(method.clone(), &path, Some(&body)).await;
            assert_eq!(status, 200, "{method} {path}: {answer}");
        });
        let waited = clock.monotonic().saturating_sub(begun);
        assert!(waited < Duration::from_secs(10), "{method} {path} woke nobody");
        assert!(waited >= Duration::from_millis(60), "{method} {path}: there was something to tell already");
        assert_ne!(answer["next_batch"], latest["next_batch"], "{method} {path}");
        latest = answer;
    }
}
