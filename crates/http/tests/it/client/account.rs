//! <https://spec.matrix.org/v1.19/client-server-api/#account-management>

use http::Method;
use roost_testkit::{Server, User};
use serde_json::{Value, json};

use super::errcode;

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const PASSWORD: &str = "/_matrix/client/v3/account/password";
const DEACTIVATE: &str = "/_matrix/client/v3/account/deactivate";

fn auth(user: &User, session: &Value) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user.id },
        "password": user.password,
        "session": session,
    })
}

async fn is_logged_in(user: &User) -> bool {
    user.get(WHOAMI).await.0 == 200
}

#[tokio::test]
async fn whoami_names_user_and_device() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let expected = json!({ "user_id": alice.id, "device_id": alice.device_id, "is_guest": false });
    assert_eq!(alice.get(WHOAMI).await, (200, expected.clone()));
    assert_eq!(alice.get("/_matrix/client/r0/account/whoami").await, (200, expected));
}

#[tokio::test]
async fn missing_and_unknown_tokens_are_told_apart() {
    let server = Server::start().await;
    let (status, body) = server.get(WHOAMI).await;
    assert_eq!((status, errcode(&body)), (401, "M_MISSING_TOKEN"));
    for value in ["Bearer nonsense", "bearer nonsense", "Bearer rst_0000000000000000000000000000000000000000"] {
        let body = server.client().raw(Method::GET, WHOAMI, &[("authorization", value)], "").await.json();
        assert_eq!(errcode(&body), "M_UNKNOWN_TOKEN", "{value:?}");
        assert_ne!(body["soft_logout"], true);
    }
}

mod logout {
    //! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout>

    use super::*;

    #[tokio::test]
    async fn logging_out_ends_one_session_and_its_device() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let phone = server.log_in(&alice).await;
        // Clients send no body.
        assert_eq!(phone.request(Method::POST, "/_matrix/client/v3/logout", None).await, (200, json!({})));
        let (status, body) = phone.get(WHOAMI).await;
        assert_eq!((status, errcode(&body)), (401, "M_UNKNOWN_TOKEN"));
        assert_ne!(body["soft_logout"], true);
        assert!(is_logged_in(&alice).await);
        let (_, devices) = alice.get("/_matrix/client/v3/devices").await;
        assert_eq!(devices["devices"].as_array().map(Vec::len), Some(1));
    }

    #[tokio::test]
    async fn logging_out_everywhere_ends_all_of_ones_sessions() {
        let server = Server::start().await;
        let (alice, bob) = (server.register("alice").await, server.register("bob").await);
        let phone = server.log_in(&alice).await;
        assert_eq!(phone.request(Method::POST, "/_matrix/client/v3/logout/all", None).await, (200, json!({})));
        assert!(!is_logged_in(&alice).await && !is_logged_in(&phone).await && is_logged_in(&bob).await);
        let again = server.log_in(&alice).await;
        let (_, devices) = again.get("/_matrix/client/v3/devices").await;
        assert_eq!(devices["devices"].as_array().map(Vec::len), Some(1));
    }

    #[tokio::test]
    async fn who_is_not_logged_in_can_not_log_out() {
        let server = Server::start().await;
        for path in ["/_matrix/client/v3/logout", "/_matrix/client/v3/logout/all"] {
            let (status, body) = server.post(path, &json!({})).await;
            assert_eq!((status, errcode(&body)), (401, "M_MISSING_TOKEN"));
        }
    }
}

mod password {
    //! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword>

    use super::*;

    async fn log_in(server: &Server, password: &str) -> u16 {
        let identifier = json!({ "type": "m.id.user", "user": "alice" });
        let request = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        server.post("/_matrix/client/v3/login", &request).await.0
    }

    #[tokio::test]
    async fn a_new_password_needs_the_old_one_and_logs_out_the_other_devices() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let phone = server.log_in(&alice).await;
        let mut request = json!({ "new_password": "looking glass" });
        let (status, offer) = alice.post(PASSWORD, &request).await;
        assert_eq!((status, &offer["flows"]), (401, &json!([{ "stages": ["m.login.password"] }])));
        request["auth"] = auth(&alice, &offer["session"]);
        assert_eq!(alice.post(PASSWORD, &request).await, (200, json!({})));
        assert_eq!((log_in(&server, &alice.password).await, log_in(&server, "looking glass").await), (403, 200));
        assert!(is_logged_in(&alice).await, "who asked stays");
        assert!(!is_logged_in(&phone).await);
    }

    #[tokio::test]
    async fn other_devices_may_stay() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let phone = server.log_in(&alice).await;
        let auth = auth(&alice, &Value::Null);
        let request = json!({ "new_password": "looking glass", "logout_devices": false, "auth": auth });
        assert_eq!(alice.post(PASSWORD, &request).await.0, 200);
        assert!(is_logged_in(&phone).await);
        assert_eq!(log_in(&server, "looking glass").await, 200);
    }

    #[tokio::test]
    async fn a_wrong_password_may_be_corrected_in_the_same_session() {
        let server = Server::start().await;
        let (alice, bob) = (server.register("alice").await, server.register("bob").await);
        let mut request = json!({ "new_password": "looking glass" });
        let (_, offer) = alice.post(PASSWORD, &request).await;
        let mut wrong = auth(&alice, &offer["session"]);
        wrong["password"] = json!("wrong");
        for refused in [wrong, auth(&bob, &offer["session"])] {
            request["auth"] = refused;
            let (status, body) = alice.post(PASSWORD, &request).await;
            assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"));
            assert_eq!((&body["flows"], &body["session"]), (&offer["flows"], &offer["session"]));
        }
        request["auth"] = auth(&alice, &offer["session"]);
        assert_eq!(alice.post(PASSWORD, &request).await.0, 200);
    }

    #[tokio::test]
    async fn tries_beside_each_other_count_one_by_one() {
        let server = Server::with(|config| config.rate_limits.enabled = false).await;
        let alice = server.register("alice").await;
        let body = json!({ "new_password": "looking glass" });
        let (_, offer) = alice.post(PASSWORD, &body).await;
        let mut wrong = auth(&alice, &offer["session"]);
        wrong["password"] = json!("wrong");
        let body = json!({ "new_password": "looking glass", "auth": wrong });
        let tries = futures_util::future::join_all((0..12).map(|_| alice.post(PASSWORD, &body))).await;
        assert!(tries.iter().all(|(status, _)| *status == 401 || *status == 503));
        let right = auth(&alice, &offer["session"]);
        let (status, answer) = alice.post(PASSWORD, &json!({ "new_password": "looking glass", "auth": right })).await;
        assert_eq!(status, 401, "the session has ended: {answer}");
    }

    #[tokio::test]
    async fn guessing_ends_a_session() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let request = json!({ "new_password": "looking glass" });
        let (_, offer) = alice.post(PASSWORD, &request).await;
        let mut wrong = auth(&alice, &offer["session"]);
        wrong["password"] = json!("wrong");
        for _ in 0..10 {
            assert_eq!(alice.post(PASSWORD, &json!({ "new_password": "looking glass", "auth": wrong })).await.0, 401);
        }
        let right = auth(&alice, &offer["session"]);
        let (status, body) = alice.post(PASSWORD, &json!({ "new_password": "looking glass", "auth": right })).await;
        assert_eq!(status, 401);
        assert_ne!(body["session"], offer["session"]);
        assert_eq!(log_in(&server, &alice.password).await, 200);
    }

    #[tokio::test]
    async fn a_session_does_not_change_its_mind() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let (_, offer) = alice.post(PASSWORD, &json!({ "new_password": "looking glass" })).await;
        let auth = auth(&alice, &offer["session"]);
        let (status, body) = alice.post(PASSWORD, &json!({ "new_password": "another", "auth": auth })).await;
        assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"));
        assert_ne!(body["session"], offer["session"]);
        let (status, body) = alice.post(PASSWORD, &json!({ "auth": auth })).await;
        assert_eq!((status, body), (200, json!({})), "what it was begun with is still to be had");
        assert_eq!((log_in(&server, "another").await, log_in(&server, "looking glass").await), (403, 200));
    }

    #[tokio::test]
    async fn sessions_are_of_one_user_and_one_endpoint() {
        let server = Server::start().await;
        let (alice, bob) = (server.register("alice").await, server.register("bob").await);
        let (_, offer) = alice.post(PASSWORD, &json!({ "new_password": "looking glass" })).await;
        let (status, body) = bob.post(PASSWORD, &json!({ "auth": auth(&bob, &offer["session"]) })).await;
        assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"), "{body}");
        let (status, body) = alice.post(DEACTIVATE, &json!({ "auth": auth(&alice, &offer["session"]) })).await;
        assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"), "{body}");
        assert!(is_logged_in(&alice).await);
    }

    #[tokio::test]
    async fn who_has_no_session_proves_by_the_password_alone() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let request = json!({ "new_password": "looking glass", "auth": auth(&alice, &Value::Null) });
        assert_eq!(server.post(PASSWORD, &request).await, (200, json!({})));
        assert_eq!(log_in(&server, "looking glass").await, 200);
        assert!(!is_logged_in(&alice).await);
    }

    #[tokio::test]
    async fn bad_requests_are_told_apart() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let cases = [
            (json!({}), "M_BAD_JSON"),
            (json!({ "new_password": 7 }), "M_BAD_JSON"),
            (json!({ "new_password": "x", "logout_devices": "no" }), "M_BAD_JSON"),
            (json!({ "new_password": "" }), "M_INVALID_PARAM"),
            (json!({ "new_password": "x", "auth": { "type": "m.login.password" } }), "M_BAD_JSON"),
            (
                json!({ "new_password": "x", "auth": { "type": "m.login.password", "identifier": 7, "password": "x" } }),
                "M_BAD_JSON",
            ),
        ];
        for (request, expected) in cases {
            let (status, body) = alice.post(PASSWORD, &request).await;
            assert_eq!((status, errcode(&body)), (400, expected), "{request}");
        }
        let headers = [("authorization", "Bearer nonsense")];
        let answer = server.client().raw(Method::POST, PASSWORD, &headers, "{\"new_password\":\"x\"}").await;
        assert_eq!((answer.status, errcode(&answer.json())), (401, "M_UNKNOWN_TOKEN"));
    }
}

mod deactivate {
    //! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate>

    use super::*;

    #[tokio::test]
    async fn deactivation_needs_the_password() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let (status, offer) = alice.post(DEACTIVATE, &json!({})).await;
        assert_eq!((status, &offer["flows"]), (401, &json!([{ "stages": ["m.login.password"] }])));
        let mut wrong = auth(&alice, &offer["session"]);
        wrong["password"] = json!("wrong");
        let (status, body) = alice.post(DEACTIVATE, &json!({ "auth": wrong })).await;
        assert_eq!((status, errcode(&body)), (401, "M_FORBIDDEN"));
        assert!(is_logged_in(&alice).await);
    }

    #[tokio::test]
    async fn a_deactivated_user_is_out_and_stays_out() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let phone = server.log_in(&alice).await;
        let (status, body) = alice.post(DEACTIVATE, &json!({ "auth": auth(&alice, &Value::Null) })).await;
        assert_eq!((status, body), (200, json!({ "id_server_unbind_result": "success" })));
        assert!(!is_logged_in(&alice).await && !is_logged_in(&phone).await);
        let login = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": "alice" },
            "password": alice.password,
        });
        let (status, body) = server.post("/_matrix/client/v3/login", &login).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
        let (status, body) = server.get("/_matrix/client/v3/register/available?username=alice").await;
        assert_eq!((status, errcode(&body)), (400, "M_USER_IN_USE"));
    }

    #[tokio::test]
    async fn erasing_removes_the_profile() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let name = format!("/_matrix/client/v3/profile/{}/displayname", alice.id);
        assert_eq!(alice.put(&name, &json!({ "displayname": "Alice" })).await.0, 200);
        let request = json!({ "erase": true, "auth": auth(&alice, &Value::Null) });
        assert_eq!(alice.post(DEACTIVATE, &request).await.0, 200);
        for path in [name, format!("/_matrix/client/v3/profile/{}", alice.id)] {
            let (status, body) = server.get(&path).await;
            assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"));
        }
    }

    #[tokio::test]
    async fn a_deactivated_user_leaves_their_rooms() {
        let server = Server::start().await;
        let (alice, bob) = (server.register("alice").await, server.register("bob").await);
        let room = bob.create_room(&json!({ "preset": "public_chat" })).await;
        alice.join(&room).await;
        assert_eq!(alice.post(DEACTIVATE, &json!({ "auth": auth(&alice, &Value::Null) })).await.0, 200);
        let (_, body) = bob.get(&User::room_path(&room, &["joined_members"])).await;
        let joined: Vec<_> = body["joined"].as_object().expect("members").keys().cloned().collect();
        assert_eq!(joined, [bob.id]);
    }

    #[tokio::test]
    async fn bad_requests_are_told_apart() {
        let server = Server::start().await;
        let alice = server.register("alice").await;
        let (status, body) = alice.post(DEACTIVATE, &json!({ "erase": "everything" })).await;
        assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"));
        let (status, body) = server.post(DEACTIVATE, &json!({})).await;
        assert_eq!((status, body.get("errcode")), (401, None), "{body}");
    }
}
