//! Parameters of path and query.

use roost_testkit::User;

use super::Scene;

#[tokio::test]
async fn a_missing_parameter_is_named() {
    let scene = Scene::new().await;
    for (path, name) in [
        ("/_matrix/client/v3/register/available".to_owned(), "username"),
        ("/_matrix/client/v1/register/m.login.registration_token/validity".to_owned(), "token"),
        (User::room_path(&scene.room, &["messages"]), "dir"),
    ] {
        let (status, body) = scene.alice.get(&path).await;
        assert_eq!((status, body["errcode"].as_str()), (400, Some("M_MISSING_PARAM")), "{path}: {body}");
        assert!(body["error"].as_str().unwrap().contains(name), "{body}");
    }
}

#[tokio::test]
async fn an_invalid_parameter_is_refused() {
    let scene = Scene::new().await;
    let room = |below: &[&str]| User::room_path(&scene.room, below);
    for path in [
        room(&["messages"]) + "?dir=sideways",
        room(&["messages"]) + "?dir=b&limit=many",
        room(&["messages"]) + "?dir=b&limit=-1",
        room(&["messages"]) + "?dir=b&from=nonsense",
        room(&["messages"]) + "?dir=b&filter=nonsense",
        room(&["members"]) + "?at=nonsense",
        "/_matrix/client/v3/rooms/not-a-room/state".to_owned(),
        "/_matrix/client/v3/rooms/%FF/state".to_owned(),
        "/_matrix/client/v3/rooms/!a:localhost%00/messages?dir=b".to_owned(),
        "/_matrix/client/v3/profile/nobody".to_owned(),
        "/_matrix/client/v3/directory/room/not-an-alias".to_owned(),
        "/_matrix/client/v3/sync?since=nonsense".to_owned(),
        "/_matrix/client/v3/sync?timeout=soon".to_owned(),
        "/_matrix/client/v3/publicRooms?limit=x".to_owned(),
    ] {
        let (status, body) = scene.alice.get(&path).await;
        assert_eq!((status, body["errcode"].as_str()), (400, Some("M_INVALID_PARAM")), "{path}: {body}");
    }
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let scene = Scene::new().await;
    for path in [
        "/_matrix/client/v3/joined_rooms?_cacheBuster=1".to_owned(),
        User::room_path(&scene.room, &["messages"]) + "?dir=b&_cacheBuster=1&x=%FF",
        "/_matrix/client/versions?_cacheBuster=1".to_owned(),
    ] {
        let (status, body) = scene.alice.get(&path).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
}

#[tokio::test]
async fn path_parameters_are_percent_decoded_once() {
    let scene = Scene::new().await;
    let content = serde_json::json!({ "a": 1 });
    for key in ["a/b", "100%25", "ключ", "%2F", "a b+c?d#e", "@alice:localhost"] {
        scene.alice.set_state(&scene.room, "org.example.test", key, &content).await;
        let (_, state) = scene.alice.get(&User::room_path(&scene.room, &["state"])).await;
        let found = state.as_array().unwrap().iter().any(|event| event["state_key"] == key);
        assert!(found, "{key:?} is a state key");
    }
}

#[tokio::test]
async fn the_old_prefix_and_trailing_slashes_are_served() {
    let scene = Scene::new().await;
    let room = roost_testkit::segment(&scene.room);
    for path in [
        format!("/_matrix/client/r0/rooms/{room}/state/m.room.create/"),
        format!("/_matrix/client/v3/rooms/{room}/state/m.room.create/"),
        format!("/_matrix/client/v3/rooms/{room}/state/m.room.create"),
        "/_matrix/client/r0/joined_rooms".to_owned(),
        "/_matrix/client/v3/pushrules/".to_owned(),
    ] {
        let (status, body) = scene.alice.get(&path).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
}
