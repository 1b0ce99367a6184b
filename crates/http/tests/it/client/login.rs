//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login>

use http::Method;
use roost_testkit::Server;
use serde_json::{Value, json};

use super::errcode;

const LOGIN: &str = "/_matrix/client/v3/login";

fn password(user: &str, password: &str) -> Value {
    json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": user }, "password": password })
}

#[tokio::test]
async fn passwords_are_offered() {
    let server = Server::start().await;
    for path in [LOGIN, "/_matrix/client/r0/login"] {
        assert_eq!(server.get(path).await, (200, json!({ "flows": [{ "type": "m.login.password" }] })));
    }
}

#[tokio::test]
async fn users_name_themselves_in_several_ways() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let legacy = |user: &str| json!({ "type": "m.login.password", "user": user, "password": alice.password });
    let requests = [
        password("alice", &alice.password),
        password("@alice:localhost", &alice.password),
        password("Alice", &alice.password),
        legacy("alice"),
        legacy("@alice:localhost"),
    ];
    for request in requests {
        let (status, body) = server.post(LOGIN, &request).await;
        assert_eq!((status, &body["user_id"]), (200, &json!(alice.id)), "{request}");
        for key in ["access_token", "device_id"] {
            assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        }
        assert_eq!((body.get("refresh_token"), body.get("expires_in_ms")), (None, None));
    }
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_name_look_alike() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let mut answers = Vec::new();
    for request in [
        password("alice", "wrong"),
        password("nobody", &alice.password),
        password("@alice:elsewhere.example", &alice.password),
        password("no such name!", &alice.password),
    ] {
        let (status, body) = server.post(LOGIN, &request).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"), "{request}");
        answers.push(body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn addresses_that_nobody_has_are_forbidden() {
    let server = Server::start().await;
    for identifier in [
        json!({ "type": "m.id.thirdparty", "medium": "email", "address": "a@example.org" }),
        json!({ "medium": "email", "address": "a@example.org" }),
        json!({ "type": "m.id.phone", "country": "GB", "phone": "0123" }),
    ] {
        let request = json!({ "type": "m.login.password", "identifier": identifier, "password": "x" });
        let (status, body) = server.post(LOGIN, &request).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"), "{identifier}");
    }
    let legacy = json!({ "type": "m.login.password", "medium": "email", "address": "a@example.org", "password": "x" });
    assert_eq!(server.post(LOGIN, &legacy).await.0, 403);
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::start().await;
    server.register("alice").await;
    let identifier = json!({ "type": "m.id.user", "user": "alice" });
    let cases = [
        (json!({}), "M_BAD_JSON"),
        (json!({ "type": 7 }), "M_BAD_JSON"),
        (json!({ "type": "m.login.token", "token": "x" }), "M_UNKNOWN"),
        (json!({ "type": "org.example.magic" }), "M_UNKNOWN"),
        (json!({ "type": "m.login.password" }), "M_BAD_JSON"),
        (json!({ "type": "m.login.password", "identifier": identifier }), "M_BAD_JSON"),
        (json!({ "type": "m.login.password", "identifier": {}, "password": "x" }), "M_BAD_JSON"),
        (json!({ "type": "m.login.password", "identifier": { "type": "m.id.user" }, "password": "x" }), "M_BAD_JSON"),
        (json!({ "type": "m.login.password", "identifier": { "type": "m.id.magic" }, "password": "x" }), "M_UNKNOWN"),
        (json!({ "type": "m.login.password", "identifier": "alice", "password": "x" }), "M_BAD_JSON"),
        (json!({ "type": "m.login.password", "identifier": identifier, "password": 7 }), "M_BAD_JSON"),
    ];
    for (request, expected) in cases {
        let (status, body) = server.post(LOGIN, &request).await;
        assert_eq!((status, errcode(&body)), (400, expected), "{request}");
    }
    for body in ["", "x", "{\"type\":"] {
        let answer = server.client().raw(Method::POST, LOGIN, &[], body).await;
        let expected = if body.is_empty() { "M_BAD_JSON" } else { "M_NOT_JSON" };
        assert_eq!((answer.status, errcode(&answer.json())), (400, expected), "{body}");
    }
}

#[tokio::test]
async fn a_device_that_comes_back_keeps_its_name_and_loses_its_old_tokens() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let mut request = password("alice", &alice.password);
    request["device_id"] = json!("TEAPOT");
    request["initial_device_display_name"] = json!("Tea");
    let (_, first) = server.post(LOGIN, &request).await;
    request["initial_device_display_name"] = json!("Coffee");
    let (status, second) = server.post(LOGIN, &request).await;
    assert_eq!((status, &second["device_id"]), (200, &json!("TEAPOT")));
    let (status, device) = alice.get("/_matrix/client/v3/devices/TEAPOT").await;
    assert_eq!((status, &device["display_name"]), (200, &json!("Tea")));
    let whoami = |token: &Value| {
        let (client, bearer) = (server.client().clone(), format!("Bearer {}", token.as_str().expect("a token")));
        async move {
            let path = "/_matrix/client/v3/account/whoami";
            client.raw(Method::GET, path, &[("authorization", &bearer)], "").await
        }
    };
    let answer = whoami(&first["access_token"]).await;
    assert_eq!((answer.status, errcode(&answer.json())), (401, "M_UNKNOWN_TOKEN"));
    assert_ne!(answer.json()["soft_logout"], true);
    assert_eq!(whoami(&second["access_token"]).await.json()["device_id"], "TEAPOT");
}

#[tokio::test]
async fn device_ids_have_bounds() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for device_id in ["", &"x".repeat(256)] {
        let mut request = password("alice", &alice.password);
        request["device_id"] = json!(device_id);
        let (status, body) = server.post(LOGIN, &request).await;
        assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    }
}

#[tokio::test]
async fn the_public_base_url_comes_with_the_answer() {
    let server =
        Server::with(|config| config.top.public_base_url = Some("https://matrix.example.org".to_owned())).await;
    let alice = server.register("alice").await;
    let (_, body) = server.post(LOGIN, &password("alice", &alice.password)).await;
    assert_eq!(body["well_known"], json!({ "m.homeserver": { "base_url": "https://matrix.example.org" } }));
}

#[tokio::test]
async fn attempts_at_one_account_are_limited() {
    let server = Server::with(|config| config.rate_limits.enabled = true).await;
    let mut refused = None;
    for _ in 0..200 {
        let request = password("alice", "wrong").to_string();
        let answer = server.client().raw(Method::POST, LOGIN, &[], request).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 403);
    }
    let refused = refused.expect("a limit");
    assert_eq!(errcode(&refused.json()), "M_LIMIT_EXCEEDED");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
}

mod refresh {
    //! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh>

    use super::*;

    const REFRESH: &str = "/_matrix/client/v3/refresh";

    async fn log_in(server: &Server) -> Value {
        let alice = server.register("alice").await;
        let mut request = password("alice", &alice.password);
        request["refresh_token"] = json!(true);
        let (status, body) = server.post(LOGIN, &request).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn whoami(server: &Server, tokens: &Value) -> u16 {
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
        let path = "/_matrix/client/v3/account/whoami";
        server.client().raw(Method::GET, path, &[("authorization", &bearer)], "").await.status
    }

    #[tokio::test]
    async fn a_refresh_token_buys_new_tokens_for_the_same_device() {
        let server = Server::start().await;
        let first = log_in(&server).await;
        let (status, second) = server.post(REFRESH, &json!({ "refresh_token": first["refresh_token"] })).await;
        assert_eq!(status, 200, "{second}");
        for key in ["access_token", "refresh_token"] {
            assert!(second[key].is_string() && second[key] != first[key], "{key}");
        }
        assert!(second["expires_in_ms"].as_u64().is_some_and(|ms| ms > 0));
        assert_eq!(whoami(&server, &second).await, 200);
    }

    #[tokio::test]
    async fn an_expired_token_is_a_soft_logout_and_the_refresh_token_helps() {
        let server = Server::with(|config| config.sessions.access_token_lifetime = 1).await;
        let first = log_in(&server).await;
        assert_eq!(first["expires_in_ms"], 1000);
        roost_testkit::sleep(std::time::Duration::from_millis(1100)).await;
        let bearer = format!("Bearer {}", first["access_token"].as_str().expect("a token"));
        let path = "/_matrix/client/v3/account/whoami";
        let answer = server.client().raw(Method::GET, path, &[("authorization", &bearer)], "").await;
        assert_eq!((answer.status, errcode(&answer.json())), (401, "M_UNKNOWN_TOKEN"));
        assert_eq!(answer.json()["soft_logout"], true);
        let (status, second) = server.post(REFRESH, &json!({ "refresh_token": first["refresh_token"] })).await;
        assert_eq!(status, 200, "{second}");
        assert_eq!(whoami(&server, &second).await, 200);
    }

    #[tokio::test]
    async fn the_old_refresh_token_is_good_until_the_new_tokens_are_used() {
        let server = Server::start().await;
        let first = log_in(&server).await;
        let request = json!({ "refresh_token": first["refresh_token"] });
        assert_eq!(server.post(REFRESH, &request).await.0, 200);
        let (status, second) = server.post(REFRESH, &request).await;
        assert_eq!(status, 200, "{second}");
        assert_eq!(whoami(&server, &second).await, 200);
        let (status, body) = server.post(REFRESH, &request).await;
        assert_eq!((status, errcode(&body)), (401, "M_UNKNOWN_TOKEN"));
        assert_eq!(whoami(&server, &first).await, 401);
    }

    #[tokio::test]
    async fn an_unknown_refresh_token_is_told_so() {
        let server = Server::start().await;
        let (status, body) = server.post(REFRESH, &json!({ "refresh_token": "nonsense" })).await;
        assert_eq!((status, errcode(&body)), (401, "M_UNKNOWN_TOKEN"));
        for request in [json!({}), json!({ "refresh_token": 7 })] {
            let (status, body) = server.post(REFRESH, &request).await;
            assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"), "{request}");
        }
    }

    #[tokio::test]
    async fn an_access_token_does_not_refresh() {
        let server = Server::start().await;
        let first = log_in(&server).await;
        let (status, _) = server.post(REFRESH, &json!({ "refresh_token": first["access_token"] })).await;
        assert_eq!(status, 401);
    }
}
