//! Bodies that are not JSON, or not the JSON that is wanted.

use http::Method;
use roost_testkit::User;
use serde_json::json;

use super::{Scene, code};

/// Endpoints with a body, of every kind of reader that there is.
fn endpoints(room: &str) -> Vec<(Method, String)> {
    let room = |below: &[&str]| User::room_path(room, below);
    let client = |path: &str| format!("/_matrix/client/v3/{path}");
    vec![
        (Method::POST, client("register")),
        (Method::POST, client("login")),
        (Method::POST, client("refresh")),
        (Method::POST, client("createRoom")),
        (Method::POST, client("account/password")),
        (Method::POST, client("account/deactivate")),
        (Method::POST, client("delete_devices")),
        (Method::PUT, client("profile/@alice:localhost/displayname")),
        (Method::PUT, client("user/@alice:localhost/account_data/org.example.test")),
        (Method::POST, client("user/@alice:localhost/filter")),
        (Method::POST, client("publicRooms")),
        (Method::POST, client("join/!nowhere:localhost")),
        (Method::PUT, room(&["send", "m.room.message", "bad"])),
        (Method::PUT, room(&["state", "m.room.topic", ""])),
        (Method::PUT, room(&["redact", "$nothing", "bad"])),
        (Method::POST, room(&["invite"])),
        (Method::POST, room(&["kick"])),
        (Method::POST, room(&["ban"])),
        (Method::POST, room(&["leave"])),
        (Method::PUT, room(&["typing", "@alice:localhost"])),
        (Method::POST, room(&["read_markers"])),
        (Method::PUT, client("directory/room/%23new:localhost")),
    ]
}

#[tokio::test]
async fn what_is_not_json_is_refused_as_such_everywhere() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    for (method, path) in endpoints(&scene.room) {
        for body in
            [&b"{"[..], b"nonsense", b"{\"a\":}", b"{} {}", b"{\"a\":\"\xff\xfe\"}", b"\xef\xbb\xbf{}", b"{'a':1}"]
        {
            let answer = scene.raw(method.clone(), &path, body).await;
            let what = format!("{method} {path} with {}", String::from_utf8_lossy(body));
            assert_eq!(code(&answer), (400, "M_NOT_JSON".to_owned()), "{what}");
        }
    }
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn json_that_is_no_object_or_too_deep_is_refused_everywhere() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes();
    for (method, path) in endpoints(&scene.room) {
        for body in [b"[]".to_vec(), b"\"text\"".to_vec(), b"7".to_vec(), b"null".to_vec(), deep(100), deep(100_000)] {
            let answer = scene.raw(method.clone(), &path, &body).await;
            let what = format!("{method} {path} with {} bytes", body.len());
            assert_eq!(code(&answer), (400, "M_BAD_JSON".to_owned()), "{what}");
        }
    }
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn wrong_types_and_missing_keys_are_refused() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    let room = |below: &[&str]| User::room_path(&scene.room, below);
    let client = |path: &str| format!("/_matrix/client/v3/{path}");
    for (method, path, body) in [
        (Method::POST, client("register"), json!({ "username": 7 })),
        (Method::POST, client("register"), json!({ "auth": "m.login.dummy" })),
        (Method::POST, client("login"), json!({ "type": 7 })),
        (Method::POST, client("login"), json!({ "type": "m.login.password", "identifier": [], "password": "x" })),
        (Method::POST, client("refresh"), json!({})),
        (Method::POST, client("createRoom"), json!({ "preset": 7 })),
        (Method::POST, client("createRoom"), json!({ "invite": "@bob:localhost" })),
        (Method::POST, client("createRoom"), json!({ "initial_state": [{ "content": {} }] })),
        (Method::PUT, client("profile/@alice:localhost/displayname"), json!({ "displayname": { "a": 1 } })),
        (Method::POST, client("user/@alice:localhost/filter"), json!({ "room": { "timeline": { "limit": "ten" } } })),
        (Method::POST, room(&["invite"]), json!({})),
        (Method::POST, room(&["invite"]), json!({ "user_id": 7 })),
        (Method::POST, room(&["kick"]), json!({ "reason": "no user" })),
        (Method::POST, room(&["ban"]), json!({ "user_id": ["@bob:localhost"] })),
        (Method::PUT, room(&["typing", "@alice:localhost"]), json!({ "typing": "yes" })),
        (Method::PUT, client("directory/room/%23new:localhost"), json!({})),
    ] {
        let answer = scene.raw(method.clone(), &path, body.to_string().as_bytes()).await;
        assert_eq!(code(&answer), (400, "M_BAD_JSON".to_owned()), "{method} {path} with {body}");
    }
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn an_empty_body_stands_for_an_empty_object() {
    let scene = Scene::new().await;
    let room = |below: &str| User::room_path(&scene.room, &[below]);
    for path in [room("join"), room("leave"), room("forget"), "/_matrix/client/v3/logout".to_owned()] {
        let answer = scene.raw(Method::POST, &path, b"").await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let scene = Scene::new().await;
    let authorization = format!("Bearer {}", scene.alice.token);
    for (number, content_type) in ["text/plain", "application/x-www-form-urlencoded", "nonsense"].iter().enumerate() {
        let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
        let path = User::room_path(&scene.room, &["send", "m.room.message", &format!("typed-{number}")]);
        let answer =
            scene.server.client().raw(Method::PUT, &path, &headers, r#"{"msgtype":"m.text","body":"x"}"#).await;
        assert_eq!(answer.status, 200, "{content_type}");
    }
}

#[tokio::test]
async fn unknown_members_of_a_body_are_ignored() {
    let scene = Scene::new().await;
    let body = json!({ "name": "A room", "org.example.unknown": { "a": [1, 2.5, null] } });
    let answer = scene.raw(Method::POST, "/_matrix/client/v3/createRoom", body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
}

#[tokio::test]
async fn a_body_larger_than_the_limit_is_refused_before_it_is_read() {
    let scene = Scene::new().await;
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20));
    for (method, path) in endpoints(&scene.room) {
        let answer = scene.raw(method.clone(), &path, body.as_bytes()).await;
        assert_eq!(code(&answer), (413, "M_TOO_LARGE".to_owned()), "{method} {path}");
    }
}
