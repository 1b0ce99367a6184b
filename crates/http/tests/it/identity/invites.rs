//! <https://spec.matrix.org/v1.19/identity-service-api/#invitation-storage>

use roost_matrix::{
    base64,
    signing::{self, PublicKey},
};
use roost_testkit::segment;
use serde_json::{Value, json};

use super::{Member, Scene, errcode};

fn invite(address: &str) -> Value {
    json!({
        "medium": "email",
        "address": address,
        "room_id": "!something:example.org",
        "sender": "@alice:localhost",
        "room_name": "Bob's Emporium of <Messages>",
        "room_alias": "#somewhere:example.org",
        "room_avatar_url": "mxc://example.org/s0meM3dia",
        "room_join_rules": "public",
        "sender_display_name": "Alice\r\nBcc: victim@example.org",
        "sender_avatar_url": "mxc://example.org/an0th3rM3dia",
        "org.example.further": { "anything": true },
    })
}

async fn store(member: &Member, body: &Value) -> Value {
    let (status, answer) = member.post("/store-invite", body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The private key of an invitation, as its mail has it.
fn private_key(mail: &str) -> String {
    let rest = mail.split("private_key%3D").nth(1).expect("a private key");
    let key: String = rest.chars().take_while(|c| !matches!(c, '&' | ' ' | '\n')).collect();
    key.replace("%252B", "+").replace("%2F", "/")
}

#[tokio::test]
async fn an_invitation_is_kept_and_announced_by_mail() {
    let scene = Scene::with(|config| config.identity.web_client = "https://app.example".to_owned()).await;
    let alice = scene.member("alice").await;
    let answer = store(&alice, &invite("Foo@Bar.com")).await;
    let token = answer["token"].as_str().unwrap();
    assert!((1..=255).contains(&token.len()));
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".=_-".contains(&byte)), "{token}");
    assert_eq!(answer["display_name"], "f...@b...");

    let [long, short] = &answer["public_keys"].as_array().unwrap()[..] else { panic!("two keys: {answer}") };
    for (key, path) in [(long, "pubkey/isvalid"), (short, "pubkey/ephemeral/isvalid")] {
        let url = key["key_validity_url"].as_str().unwrap();
        assert_eq!(url, format!("{}/_matrix/identity/v2/{path}", scene.server.url()));
        let path = url.strip_prefix(&scene.server.url()).unwrap();
        let query = segment(key["public_key"].as_str().unwrap());
        assert_eq!(scene.server.get(&format!("{path}?public_key={query}")).await, (200, json!({ "valid": true })));
    }

    let mail = scene.mailbox.last();
    assert_eq!(mail.to, ["foo@bar.com"]);
    let head = mail.text.split("\n\n").next().unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    assert!(mail.text.contains("Bob's Emporium of <Messages>"), "{}", mail.text);
    assert!(mail.text.contains("Bob&#39;s Emporium of &lt;Messages&gt;"), "{}", mail.text);
    assert!(mail.text.contains("https://app.example/#/room/%21something%3Aexample.org?email=foo%40bar.com&signurl="));
}

#[tokio::test]
async fn an_invitation_is_signed_with_the_key_from_its_mail() {
    let scene = Scene::with(|config| config.identity.web_client = "https://app.example".to_owned()).await;
    let alice = scene.member("alice").await;
    let answer = store(&alice, &invite("foo@bar.com")).await;
    let key = private_key(&scene.mailbox.last().text);
    let bob = scene.member("bob").await;
    let body = json!({ "mxid": bob.user.id, "token": answer["token"], "private_key": key });
    let (status, signed) = bob.post("/sign-ed25519", &body).await;
    assert_eq!(status, 200, "{signed}");
    assert_eq!(signed["mxid"], "@bob:localhost");
    assert_eq!(signed["sender"], "@alice:localhost");
    assert_eq!(signed["token"], answer["token"]);
    let public = PublicKey::from_base64(answer["public_keys"][1]["public_key"].as_str().unwrap()).unwrap();
    signing::verify_json(signed.to_string().as_bytes(), "localhost", |_| Some(public)).unwrap();
}

#[tokio::test]
async fn what_can_not_be_signed_is_refused() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let token = store(&alice, &invite("foo@bar.com")).await["token"].clone();
    let key = base64::encode(&[7; 32]);
    let good = json!({ "mxid": "@bob:localhost", "token": token, "private_key": key });
    assert_eq!(alice.post("/sign-ed25519", &good).await.0, 200);
    for key in ["mxid", "token", "private_key"] {
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove(key);
        let (status, answer) = alice.post("/sign-ed25519", &less).await;
        assert_eq!((status, errcode(&answer)), (400, "M_MISSING_PARAMS"), "{key}");
    }
    for (key, value, status, code) in [
        ("token", json!("unknown"), 404, "M_UNRECOGNIZED"),
        ("token", json!("x".repeat(10_000)), 404, "M_UNRECOGNIZED"),
        ("private_key", json!("!"), 400, "M_INVALID_PARAM"),
        ("private_key", json!(base64::encode(&[7; 31])), 400, "M_INVALID_PARAM"),
        ("private_key", json!("A".repeat(100_000)), 400, "M_INVALID_PARAM"),
        ("mxid", json!("bob"), 400, "M_INVALID_PARAM"),
    ] {
        let mut wrong = good.clone();
        wrong[key] = value;
        let (found, answer) = alice.post("/sign-ed25519", &wrong).await;
        assert_eq!((found, errcode(&answer)), (status, code), "{key}");
    }
}

#[tokio::test]
async fn a_bound_address_is_not_invited_but_told() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    let bob = scene.member("bob").await;
    bob.bind(&scene.mailbox, "bob@example.org").await;
    let (status, answer) = alice.post("/store-invite", &invite("Bob@Example.org")).await;
    assert_eq!((status, errcode(&answer)), (400, "M_THREEPID_IN_USE"));
    assert_eq!(answer["mxid"], "@bob:localhost");
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_an_invitation_is_named() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    for key in ["medium", "address", "room_id", "sender"] {
        let mut less = invite("foo@bar.com");
        less.as_object_mut().unwrap().remove(key);
        let (status, answer) = alice.post("/store-invite", &less).await;
        assert_eq!((status, errcode(&answer)), (400, "M_MISSING_PARAMS"), "{key}");
    }
    for (key, value, status, code) in [
        ("medium", json!("msisdn"), 400, "M_UNRECOGNIZED"),
        ("medium", json!("pigeon"), 400, "M_UNRECOGNIZED"),
        ("address", json!("foo"), 400, "M_INVALID_EMAIL"),
        ("room_id", json!("something"), 400, "M_INVALID_PARAM"),
        ("sender", json!("alice"), 400, "M_INVALID_PARAM"),
        ("room_name", json!(7), 400, "M_INVALID_PARAM"),
        ("sender", json!("@bob:localhost"), 403, "M_FORBIDDEN"),
    ] {
        let mut wrong = invite("foo@bar.com");
        wrong[key] = value;
        let (found, answer) = alice.post("/store-invite", &wrong).await;
        assert_eq!((found, errcode(&answer)), (status, code), "{wrong}");
    }
    assert!(scene.mailbox.letters().is_empty());
}

#[tokio::test]
async fn an_invitation_whose_mail_can_not_be_sent_is_not_kept() {
    let scene = Scene::new().await;
    let alice = scene.member("alice").await;
    scene.mailbox.refuse(true);
    let (status, answer) = alice.post("/store-invite", &invite("foo@bar.com")).await;
    assert_eq!((status, errcode(&answer)), (400, "M_EMAIL_SEND_ERROR"));
    scene.mailbox.refuse(false);
    let identity = scene.server.house().identity.clone().unwrap();
    let id = roost_identity::ThirdPartyId::email("foo@bar.com").unwrap();
    assert!(!identity.purge_address(&id).await.unwrap(), "nothing is left of it");
}
