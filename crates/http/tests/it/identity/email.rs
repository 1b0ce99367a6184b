//! <https://spec.matrix.org/v1.19/identity-service-api/#email-associations>

use http::Method;
use serde_json::json;

use super::{Scene, errcode, link_in, token_in};

const REQUEST: &str = "/validate/email/requestToken";
const SUBMIT: &str = "/validate/email/submitToken";

#[tokio::test]
async fn a_mail_with_a_token_proves_the_address() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let sid = alice.request_email("monkeys_are_GREAT", "Alice@Example.org").await;
    assert!(sid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".=_-".contains(&byte)) && sid.len() <= 255);
    let mail = scene.mailbox.last();
    assert_eq!(mail.to, ["alice@example.org"], "it goes to the canonical form, since that is what is proved");
    assert_eq!(mail.from, "id@id.example");
    assert!(mail.text.contains("multipart/alternative") && mail.text.contains("text/html"), "{}", mail.text);

    let validated = format!("/3pid/getValidated3pid?sid={sid}&client_secret=monkeys_are_GREAT");
    let (status, body) = alice.get(&validated).await;
    assert_eq!((status, errcode(&body)), (400, "M_SESSION_NOT_VALIDATED"));
    let token = token_in(&mail.text);
    let body = json!({ "sid": sid, "client_secret": "monkeys_are_GREAT", "token": token });
    assert_eq!(alice.post(SUBMIT, &body).await, (200, json!({ "success": true })));
    assert_eq!(alice.post(SUBMIT, &body).await, (200, json!({ "success": true })), "and again");
    let (status, body) = alice.get(&validated).await;
    assert_eq!((status, &body["medium"], &body["address"]), (200, &json!("email"), &json!("alice@example.org")));
    assert!(body["validated_at"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{body}");
    assert_eq!(alice.look_up("alice@example.org").await, None, "nothing is published");
}

#[tokio::test]
async fn the_link_in_the_mail_shows_a_page_without_an_access_token() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let sid = alice.request_email("secret", "alice@example.org").await;
    let link = link_in(&scene.mailbox.last().text);
    let answer = scene.server.client().raw(Method::GET, &link, &[], "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(alice.get(&format!("/3pid/getValidated3pid?sid={sid}&client_secret=secret")).await.0, 200);

    // A browser gets a page when it fails, too, and others get an error as everywhere.
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let wrong = link.replace("token=", "token=x");
    let bare = "/_matrix/identity/v2/validate/email/submitToken".to_owned();
    for (link, code) in [(wrong, "M_TOKEN_INCORRECT"), (bare, "M_MISSING_PARAMS")] {
        let answer = scene.server.client().raw(Method::GET, &link, &browser, "").await;
        assert_eq!(answer.status, 400);
        assert!(answer.header("content-type").starts_with("text/html"));
        let answer = scene.server.client().raw(Method::GET, &link, &[], "").await;
        assert_eq!((answer.status, errcode(&answer.json())), (400, code));
    }
}

#[tokio::test]
async fn another_mail_is_sent_only_for_a_higher_send_attempt() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let attempt = async |attempt: i64, secret: &str, address: &str| {
        let body = json!({ "client_secret": secret, "email": address, "send_attempt": attempt });
        let (status, answer) = alice.post(REQUEST, &body).await;
        assert_eq!(status, 200, "{answer}");
        (answer["sid"].as_str().unwrap().to_owned(), scene.mailbox.letters().len())
    };
    let (first, mails) = attempt(1, "one", "alice@example.org").await;
    assert_eq!(mails, 1);
    assert_eq!(attempt(1, "one", "alice@example.org").await, (first.clone(), 1), "the same request again");
    assert_eq!(attempt(0, "one", "alice@example.org").await, (first.clone(), 1), "a lower one");
    assert_eq!(attempt(2, "one", "alice@example.org").await, (first.clone(), 2), "a reminder");
    let (other, mails) = attempt(1, "two", "alice@example.org").await;
    assert_eq!(mails, 3, "another secret");
    let (another, mails) = attempt(1, "one", "bob@example.org").await;
    assert_eq!(mails, 4, "another address");
    assert!(first != other && first != another && other != another);

    // Mails overtake each other: the token before is good as well.
    let letters = scene.mailbox.letters();
    for letter in [&letters[0], &letters[1]] {
        let body = json!({ "sid": first, "client_secret": "one", "token": token_in(&letter.text) });
        assert_eq!(alice.post(SUBMIT, &body).await.0, 200);
    }
}

#[tokio::test]
async fn a_mail_that_could_not_be_sent_is_sent_when_the_request_comes_again() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let body = json!({ "client_secret": "secret", "email": "alice@example.org", "send_attempt": 1 });
    scene.mailbox.refuse(true);
    let (status, answer) = alice.post(REQUEST, &body).await;
    assert_eq!((status, errcode(&answer)), (400, "M_EMAIL_SEND_ERROR"));
    scene.mailbox.refuse(false);
    assert_eq!(alice.post(REQUEST, &body).await.0, 200);
    assert_eq!(scene.mailbox.letters().len(), 1);
}

#[tokio::test]
async fn without_a_mail_server_nothing_is_sent() {
    let scene = Scene::with(|config| config.email.smtp_url.clear()).await;
    let alice = scene.member("alice").await;
    let body = json!({ "client_secret": "secret", "email": "alice@example.org", "send_attempt": 1 });
    let (status, answer) = alice.post(REQUEST, &body).await;
    assert_eq!((status, errcode(&answer)), (400, "M_EMAIL_SEND_ERROR"));
}

#[tokio::test]
async fn a_form_is_understood_as_well_as_json() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let authorization = format!("Bearer {}", alice.token);
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", authorization.as_str())];
    let path = format!("/_matrix/identity/v2{REQUEST}");
    let body = "client_secret=secret&email=alice%2Bx%40example.org&send_attempt=1";
    let answer = scene.server.client().raw(Method::POST, &path, &headers, body).await;
    assert_eq!(answer.status, 200);
    let mail = scene.mailbox.last();
    assert_eq!(mail.to, ["alice+x@example.org"]);
    let sid = answer.json()["sid"].as_str().unwrap().to_owned();
    let body = format!("client_secret=secret&sid={sid}&token={}", token_in(&mail.text));
    let path = format!("/_matrix/identity/v2{SUBMIT}");
    assert_eq!(scene.server.client().raw(Method::POST, &path, &headers, body).await.json(), json!({ "success": true }));
    let body = format!("client_secret=secret&sid={sid}&mxid=%40alice%3Alocalhost");
    let answer = scene.server.client().raw(Method::POST, "/_matrix/identity/v2/3pid/bind", &headers, body).await;
    assert_eq!(answer.json()["mxid"], "@alice:localhost");
}

#[tokio::test]
async fn the_next_link_is_followed_to_allowed_hosts_only() {
    let scene = Scene::with(|config| config.identity.next_link_hosts = vec!["app.example".to_owned()]).await;
    let alice = scene.member("alice").await;
    let request = async |link: &str| {
        let body =
            json!({ "client_secret": "secret", "email": "alice@example.org", "send_attempt": 1, "next_link": link });
        alice.post(REQUEST, &body).await
    };
    for link in [
        "https://evil.example/",
        "https://app.example.evil.example/",
        "https://app.example@evil.example/",
        "https://user:password@app.example/",
        "https:\\\\evil.example",
        "//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "app.example",
        "https://app.example/\r\nSet-Cookie: x",
    ] {
        let (status, answer) = request(link).await;
        assert_eq!((status, errcode(&answer)), (400, "M_INVALID_PARAM"), "{link}");
    }
    assert!(scene.mailbox.letters().is_empty());
    assert_eq!(request("https://app.example/welcome?a=b#c").await.0, 200);
    let link = link_in(&scene.mailbox.last().text);
    let answer = scene.server.client().raw(Method::GET, &link, &[], "").await;
    assert_eq!((answer.status, answer.header("location")), (302, "https://app.example/welcome?a=b#c"));
    // What browsers and others read differently goes out as it was understood here.
    let strange = json!({
        "client_secret": "other",
        "email": "alice@example.org",
        "send_attempt": 1,
        "next_link": "https:app.example\\@evil.example",
    });
    assert_eq!(alice.post(REQUEST, &strange).await.0, 200);
    let link = link_in(&scene.mailbox.last().text);
    let answer = scene.server.client().raw(Method::GET, &link, &[], "").await;
    assert_eq!((answer.status, answer.header("location")), (302, "https://app.example/@evil.example"));
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_a_request_is_named() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let good = json!({ "client_secret": "secret", "email": "alice@example.org", "send_attempt": 1 });
    for key in ["client_secret", "email", "send_attempt"] {
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove(key);
        let (status, answer) = alice.post(REQUEST, &less).await;
        assert_eq!((status, errcode(&answer)), (400, "M_MISSING_PARAMS"), "{key}");
    }
    for (key, value, code) in [
        ("client_secret", json!(""), "M_INVALID_PARAM"),
        ("client_secret", json!("with space"), "M_INVALID_PARAM"),
        ("client_secret", json!("x".repeat(256)), "M_INVALID_PARAM"),
        ("client_secret", json!(7), "M_INVALID_PARAM"),
        ("send_attempt", json!(1.5), "M_INVALID_PARAM"),
        ("send_attempt", json!("first"), "M_INVALID_PARAM"),
        ("send_attempt", json!(true), "M_INVALID_PARAM"),
        ("email", json!("not an address"), "M_INVALID_EMAIL"),
        ("email", json!("Alice <alice@example.org>"), "M_INVALID_EMAIL"),
        ("email", json!(["alice@example.org"]), "M_INVALID_PARAM"),
        ("next_link", json!({}), "M_INVALID_PARAM"),
    ] {
        let mut wrong = good.clone();
        wrong[key] = value;
        let (status, answer) = alice.post(REQUEST, &wrong).await;
        assert_eq!((status, errcode(&answer)), (400, code), "{wrong}");
    }
    assert!(scene.mailbox.letters().is_empty());
}
