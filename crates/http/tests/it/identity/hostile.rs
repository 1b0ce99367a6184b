//! Input that was made to do harm.

use http::Method;
use serde_json::{Value, json};

use super::{Scene, errcode, token_in};

#[tokio::test]
async fn an_address_can_not_smuggle_headers_or_recipients_into_a_mail() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    for address in [
        "a@b.c\r\nBcc: victim@example.org",
        "a@b.c\nSubject: x",
        "a@b.c>\r\nRCPT TO:<victim@example.org",
        "a@b.c,victim@example.org",
        "\"a\\r\\n\"@b.c",
        "a@b.c\u{0}",
        "a\u{2028}@b.c",
        "<script>@b.c",
    ] {
        let body = json!({ "client_secret": "a", "email": address, "send_attempt": 1 });
        let (status, answer) = alice.post("/validate/email/requestToken", &body).await;
        assert_eq!((status, errcode(&answer)), (400, "M_INVALID_EMAIL"), "{address:?}");
        let body = json!({ "medium": "email", "address": address, "room_id": "!a:b", "sender": alice.user.id });
        let (status, answer) = alice.post("/store-invite", &body).await;
        assert_eq!((status, errcode(&answer)), (400, "M_INVALID_EMAIL"), "{address:?}");
    }
    assert!(scene.mailbox.letters().is_empty());
}

#[tokio::test]
async fn a_token_is_guessed_so_often_and_then_no_more() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let sid = alice.request_email("secret", "alice@example.org").await;
    let submit = async |token: &str| {
        let body = json!({ "sid": sid, "client_secret": "secret", "token": token });
        alice.post("/validate/email/submitToken", &body).await
    };
    for number in 0..roost_identity::MAX_WRONG {
        let (status, body) = submit(&format!("guess{number}")).await;
        assert_eq!((status, errcode(&body)), (400, "M_TOKEN_INCORRECT"));
    }
    let right = token_in(&scene.mailbox.last().text);
    let (status, body) = submit(&right).await;
    assert_eq!((status, errcode(&body)), (400, "M_TOKEN_INCORRECT"), "even the right one comes too late");
    // A new mail is a new chance.
    let body = json!({ "client_secret": "secret", "email": "alice@example.org", "send_attempt": 2 });
    assert_eq!(alice.post("/validate/email/requestToken", &body).await.0, 200);
    let fresh = token_in(&scene.mailbox.last().text);
    assert_ne!(fresh, right);
    assert_eq!(submit(&fresh).await.0, 200);
}

#[tokio::test]
async fn guesses_at_once_are_counted_one_by_one() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let sid = alice.request_email("secret", "alice@example.org").await;
    let guesses = (0..40).map(|number| {
        let body = json!({ "sid": sid, "client_secret": "secret", "token": format!("guess{number}") });
        let (client, token) = (alice.client.clone(), alice.token.clone());
        async move {
            let path = "/_matrix/identity/v2/validate/email/submitToken";
            client.call(Method::POST, path, &token, Some(&body)).await.0
        }
    });
    let statuses = futures_util::future::join_all(guesses).await;
    assert!(statuses.iter().all(|status| *status == 400));
    let right = json!({ "sid": sid, "client_secret": "secret", "token": token_in(&scene.mailbox.last().text) });
    assert_eq!(errcode(&alice.post("/validate/email/submitToken", &right).await.1), "M_TOKEN_INCORRECT");
}

#[tokio::test]
async fn bad_sids_secrets_and_tokens_are_refused_by_their_grammar() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let long = "x".repeat(300);
    for (sid, secret, token) in [
        ("../../etc", "secret", "t"),
        ("a'; DROP TABLE identity_sessions; --", "secret", "t"),
        (long.as_str(), "secret", "t"),
        ("", "secret", "t"),
        ("a", "", "t"),
        ("a", long.as_str(), "t"),
        ("a", "se\u{0}cret", "t"),
        ("a", "secret", ""),
        ("a", "secret", long.as_str()),
        ("a", "secret", "t"),
    ] {
        let body = json!({ "sid": sid, "client_secret": secret, "token": token });
        let (status, answer) = alice.post("/validate/msisdn/submitToken", &body).await;
        assert_eq!((status, errcode(&answer)), (400, "M_INVALID_PARAM"), "{body}");
    }
}

#[tokio::test]
async fn a_session_is_of_no_use_without_its_secret() {
    let scene = Scene::new().await;
    let (alice, mallory) = (scene.member("alice").await, scene.member("mallory").await);
    let sid = alice.validate(&scene.mailbox, "secret", "alice@example.org").await;
    let body = json!({ "sid": sid, "client_secret": "guess", "mxid": mallory.user.id });
    let (status, answer) = mallory.post("/3pid/bind", &body).await;
    assert_eq!((status, errcode(&answer)), (404, "M_NO_VALID_SESSION"));
    // With the same secret a session of another address is another one.
    let other = mallory.request_email("secret", "mallory@example.org").await;
    assert_ne!(other, sid);
    let token = token_in(&scene.mailbox.last().text);
    let body =
        json!({ "sid": mallory.request_email("x", "alice@example.org").await, "client_secret": "x", "token": token });
    let (status, answer) = mallory.post("/validate/email/submitToken", &body).await;
    assert_eq!((status, errcode(&answer)), (400, "M_TOKEN_INCORRECT"), "the token of another session");
}

#[tokio::test]
async fn bodies_that_are_no_objects_are_refused_everywhere() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let authorization = format!("Bearer {}", alice.token);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    for path in [
        "account/register",
        "terms",
        "lookup",
        "validate/email/requestToken",
        "validate/msisdn/submitToken",
        "3pid/bind",
        "3pid/unbind",
        "store-invite",
        "sign-ed25519",
    ] {
        for (body, code) in [
            ("", "M_NOT_JSON"),
            ("{", "M_NOT_JSON"),
            ("[]", "M_BAD_JSON"),
            ("7", "M_BAD_JSON"),
            (deep.as_str(), "M_BAD_JSON"),
        ] {
            let path = format!("/_matrix/identity/v2/{path}");
            let headers = [("authorization", authorization.as_str())];
            let answer = scene.server.client().raw(Method::POST, &path, &headers, body.to_owned()).await;
            let body: Value = answer.json();
            assert_eq!((answer.status, errcode(&body)), (400, code), "{path}");
        }
    }
}

#[tokio::test]
async fn secrets_are_not_in_the_database() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let secret = "a_secret_that_is_easily_found";
    alice.validate(&scene.mailbox, secret, "alice@example.org").await;
    let token = token_in(&scene.mailbox.last().text);
    if std::env::var("ROOST_TEST_DATABASE").is_ok_and(|engine| engine == "postgres") {
        return;
    }
    for file in ["roost.db", "roost.db-wal"] {
        let Ok(bytes) = std::fs::read(scene.server.data_dir().join(file)) else { continue };
        for secret in [secret, &token, &alice.token] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {file}");
        }
    }
}
