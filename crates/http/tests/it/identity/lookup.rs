//! <https://spec.matrix.org/v1.19/identity-service-api/#association-lookup>

use roost_matrix::base64;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Member, Scene, errcode};

fn hash(text: &str) -> String {
    base64::encode_url(&Sha256::digest(text.as_bytes()))
}

async fn pepper(member: &Member) -> String {
    let (status, details) = member.get("/hash_details").await;
    assert_eq!(status, 200, "{details}");
    details["lookup_pepper"].as_str().unwrap().to_owned()
}

async fn lookup(member: &Member, algorithm: &str, pepper: &str, addresses: Value) -> (u16, Value) {
    member.post("/lookup", &json!({ "algorithm": algorithm, "pepper": pepper, "addresses": addresses })).await
}

#[tokio::test]
async fn hashes_and_plain_addresses_find_users() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    alice.bind(&scene.mailbox, "alice@example.org").await;
    let (_, details) = alice.get("/hash_details").await;
    assert_eq!(details["algorithms"], json!(["sha256", "none"]));
    let pepper = pepper(&alice).await;
    let known = hash(&format!("alice@example.org email {pepper}"));
    let unknown = hash(&format!("bob@example.org email {pepper}"));
    let (status, body) = lookup(&alice, "sha256", &pepper, json!([known, unknown, known])).await;
    assert_eq!((status, body), (200, json!({ "mappings": { known: "@alice:localhost" } })));
    let asked =
        json!(["alice@example.org email", "alice@example.org msisdn", "alice@example.org", "bob@example.org email"]);
    let (status, body) = lookup(&alice, "none", &pepper, asked).await;
    assert_eq!((status, body), (200, json!({ "mappings": { "alice@example.org email": "@alice:localhost" } })));
    assert_eq!(lookup(&alice, "sha256", &pepper, json!([])).await, (200, json!({ "mappings": {} })));
}

#[tokio::test]
async fn what_was_hashed_or_formatted_wrongly_matches_nothing() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    alice.bind(&scene.mailbox, "alice@example.org").await;
    let pepper = pepper(&alice).await;
    let known = hash(&format!("alice@example.org email {pepper}"));
    let wrong = json!([
        hash(&format!("Alice@Example.org email {pepper}")),
        hash(&format!("alice@example.org msisdn {pepper}")),
        hash("alice@example.org email"),
        format!("{known}="),
        &known[..42],
        "",
        "not base64!",
        "alice@example.org email",
        "x".repeat(10_000),
    ]);
    assert_eq!(lookup(&alice, "sha256", &pepper, wrong).await, (200, json!({ "mappings": {} })));
}

#[tokio::test]
async fn a_wrong_pepper_and_an_unknown_algorithm_are_refused() {
    let scene = Scene::with(|config| config.identity.plain_lookups = false).await;
    let alice = scene.member("alice").await;
    let pepper = pepper(&alice).await;
    for wrong in ["", "matrixrocks", &pepper[1..], &"x".repeat(10_000)] {
        let (status, body) = lookup(&alice, "sha256", wrong, json!([])).await;
        assert_eq!((status, errcode(&body)), (400, "M_INVALID_PEPPER"), "{wrong}");
    }
    for algorithm in ["none", "md5", "SHA256", ""] {
        let (status, body) = lookup(&alice, algorithm, &pepper, json!([])).await;
        assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"), "{algorithm}");
    }
    assert_eq!(alice.get("/hash_details").await.1["algorithms"], json!(["sha256"]));
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_a_lookup_is_named() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let good = json!({ "algorithm": "sha256", "pepper": "x", "addresses": [] });
    for key in ["algorithm", "pepper", "addresses"] {
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove(key);
        let (status, body) = alice.post("/lookup", &less).await;
        assert_eq!((status, errcode(&body)), (400, "M_MISSING_PARAMS"), "{key}");
        let mut wrong = good.clone();
        wrong[key] = json!(7);
        let (status, body) = alice.post("/lookup", &wrong).await;
        assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"), "{key}");
    }
    let (status, body) =
        alice.post("/lookup", &json!({ "algorithm": "sha256", "pepper": "x", "addresses": [7] })).await;
    assert_eq!((status, errcode(&body)), (400, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn a_lookup_asks_for_so_many_addresses_and_no_more() {
    let scene = Scene::with(|config| config.identity.max_lookup = 10).await;
    let alice = scene.member("alice").await;
    let pepper = pepper(&alice).await;
    assert_eq!(lookup(&alice, "sha256", &pepper, json!(vec!["x"; 10])).await.0, 200);
    let (status, body) = lookup(&alice, "sha256", &pepper, json!(vec!["x"; 11])).await;
    assert_eq!((status, errcode(&body)), (413, "M_TOO_LARGE"));
}

#[tokio::test]
async fn lookups_go_on_while_the_pepper_changes() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    alice.bind(&scene.mailbox, "alice@example.org").await;
    let old = pepper(&alice).await;
    let known = hash(&format!("alice@example.org email {old}"));
    let identity = scene.server.house().identity.clone().unwrap();
    assert!(identity.begin_pepper().await.unwrap());
    let mut seen = vec![old.clone()];
    for _ in 0..20 {
        let (status, body) = lookup(&alice, "sha256", &old, json!([known])).await;
        assert_eq!((status, &body["mappings"][&known]), (200, &json!("@alice:localhost")));
        identity.advance_peppers().await.unwrap();
        let now = pepper(&alice).await;
        let hash = hash(&format!("alice@example.org email {now}"));
        let (status, body) = lookup(&alice, "sha256", &now, json!([hash])).await;
        assert_eq!(
            (status, &body["mappings"][&hash]),
            (200, &json!("@alice:localhost")),
            "whatever is handed out works"
        );
        if !seen.contains(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen.len(), 2, "it has changed once");
}
