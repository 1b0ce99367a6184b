//! Events that can not be.

use http::Method;
use roost_testkit::User;
use serde_json::json;

use super::{Scene, code};

/// Numbers that canonical JSON can not hold.
const NUMBERS: [&str; 6] = ["1.5", "1e3", "9007199254740992", "-9007199254740992", "1e400", "-0.0"];

#[tokio::test]
async fn an_event_beyond_64_kib_is_refused_and_nothing_is_written() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    let large = json!({ "body": "x".repeat(66_000), "msgtype": "m.text" }).to_string();
    for below in [&["send", "m.room.message", "large"][..], &["state", "m.room.topic", ""]] {
        let answer = scene.raw(Method::PUT, &User::room_path(&scene.room, below), large.as_bytes()).await;
        assert_eq!(code(&answer), (413, "M_TOO_LARGE".to_owned()), "{below:?}");
    }
    let initial_state =
        json!({ "initial_state": [{ "type": "m.room.topic", "content": { "topic": "x".repeat(66_000) } }] });
    let answer = scene.raw(Method::POST, "/_matrix/client/v3/createRoom", initial_state.to_string().as_bytes()).await;
    assert_eq!(code(&answer).1, "M_TOO_LARGE");
    assert_eq!(scene.everything().await, before, "a room that can not be created leaves nothing behind");
}

#[tokio::test]
async fn an_event_type_or_state_key_beyond_255_bytes_is_refused() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    let long = "x".repeat(256);
    for below in [&["send", &long, "long"][..], &["state", &long, ""], &["state", "org.example.test", &long]] {
        let answer = scene.raw(Method::PUT, &User::room_path(&scene.room, below), b"{}").await;
        let (status, errcode) = code(&answer);
        assert!((400..500).contains(&status), "{below:?}: {status} {errcode}");
    }
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn numbers_beyond_canonical_json_are_refused_in_rooms_of_version_6_and_later() {
    let scene = Scene::new().await;
    for version in ["6", "9", "10", "11", "12"] {
        let room = scene.alice.create_room(&json!({ "room_version": version })).await;
        for (at, number) in NUMBERS.iter().enumerate() {
            let content = format!(r#"{{"body":"x","msgtype":"m.text","deep":[{{"number":{number}}}]}}"#);
            for below in [&["send", "m.room.message", &format!("n{at}")][..], &["state", "org.example.test", ""]] {
                let answer = scene.raw(Method::PUT, &User::room_path(&room, below), content.as_bytes()).await;
                assert_eq!(code(&answer), (400, "M_BAD_JSON".to_owned()), "version {version}: {number} in {below:?}");
            }
        }
        let fine =
            format!(r#"{{"body":"x","msgtype":"m.text","least":{},"most":{}}}"#, 1 - (1_i64 << 53), (1_i64 << 53) - 1);
        let path = User::room_path(&room, &["send", "m.room.message", "fine"]);
        assert_eq!(scene.raw(Method::PUT, &path, fine.as_bytes()).await.status, 200, "version {version}");
    }
}

#[tokio::test]
async fn older_rooms_take_any_number() {
    let scene = Scene::new().await;
    for version in ["1", "5"] {
        let room = scene.alice.create_room(&json!({ "room_version": version })).await;
        let content = br#"{"body":"x","msgtype":"m.text","number":1.5,"large":9007199254740993}"#;
        let path = User::room_path(&room, &["send", "m.room.message", "number"]);
        let answer = scene.raw(Method::PUT, &path, content).await;
        assert_eq!(answer.status, 200, "version {version}: {:?}", answer.body);
    }
}

#[tokio::test]
async fn half_of_a_surrogate_pair_is_refused() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    let path = User::room_path(&scene.room, &["send", "m.room.message", "half"]);
    let answer = scene.raw(Method::PUT, &path, br#"{"body":"\ud800","msgtype":"m.text"}"#).await;
    assert_eq!(code(&answer), (400, "M_BAD_JSON".to_owned()));
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn a_refused_event_does_not_use_up_its_transaction_id() {
    let scene = Scene::new().await;
    let path = User::room_path(&scene.room, &["send", "m.room.message", "again"]);
    assert_eq!(scene.raw(Method::PUT, &path, br#"{"number":1.5}"#).await.status, 400);
    assert_eq!(scene.raw(Method::PUT, &path, br#"{"msgtype":"m.text","body":"x"}"#).await.status, 200);
}
