//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register>

use http::Method;
use roost_testkit::Server;
use roost_testkit::config::Mode;
use roost_users::NewRegistrationToken;
use serde_json::{Value, json};

use super::errcode;

const REGISTER: &str = "/_matrix/client/v3/register";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

async fn with_mode(mode: Mode) -> Server {
    Server::with(|config| config.registration.mode = mode).await
}

async fn token(server: &Server, uses_allowed: Option<u64>) -> String {
    let new = NewRegistrationToken { uses_allowed, ..NewRegistrationToken::default() };
    server.house().users.create_registration_token(new).await.expect("a token")
}

fn dummy(username: &str) -> Value {
    json!({ "username": username, "password": "wonderland", "auth": { "type": "m.login.dummy" } })
}

#[tokio::test]
async fn a_request_without_auth_is_told_what_to_prove() {
    let server = Server::start().await;
    let (status, body) = server.post(REGISTER, &json!({ "username": "alice", "password": "wonderland" })).await;
    assert_eq!(status, 401);
    assert_eq!(body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    assert_eq!(body["params"], json!({}));
    assert!(body["session"].as_str().is_some_and(|session| !session.is_empty()), "{body}");
    for absent in ["errcode", "error", "completed"] {
        assert_eq!(body.get(absent), None, "{body}");
    }
}

#[tokio::test]
async fn the_session_carries_out_what_it_was_begun_with() {
    let server = Server::start().await;
    let first = json!({ "username": "alice", "password": "wonderland", "device_id": "TEAPOT", "initial_device_display_name": "Tea" });
    let (_, offer) = server.post(REGISTER, &first).await;
    let auth = json!({ "type": "m.login.dummy", "session": offer["session"] });
    let (status, body) = server.post(REGISTER, &json!({ "auth": auth })).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["user_id"], &body["device_id"]), (&json!("@alice:localhost"), &json!("TEAPOT")));
    assert_eq!((body.get("refresh_token"), body.get("expires_in_ms")), (None, None));
    let (status, body) = server.post(REGISTER, &json!({ "auth": auth })).await;
    assert_eq!(status, 401, "a session ends with its request: {body}");
}

#[tokio::test]
async fn clients_may_prove_with_the_first_request() {
    let server = Server::start().await;
    let (status, body) = server.post(REGISTER, &dummy("alice")).await;
    assert_eq!(status, 200, "{body}");
    let token = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
    let answer = server.client().raw(Method::GET, WHOAMI, &[("authorization", &token)], "").await;
    assert_eq!(answer.json()["user_id"], "@alice:localhost");
}

#[tokio::test]
async fn a_client_that_asks_for_the_flows_first_may_name_its_user_later() {
    let server = Server::start().await;
    let (status, offer) = server.post(REGISTER, &json!({})).await;
    assert_eq!(status, 401);
    let mut request = dummy("alice");
    request["auth"]["session"] = offer["session"].clone();
    let (status, body) = server.post(REGISTER, &request).await;
    assert_eq!((status, &body["user_id"]), (200, &json!("@alice:localhost")));
}

#[tokio::test]
async fn auth_with_neither_type_nor_session_is_an_ordinary_first_request() {
    let server = Server::start().await;
    let (status, body) = server.post(REGISTER, &json!({ "auth": { "initial_device_display_name": "x" } })).await;
    assert_eq!((status, body.get("errcode")), (401, None), "{body}");
}

#[tokio::test]
async fn a_session_alone_asks_how_far_it_is() {
    let server = Server::start().await;
    let (_, offer) = server.post(REGISTER, &json!({ "username": "alice" })).await;
    let (status, body) = server.post(REGISTER, &json!({ "auth": { "session": offer["session"] } })).await;
    assert_eq!((status, body), (401, offer));
}

#[tokio::test]
async fn an_unknown_session_and_an_unknown_type_are_refused_and_may_be_tried_again() {
    let server = Server::start().await;
    let mut request = dummy("alice");
    request["auth"]["session"] = json!("nonsense");
    let (status, body) = server.post(REGISTER, &request).await;
    assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"));
    assert_eq!(body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    request["auth"]["session"] = body["session"].clone();
    assert_eq!(server.post(REGISTER, &request).await.0, 200);

    let mut request = dummy("bob");
    request["auth"]["type"] = json!("m.login.recaptcha");
    let (status, body) = server.post(REGISTER, &request).await;
    assert_eq!((status, errcode(&body)), (401, "M_UNRECOGNIZED"));
    assert_eq!(body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
}

#[tokio::test]
async fn without_a_name_one_is_made_up() {
    let server = Server::start().await;
    let request = json!({ "password": "wonderland", "auth": { "type": "m.login.dummy" } });
    let (_, first) = server.post(REGISTER, &request).await;
    let (_, second) = server.post(REGISTER, &request).await;
    for body in [&first, &second] {
        let user_id = body["user_id"].as_str().expect("a user id");
        assert!(user_id.starts_with('@') && user_id.ends_with(":localhost"), "{user_id}");
    }
    assert_ne!(first["user_id"], second["user_id"]);
}

#[tokio::test]
async fn inhibit_login_makes_an_account_and_no_session() {
    let server = Server::start().await;
    let mut request = dummy("alice");
    request["inhibit_login"] = json!(true);
    let (status, body) = server.post(REGISTER, &request).await;
    assert_eq!((status, &body), (200, &json!({ "user_id": "@alice:localhost" })));
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "wonderland",
    });
    assert_eq!(server.post("/_matrix/client/v3/login", &login).await.0, 200);
}

#[tokio::test]
async fn clients_that_can_refresh_get_tokens_that_expire() {
    let server = Server::start().await;
    let mut request = dummy("alice");
    request["refresh_token"] = json!(true);
    let (status, body) = server.post(REGISTER, &request).await;
    assert_eq!(status, 200);
    assert!(body["refresh_token"].is_string() && body["expires_in_ms"].as_u64().is_some_and(|ms| ms > 0), "{body}");
}

#[tokio::test]
async fn names_are_checked_before_anything_is_to_be_proved() {
    let server = Server::start().await;
    server.register("alice").await;
    let cases = [
        ("alice", "M_USER_IN_USE"),
        ("ALICE", "M_USER_IN_USE"),
        ("", "M_INVALID_USERNAME"),
        ("al ice", "M_INVALID_USERNAME"),
        ("älice", "M_INVALID_USERNAME"),
        ("@alice:localhost", "M_INVALID_USERNAME"),
        ("alice!", "M_INVALID_USERNAME"),
    ];
    let long = "a".repeat(255);
    for (name, expected) in cases.into_iter().chain([(long.as_str(), "M_INVALID_USERNAME")]) {
        for request in [json!({ "username": name, "password": "x" }), dummy(name)] {
            let (status, body) = server.post(REGISTER, &request).await;
            assert_eq!((status, errcode(&body)), (400, expected), "{name:?}");
        }
    }
}

#[tokio::test]
async fn capitals_become_small_letters() {
    let server = Server::start().await;
    let (status, body) = server.post(REGISTER, &dummy("Alice-UPPER")).await;
    assert_eq!((status, &body["user_id"]), (200, &json!("@alice-upper:localhost")));
}

#[tokio::test]
async fn a_name_taken_on_the_way_is_refused_at_the_end() {
    let server = Server::start().await;
    let (_, offer) = server.post(REGISTER, &json!({ "username": "alice", "password": "x" })).await;
    server.register("alice").await;
    let auth = json!({ "type": "m.login.dummy", "session": offer["session"] });
    let (status, body) = server.post(REGISTER, &json!({ "auth": auth })).await;
    assert_eq!((status, errcode(&body)), (400, "M_USER_IN_USE"));
}

#[tokio::test]
async fn a_token_lets_its_bearer_in_as_often_as_it_says() {
    let server = with_mode(Mode::Token).await;
    let token = token(&server, Some(1)).await;
    let (status, offer) = server.post(REGISTER, &json!({ "username": "alice", "password": "x" })).await;
    assert_eq!((status, &offer["flows"]), (401, &json!([{ "stages": ["m.login.registration_token"] }])));

    let attempt = |name: &'static str, session: Value, token: String| {
        let auth = json!({ "type": "m.login.registration_token", "session": session, "token": token });
        json!({ "username": name, "password": "x", "auth": auth })
    };
    let (status, body) = server.post(REGISTER, &attempt("alice", offer["session"].clone(), "wrong".to_owned())).await;
    assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"));
    assert_eq!((&body["session"], &body["flows"]), (&offer["session"], &offer["flows"]));
    let (status, body) = server.post(REGISTER, &attempt("alice", offer["session"].clone(), token.clone())).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = server.post(REGISTER, &attempt("bob", Value::Null, token)).await;
    assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"));
}

#[tokio::test]
async fn nobody_registers_without_a_token_where_one_is_needed() {
    let server = with_mode(Mode::Token).await;
    let (status, body) = server.post(REGISTER, &dummy("alice")).await;
    assert_eq!((status, errcode(&body)), (401, "M_UNRECOGNIZED"));
    let auth = json!({ "type": "m.login.registration_token" });
    let (status, body) = server.post(REGISTER, &json!({ "username": "alice", "auth": auth })).await;
    assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"), "no token at all");
}

#[tokio::test]
async fn a_token_used_up_on_the_way_is_refused_at_the_end() {
    let server = with_mode(Mode::Token).await;
    let token = token(&server, Some(1)).await;
    let request = |name: &str| json!({ "username": name, "password": "x", "auth": { "type": "m.login.registration_token", "token": token } });
    let all = ["alice", "bob", "carol", "dave"].map(|name| {
        let request = request(name).to_string();
        server.client().raw(Method::POST, REGISTER, &[], request)
    });
    let statuses = futures_util::future::join_all(all).await.into_iter().map(|answer| answer.status);
    let mut registered = 0;
    for status in statuses {
        match status {
            200 => registered += 1,
            other => assert!([401, 403].contains(&other), "{other}"),
        }
    }
    assert_eq!(registered, 1);
}

#[tokio::test]
async fn a_closed_server_registers_nobody() {
    let server = with_mode(Mode::Closed).await;
    for request in [json!({}), dummy("alice")] {
        let (status, body) = server.post(REGISTER, &request).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
    }
    let (status, body) = server.get("/_matrix/client/v1/register/m.login.registration_token/validity?token=x").await;
    assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
}

#[tokio::test]
async fn a_closed_server_does_not_tell_which_names_are_taken() {
    let server = with_mode(Mode::Closed).await;
    server.house().create_user("alice", "a password".to_owned(), false).await.unwrap();
    for name in ["alice", "bob"] {
        let (status, body) = server.get(&format!("/_matrix/client/v3/register/available?username={name}")).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"), "{name}");
    }
}

#[tokio::test]
async fn there_are_no_guests() {
    let server = Server::start().await;
    let (status, body) = server.post(&format!("{REGISTER}?kind=guest"), &json!({})).await;
    assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
    let (status, body) = server.post(&format!("{REGISTER}?kind=robot"), &json!({})).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    assert_eq!(server.post(&format!("{REGISTER}?kind=user"), &dummy("alice")).await.0, 200);
}

#[tokio::test]
async fn application_services_need_a_token_of_theirs() {
    let server = Server::start().await;
    let request = json!({ "type": "m.login.application_service", "username": "bridge" });
    let (status, body) = server.post(REGISTER, &request).await;
    assert_eq!((status, errcode(&body)), (401, "M_MISSING_TOKEN"));
    let headers = [("authorization", "Bearer nonsense")];
    let answer = server.client().raw(Method::POST, REGISTER, &headers, request.to_string()).await;
    assert_eq!((answer.status, errcode(&answer.json())), (401, "M_UNKNOWN_TOKEN"));
}

#[tokio::test]
async fn passwords_have_bounds() {
    let server = Server::start().await;
    for password in ["", &"x".repeat(513)] {
        let mut request = dummy("alice");
        request["password"] = json!(password);
        let (status, body) = server.post(REGISTER, &request).await;
        assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
    }
}

#[tokio::test]
async fn null_for_an_optional_key_is_as_absent() {
    let server = Server::start().await;
    let mut request = dummy("alice");
    for key in ["device_id", "initial_device_display_name", "inhibit_login", "refresh_token", "type"] {
        request[key] = Value::Null;
    }
    let (status, body) = server.post(REGISTER, &request).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["device_id"].as_str().is_some_and(|id| !id.is_empty()));
}

#[tokio::test]
async fn bad_bodies_are_told_apart() {
    let server = Server::start().await;
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let large = format!("{{\"username\":\"alice\",\"password\":\"{}\"}}", "x".repeat(9_000));
    let cases: [(&[u8], u16, &str); 12] = [
        (b"{", 400, "M_NOT_JSON"),
        (b"username=alice", 400, "M_NOT_JSON"),
        (b"{\"username\":\"\xff\"}", 400, "M_NOT_JSON"),
        (b"[]", 400, "M_BAD_JSON"),
        (b"{\"username\":7}", 400, "M_BAD_JSON"),
        (b"{\"password\":[]}", 400, "M_BAD_JSON"),
        (b"{\"inhibit_login\":\"yes\"}", 400, "M_BAD_JSON"),
        (b"{\"auth\":7}", 400, "M_BAD_JSON"),
        (b"{\"auth\":{\"type\":7}}", 400, "M_BAD_JSON"),
        (b"{\"auth\":{\"session\":{}}}", 400, "M_BAD_JSON"),
        (deep.as_bytes(), 400, "M_BAD_JSON"),
        (large.as_bytes(), 413, "M_TOO_LARGE"),
    ];
    for (body, status, expected) in cases {
        let answer = server.client().raw(Method::POST, REGISTER, &[], body.to_vec()).await;
        let text = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!((answer.status, errcode(&answer.json())), (status, expected), "{text}");
    }
    let (status, body) = server.get("/_matrix/client/v3/register/available?username=alice").await;
    assert_eq!((status, body), (200, json!({ "available": true })), "nothing was half-written");
}

#[tokio::test]
async fn the_availability_of_names_can_be_asked() {
    let server = Server::start().await;
    server.register("alice").await;
    let cases = [
        ("?username=bob", 200, ""),
        ("?username=alice", 400, "M_USER_IN_USE"),
        ("?username=b%20b", 400, "M_INVALID_USERNAME"),
        ("?username=", 400, "M_INVALID_USERNAME"),
        ("", 400, "M_MISSING_PARAM"),
    ];
    for (query, status, expected) in cases {
        let (found, body) = server.get(&format!("/_matrix/client/v3/register/available{query}")).await;
        assert_eq!((found, errcode(&body)), (status, expected), "{query}");
    }
    let (_, body) = server.get("/_matrix/client/v3/register/available?username=bob").await;
    assert_eq!(body, json!({ "available": true }));
}

#[tokio::test]
async fn the_validity_of_tokens_can_be_asked() {
    let server = with_mode(Mode::Token).await;
    let token = token(&server, None).await;
    let path = "/_matrix/client/v1/register/m.login.registration_token/validity";
    assert_eq!(server.get(&format!("{path}?token={token}")).await, (200, json!({ "valid": true })));
    assert_eq!(server.get(&format!("{path}?token=wrong")).await, (200, json!({ "valid": false })));
    let (status, body) = server.get(path).await;
    assert_eq!((status, errcode(&body)), (400, "M_MISSING_PARAM"));
}

#[tokio::test]
async fn every_allowed_character_can_be_in_a_name_and_any_in_a_password() {
    let server = Server::start().await;
    let password = "пароль 密码 🔑 \"quoted\"";
    for name in ["q3.abc", "q3_abc", "q3-abc", "q3/abc", "q3=abc", "q3+abc"] {
        let mut request = dummy(name);
        request["password"] = json!(password);
        let (status, body) = server.post(REGISTER, &request).await;
        assert_eq!((status, &body["user_id"]), (200, &json!(format!("@{name}:localhost"))));
        let login = json!({
            "type": "m.login.password", "identifier": { "type": "m.id.user", "user": name }, "password": password,
        });
        assert_eq!(server.post("/_matrix/client/v3/login", &login).await.0, 200, "{name}");
    }
}
