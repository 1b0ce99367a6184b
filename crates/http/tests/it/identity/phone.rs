//! <https://spec.matrix.org/v1.19/identity-service-api/#phone-number-associations>

use serde_json::{Value, json};

use super::{Scene, errcode};

const REQUEST: &str = "/validate/msisdn/requestToken";

fn request(country: &str, number: &str, attempt: i64) -> Value {
    json!({ "client_secret": "secret", "country": country, "phone_number": number, "send_attempt": attempt })
}

/// What the gateway was asked last.
fn sent(scene: &Scene) -> Value {
    serde_json::from_slice(&scene.gateway.seen().last().expect("a message").body).unwrap()
}

#[tokio::test]
async fn an_sms_with_a_code_proves_the_number() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let (status, answer) = alice.post(REQUEST, &request("GB", "07700900001", 1)).await;
    assert_eq!(status, 200, "{answer}");
    let sid = answer["sid"].as_str().unwrap();
    let seen = scene.gateway.seen().remove(0);
    assert_eq!(seen.uri.to_string(), "/send?key=secret");
    assert_eq!(seen.headers["authorization"], "Bearer gateway");
    assert_eq!(seen.headers["content-type"], "application/json");
    let message = sent(&scene);
    assert_eq!((&message["to"], &message["from"]), (&json!("+447700900001"), &json!("Roost")));
    let code = message["text"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    assert!(code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()), "{message}");

    let body = json!({ "sid": sid, "client_secret": "secret", "token": code });
    let (status, answer) = alice.post("/validate/email/submitToken", &body).await;
    assert_eq!((status, errcode(&answer)), (400, "M_INVALID_PARAM"), "it is no session of a mail address");
    assert_eq!(alice.post("/validate/msisdn/submitToken", &body).await, (200, json!({ "success": true })));
    let bind = json!({ "sid": sid, "client_secret": "secret", "mxid": alice.user.id });
    let (status, answer) = alice.post("/3pid/bind", &bind).await;
    assert_eq!((status, &answer["medium"], &answer["address"]), (200, &json!("msisdn"), &json!("447700900001")));
}

#[tokio::test]
async fn another_sms_is_sent_only_for_a_higher_send_attempt() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    for (country, number, attempt, messages) in [
        ("GB", "07700900001", 1, 1),
        ("GB", "07700900001", 1, 1),
        ("GB", "07700900001", 2, 2),
        // The same number, but another triple of country, number and secret.
        ("US", "+44 7700 900001", 1, 3),
    ] {
        assert_eq!(alice.post(REQUEST, &request(country, number, attempt)).await.0, 200);
        assert_eq!(scene.gateway.seen().len(), messages, "{country} {number} {attempt}");
    }
}

#[tokio::test]
async fn a_country_without_a_gateway_is_refused() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let (status, answer) = alice.post(REQUEST, &request("US", "8005552067", 1)).await;
    assert_eq!((status, errcode(&answer)), (400, "M_DESTINATION_REJECTED"));
    // What counts is where the number belongs, not from where it is dialled.
    assert_eq!(alice.post(REQUEST, &request("US", "+49 170 1234567", 1)).await.0, 200);
    assert_eq!(sent(&scene)["to"], "+491701234567");
}

#[tokio::test]
async fn a_gateway_that_fails_is_told_and_can_be_tried_again() {
    let failing = roost_testkit::outside::Server::start(None, |_| roost_testkit::outside::Answer::status(500)).await;
    let url = format!("http://{}/", failing.address());
    let scene = Scene::with(|config| config.identity.sms_gateways.0[0].url = url).await;
    let alice = scene.member("alice").await;
    for tries in 1..=2 {
        let (status, answer) = alice.post(REQUEST, &request("GB", "07700900001", 1)).await;
        assert_eq!((status, errcode(&answer)), (400, "M_SEND_ERROR"));
        assert_eq!(failing.seen().len(), tries, "the failed attempt does not count");
    }
}

#[tokio::test]
async fn a_gateway_can_want_a_form_and_other_names() {
    let scene = Scene::with(|config| {
        let gateway = &mut config.identity.sms_gateways.0[0];
        gateway.content_type = "application/x-www-form-urlencoded".to_owned();
        gateway.body = "recipient={{digits}}&country={{country}}&sender={{from}}&message={{text}}".to_owned();
        gateway.from = "A & B".to_owned();
    })
    .await;
    let alice = scene.member("alice").await;
    assert_eq!(alice.post(REQUEST, &request("GB", "07700900001", 1)).await.0, 200);
    let seen = scene.gateway.seen().remove(0);
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    let body = String::from_utf8(seen.body.to_vec()).unwrap();
    assert!(body.starts_with("recipient=447700900001&country=GB&sender=A%20%26%20B&message="), "{body}");
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_a_request_is_named() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    for key in ["client_secret", "country", "phone_number", "send_attempt"] {
        let mut less = request("GB", "07700900001", 1);
        less.as_object_mut().unwrap().remove(key);
        let (status, answer) = alice.post(REQUEST, &less).await;
        assert_eq!((status, errcode(&answer)), (400, "M_MISSING_PARAMS"), "{key}");
    }
    for (country, number, code) in [
        ("GB", "not a number", "M_INVALID_ADDRESS"),
        ("GB", "12", "M_INVALID_ADDRESS"),
        ("GB", "07700900001\r\nx", "M_INVALID_ADDRESS"),
        ("gb", "07700900001", "M_INVALID_PARAM"),
        ("", "07700900001", "M_INVALID_PARAM"),
    ] {
        let (status, answer) = alice.post(REQUEST, &request(country, number, 1)).await;
        assert_eq!((status, errcode(&answer)), (400, code), "{country} {number}");
    }
    assert!(scene.gateway.seen().is_empty());
}
