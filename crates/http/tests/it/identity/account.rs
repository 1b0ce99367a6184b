//! <https://spec.matrix.org/v1.19/identity-service-api/#authentication>

use http::Method;
use serde_json::{Value, json};

use super::{Scene, errcode, openid};

const REGISTER: &str = "/_matrix/identity/v2/account/register";

#[tokio::test]
async fn versions_and_ping_answer_everybody() {
    let scene = Scene::new().await;
    let (status, body) = scene.server.get("/_matrix/identity/versions").await;
    assert_eq!(status, 200);
    let versions = body["versions"].as_array().unwrap();
    assert!(versions.contains(&json!("v1.1")) && versions.contains(&json!("v1.19")), "{body}");
    assert_eq!(scene.server.get("/_matrix/identity/v2").await, (200, json!({})));
}

#[tokio::test]
async fn an_openid_token_becomes_an_access_token() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    assert_eq!(alice.get("/account").await, (200, json!({ "user_id": "@alice:localhost" })));
    assert_ne!(scene.token(&alice.user).await, alice.token, "each registration has a token of its own");
}

#[tokio::test]
async fn an_openid_token_that_the_homeserver_does_not_know_is_refused() {
    let scene = Scene::new().await;
    let mut body = openid(&scene.server.register("alice").await).await;
    body["access_token"] = "made up".into();
    let (status, answer) = scene.server.post(REGISTER, &body).await;
    assert_eq!((status, errcode(&answer)), (401, "M_UNAUTHORIZED"));
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_a_registration_is_named() {
    let scene = Scene::new().await;
    let body = openid(&scene.server.register("alice").await).await;
    for key in ["access_token", "token_type", "matrix_server_name", "expires_in"] {
        let mut less = body.clone();
        less.as_object_mut().unwrap().remove(key);
        let (status, answer) = scene.server.post(REGISTER, &less).await;
        assert_eq!((status, errcode(&answer)), (400, "M_MISSING_PARAMS"), "{key}");
        assert!(answer["error"].as_str().unwrap().contains(key), "{answer}");
    }
    for (key, value) in [
        ("access_token", json!(7)),
        ("access_token", json!("x".repeat(10_000))),
        ("matrix_server_name", json!("not a name")),
        ("matrix_server_name", json!("a.example/path")),
        ("matrix_server_name", json!("user:password@a.example")),
        ("token_type", json!("Basic")),
        ("expires_in", json!("soon")),
    ] {
        let mut wrong = body.clone();
        wrong[key] = value;
        let (status, answer) = scene.server.post(REGISTER, &wrong).await;
        assert_eq!((status, errcode(&answer)), (400, "M_INVALID_PARAM"), "{wrong}");
    }
}

#[tokio::test]
async fn a_homeserver_at_a_private_address_is_not_asked() {
    let scene = Scene::new().await;
    for name in ["127.0.0.1:1", "10.0.0.1", "[::1]:8448", "169.254.169.254:80"] {
        let body = json!({ "access_token": "x", "token_type": "Bearer", "matrix_server_name": name, "expires_in": 1 });
        let (status, answer) = scene.server.post(REGISTER, &body).await;
        assert_eq!((status, errcode(&answer)), (400, "M_CONNECTION_FAILED"), "{name}");
        // What can be reached from here is not told.
        assert_eq!(answer["error"], "the homeserver can not be asked at the moment");
    }
}

#[tokio::test]
async fn without_a_good_access_token_the_answer_is_unauthorized() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    for (method, path) in [
        (Method::GET, "/account"),
        (Method::GET, "/hash_details"),
        (Method::POST, "/lookup"),
        (Method::POST, "/terms"),
        (Method::POST, "/store-invite"),
        (Method::POST, "/sign-ed25519"),
        (Method::POST, "/validate/email/requestToken"),
        (Method::POST, "/validate/email/submitToken"),
        (Method::POST, "/validate/msisdn/requestToken"),
        (Method::POST, "/validate/msisdn/submitToken"),
        (Method::GET, "/3pid/getValidated3pid"),
        (Method::POST, "/3pid/bind"),
        (Method::POST, "/3pid/unbind"),
        (Method::POST, "/account/logout"),
    ] {
        let full = format!("/_matrix/identity/v2{path}");
        let body = json!({});
        let body: Option<&Value> = (method == Method::POST).then_some(&body);
        let (status, answer) = scene.server.client().call(method.clone(), &full, "", body).await;
        assert_eq!((status, errcode(&answer)), (401, "M_UNAUTHORIZED"), "{path}");
        // A token of the homeserver is none of the identity server.
        let (status, answer) = scene.server.client().call(method.clone(), &full, &alice.user.token, body).await;
        let unknown = if path == "/account/logout" { "M_UNKNOWN_TOKEN" } else { "M_UNAUTHORIZED" };
        assert_eq!((status, errcode(&answer)), (401, unknown), "{path}");
    }
}

#[tokio::test]
async fn an_access_token_may_stand_in_the_query_as_up_to_version_1_19() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let path = format!("/_matrix/identity/v2/hash_details?access_token={}", alice.token);
    let (status, body) = scene.server.get(&path).await;
    assert_eq!(status, 200, "Synapse asks so: {body}");
    let (status, body) = scene.server.get("/_matrix/identity/v2/hash_details?access_token=").await;
    assert_eq!((status, errcode(&body)), (401, "M_UNAUTHORIZED"));
    // A header that is there is the one that counts.
    let (status, _) = scene.server.client().call(Method::GET, &path, "wrong", None).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn an_access_token_of_the_identity_server_is_none_of_the_homeserver() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let whoami = "/_matrix/client/v3/account/whoami";
    let (status, _) = scene.server.client().call(Method::GET, whoami, &alice.token, None).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn logging_out_ends_one_token() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let other = scene.token(&alice.user).await;
    let path = "/_matrix/identity/v2/account/logout";
    // Without a body, as the specification allows here alone.
    let (status, body) = scene.server.client().call(Method::POST, path, &alice.token, None).await;
    assert_eq!((status, body), (200, json!({})));
    let (status, body) = alice.get("/account").await;
    assert_eq!((status, errcode(&body)), (401, "M_UNAUTHORIZED"));
    let (status, body) = scene.server.client().call(Method::POST, path, &alice.token, None).await;
    assert_eq!((status, errcode(&body)), (401, "M_UNKNOWN_TOKEN"));
    let (status, _) = scene.server.client().call(Method::GET, "/_matrix/identity/v2/account", &other, None).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn browsers_may_call_from_anywhere() {
    let scene = Scene::new().await;
    let path = "/_matrix/identity/v2/lookup";
    let preflight = scene.server.client().raw(Method::OPTIONS, path, &[("origin", "https://app.example")], "").await;
    assert_eq!(preflight.status, 200);
    let refused = scene.server.client().raw(Method::POST, path, &[], "{}").await;
    for answer in [preflight, refused] {
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        assert!(answer.header("access-control-allow-headers").contains("Authorization"));
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_unrecognized() {
    let scene = Scene::new().await;
    let (status, body) = scene.server.get("/_matrix/identity/v2/nothing").await;
    assert_eq!((status, errcode(&body)), (404, "M_UNRECOGNIZED"));
    let (status, body) = scene.server.get("/_matrix/identity/v2/validate/pigeon/submitToken").await;
    assert_eq!((status, errcode(&body)), (404, "M_UNRECOGNIZED"));
    let (status, body) = scene.server.get("/_matrix/identity/v2/lookup").await;
    assert_eq!((status, errcode(&body)), (405, "M_UNRECOGNIZED"));
    let (status, body) = scene.server.get("/_matrix/identity/api/v1").await;
    assert_eq!((status, errcode(&body)), (404, "M_UNRECOGNIZED"), "v1 is no longer part of the specification");
}
