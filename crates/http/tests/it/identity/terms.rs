//! <https://spec.matrix.org/v1.19/identity-service-api/#terms-of-service>

use roost_identity::{Policy, PolicyText};
use roost_testkit::config::Config;
use serde_json::json;

use super::{Scene, errcode};

fn two_policies(config: &mut Config) {
    let policy = |id: &str, languages: &[&str]| Policy {
        id: id.to_owned(),
        version: "1.0".to_owned(),
        languages: languages
            .iter()
            .map(|language| {
                let url = format!("https://id.example/{id}-1.0-{language}.html");
                ((*language).to_owned(), PolicyText { name: format!("{id} in {language}"), url })
            })
            .collect(),
    };
    config.identity.terms.0 = vec![policy("terms", &["en", "fr"]), policy("privacy", &["en"])];
}

#[tokio::test]
async fn a_server_without_policies_asks_for_nothing() {
    let scene = Scene::new().await;
    assert_eq!(scene.server.get("/_matrix/identity/v2/terms").await, (200, json!({ "policies": {} })));
    assert_eq!(scene.member("alice").await.get("/account").await.0, 200);
}

#[tokio::test]
async fn the_policies_are_told_to_everybody() {
    let scene = Scene::with(two_policies).await;
    let (status, body) = scene.server.get("/_matrix/identity/v2/terms").await;
    assert_eq!(status, 200);
    assert_eq!(body["policies"]["terms"]["version"], "1.0");
    let french = json!({ "name": "terms in fr", "url": "https://id.example/terms-1.0-fr.html" });
    assert_eq!(body["policies"]["terms"]["fr"], french);
    assert_eq!(body["policies"]["privacy"]["en"]["name"], "privacy in en");
}

#[tokio::test]
async fn nothing_works_before_the_terms_are_accepted_but_accepting_and_leaving() {
    let scene = Scene::with(two_policies).await;
    let alice = scene.member("alice").await;
    for path in ["/account", "/hash_details", "/3pid/getValidated3pid?sid=a&client_secret=b"] {
        let (status, body) = alice.get(path).await;
        assert_eq!((status, errcode(&body)), (403, "M_TERMS_NOT_SIGNED"), "{path}");
    }
    for path in [
        "/lookup",
        "/store-invite",
        "/sign-ed25519",
        "/validate/email/requestToken",
        "/validate/msisdn/submitToken",
        "/3pid/bind",
        "/3pid/unbind",
    ] {
        let (status, body) = alice.post(path, &json!({})).await;
        assert_eq!((status, errcode(&body)), (403, "M_TERMS_NOT_SIGNED"), "{path}");
    }
    // One after the other, and any language will do.
    let accept = |url: &str| json!({ "user_accepts": [url] });
    assert_eq!(alice.post("/terms", &accept("https://id.example/terms-1.0-fr.html")).await, (200, json!({})));
    assert_eq!(errcode(&alice.get("/account").await.1), "M_TERMS_NOT_SIGNED");
    assert_eq!(alice.post("/terms", &accept("https://id.example/privacy-1.0-en.html")).await, (200, json!({})));
    assert_eq!(alice.get("/account").await.0, 200);

    let bob = scene.member("bob").await;
    assert_eq!(errcode(&bob.get("/account").await.1), "M_TERMS_NOT_SIGNED", "each for themselves");
    assert_eq!(bob.post("/account/logout", &json!({})).await, (200, json!({})));
}

#[tokio::test]
async fn what_belongs_to_no_policy_accepts_nothing() {
    let scene = Scene::with(two_policies).await;
    let alice = scene.member("alice").await;
    let urls = json!({ "user_accepts": ["https://id.example/terms-0.9-en.html", "", "https://elsewhere.example/"] });
    assert_eq!(alice.post("/terms", &urls).await, (200, json!({})));
    assert_eq!(errcode(&alice.get("/account").await.1), "M_TERMS_NOT_SIGNED");
    let (status, body) = alice.post("/terms", &json!({})).await;
    assert_eq!((status, errcode(&body)), (400, "M_MISSING_PARAMS"));
    let (status, body) = alice.post("/terms", &json!({ "user_accepts": "all" })).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
}
