//! Limits by address, by account and by third-party id.

use roost_testkit::config::RateSetting;
use serde_json::json;

use super::{Scene, errcode};

#[tokio::test]
async fn an_address_gets_so_many_messages_whoever_asks_for_them() {
    let scene = Scene::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.identity_messages_per_third_party_id = RateSetting::of(2, 3600);
    })
    .await;
    let (alice, bob) = (scene.member("alice").await, scene.member("bob").await);
    let request = |secret: &str, email: &str| json!({ "client_secret": secret, "email": email, "send_attempt": 1 });
    let path = "/validate/email/requestToken";
    assert_eq!(alice.post(path, &request("a", "victim@example.org")).await.0, 200);
    assert_eq!(bob.post(path, &request("b", "Victim@Example.org")).await.0, 200);
    let (status, body) = bob.post(path, &request("c", "VICTIM@example.org")).await;
    assert_eq!((status, errcode(&body)), (429, "M_LIMIT_EXCEEDED"));
    assert_eq!(bob.post(path, &request("c", "other@example.org")).await.0, 200);
    assert_eq!(scene.mailbox.letters().len(), 3);
}

#[tokio::test]
async fn an_account_sends_so_many_messages() {
    let scene = Scene::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.identity_messages_per_user = RateSetting::of(2, 3600);
    })
    .await;
    let alice = scene.member("alice").await;
    let mut statuses = Vec::new();
    for number in 0..3 {
        let body = json!({ "client_secret": "a", "email": format!("a{number}@example.org"), "send_attempt": 1 });
        statuses.push(alice.post("/validate/email/requestToken", &body).await.0);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(scene.member("bob").await.get("/account").await.0, 200);
}

#[tokio::test]
async fn an_account_looks_up_so_many_addresses_however_it_asks() {
    let scene = Scene::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.identity_looked_up_per_user = RateSetting::of(10, 3600);
    })
    .await;
    let (alice, bob) = (scene.member("alice").await, scene.member("bob").await);
    let (_, details) = alice.get("/hash_details").await;
    let body = |count: usize| json!({ "algorithm": "sha256", "pepper": details["lookup_pepper"], "addresses": vec!["x"; count] });
    assert_eq!(alice.post("/lookup", &body(6)).await.0, 200);
    let (status, answer) = alice.post("/lookup", &body(6)).await;
    assert_eq!((status, errcode(&answer)), (429, "M_LIMIT_EXCEEDED"));
    assert!(answer["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0));
    assert_eq!(alice.post("/lookup", &body(3)).await.0, 200, "what is left of the allowance");
    assert_eq!(bob.post("/lookup", &body(10)).await.0, 200);
}

#[tokio::test]
async fn an_address_registers_so_often() {
    let scene = Scene::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.identity_registration_per_address = RateSetting::of(2, 3600);
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(scene.server.post("/_matrix/identity/v2/account/register", &json!({})).await.0);
    }
    assert_eq!(statuses, [400, 400, 429]);
}
