//! <https://spec.matrix.org/v1.19/identity-service-api/#general>

use roost_matrix::signing::{self, PublicKey};
use serde_json::json;

use super::{Scene, errcode};

#[tokio::test]
async fn a_bound_address_is_answered_signed_and_found() {
    let mut scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let signed = alice.bind(&scene.mailbox, "Alice@Example.org").await;
    assert_eq!(signed["address"], "alice@example.org");
    assert_eq!((&signed["medium"], &signed["mxid"]), (&json!("email"), &json!("@alice:localhost")));
    let (ts, from, to) = (&signed["ts"], signed["not_before"].as_u64().unwrap(), signed["not_after"].as_u64().unwrap());
    assert_eq!(ts.as_u64(), Some(from));
    assert!(to > from);
    let key = scene.server.house().identity.as_ref().unwrap().keys().remove(0);
    let public = PublicKey::from_base64(&key.public_key).unwrap();
    let known = |key_id: &str| (key_id == key.key_id).then_some(public);
    signing::verify_json(signed.to_string().as_bytes(), "localhost", known).unwrap();

    assert_eq!(alice.look_up("alice@example.org").await.as_deref(), Some("@alice:localhost"));
    scene.server.restart().await;
    assert_eq!(alice.look_up("alice@example.org").await.as_deref(), Some("@alice:localhost"));
}

#[tokio::test]
async fn an_address_that_is_not_proved_can_not_be_bound() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let sid = alice.request_email("secret", "alice@example.org").await;
    let bind = async |sid: &str, secret: &str| {
        let body = json!({ "sid": sid, "client_secret": secret, "mxid": alice.user.id });
        alice.post("/3pid/bind", &body).await
    };
    let (status, body) = bind(&sid, "secret").await;
    assert_eq!((status, errcode(&body)), (400, "M_SESSION_NOT_VALIDATED"));
    for (sid, secret) in [("nothing", "secret"), (sid.as_str(), "another")] {
        let (status, body) = bind(sid, secret).await;
        assert_eq!((status, errcode(&body)), (404, "M_NO_VALID_SESSION"));
        let path = format!("/3pid/getValidated3pid?sid={sid}&client_secret={secret}");
        let (status, body) = alice.get(&path).await;
        assert_eq!((status, errcode(&body)), (404, "M_NO_VALID_SESSION"));
    }
    assert_eq!(alice.look_up("alice@example.org").await, None);
}

#[tokio::test]
async fn whoever_owns_an_address_can_bind_it_to_any_user_and_the_last_one_counts() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    alice.bind(&scene.mailbox, "alice@example.org").await;
    let sid = alice.validate(&scene.mailbox, "other_secret", "alice@example.org").await;
    let body = json!({ "sid": sid, "client_secret": "other_secret", "mxid": "@billg:microsoft.com" });
    let (status, answer) = alice.post("/3pid/bind", &body).await;
    assert_eq!((status, &answer["mxid"]), (200, &json!("@billg:microsoft.com")), "as the specification has it");
    assert_eq!(alice.look_up("alice@example.org").await.as_deref(), Some("@billg:microsoft.com"));
}

#[tokio::test]
async fn a_session_that_proves_the_address_unbinds_it() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    alice.bind(&scene.mailbox, "alice@example.org").await;
    let sid = alice.validate(&scene.mailbox, "s2", "alice@example.org").await;
    let unbind = async |sid: &str, secret: &str, mxid: &str, address: &str| {
        let threepid = json!({ "medium": "email", "address": address });
        let body = json!({ "sid": sid, "client_secret": secret, "mxid": mxid, "threepid": threepid });
        alice.post("/3pid/unbind", &body).await
    };
    let (status, body) = unbind(&sid, "s2", "@alice:localhost", "bob@example.org").await;
    assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"), "the session proves another address");
    let (status, body) = unbind(&sid, "wrong", "@alice:localhost", "alice@example.org").await;
    assert_eq!((status, errcode(&body)), (404, "M_NO_VALID_SESSION"));
    assert_eq!(unbind(&sid, "s2", "@bob:localhost", "alice@example.org").await, (200, json!({})));
    assert!(alice.look_up("alice@example.org").await.is_some(), "nothing of bob's was there to be removed");
    assert_eq!(unbind(&sid, "s2", "@alice:localhost", "Alice@Example.org").await, (200, json!({})));
    assert_eq!(alice.look_up("alice@example.org").await, None);
    assert_eq!(unbind(&sid, "s2", "@alice:localhost", "alice@example.org").await, (200, json!({})), "again");
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_a_request_is_named() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    for (path, body, code) in [
        ("/3pid/bind", json!({}), "M_MISSING_PARAMS"),
        ("/3pid/bind", json!({ "sid": "a", "client_secret": "b" }), "M_MISSING_PARAMS"),
        ("/3pid/bind", json!({ "sid": "a", "client_secret": "b", "mxid": "alice" }), "M_INVALID_PARAM"),
        ("/3pid/bind", json!({ "sid": "a b", "client_secret": "b", "mxid": "@a:b" }), "M_INVALID_PARAM"),
        ("/3pid/bind", json!({ "sid": "a", "client_secret": "\u{e9}", "mxid": "@a:b" }), "M_INVALID_PARAM"),
        ("/3pid/unbind", json!({ "mxid": "@a:b" }), "M_MISSING_PARAMS"),
        ("/3pid/unbind", json!({ "mxid": "@a:b", "threepid": "x" }), "M_INVALID_PARAM"),
        ("/3pid/unbind", json!({ "mxid": "@a:b", "threepid": { "medium": "email" } }), "M_MISSING_PARAMS"),
        (
            "/3pid/unbind",
            json!({ "mxid": "@a:b", "threepid": { "medium": "pigeon", "address": "x" } }),
            "M_INVALID_PARAM",
        ),
        (
            "/3pid/unbind",
            json!({ "mxid": "@a:b", "threepid": { "medium": "email", "address": "a@b.c" } }),
            "M_MISSING_PARAMS",
        ),
    ] {
        let (status, answer) = alice.post(path, &body).await;
        assert_eq!((status, errcode(&answer)), (400, code), "{path} {body}");
    }
    for query in ["", "?sid=a", "?client_secret=a"] {
        let (status, body) = alice.get(&format!("/3pid/getValidated3pid{query}")).await;
        assert_eq!((status, errcode(&body)), (400, "M_MISSING_PARAMS"), "{query}");
    }
}
