//! <https://spec.matrix.org/v1.19/identity-service-api/#key-management>

use roost_testkit::segment;
use serde_json::json;

use super::{Scene, errcode};

#[tokio::test]
async fn a_long_term_key_is_told_by_its_id_and_is_valid() {
    let mut scene = Scene::new().await;
    let key = scene.server.house().identity.as_ref().unwrap().keys().remove(0);
    let path = format!("/_matrix/identity/v2/pubkey/{}", segment(&key.key_id));
    assert_eq!(scene.server.get(&path).await, (200, json!({ "public_key": key.public_key })));
    let valid = format!("/_matrix/identity/v2/pubkey/isvalid?public_key={}", key.public_key);
    assert_eq!(scene.server.get(&valid).await, (200, json!({ "valid": true })));
    let ephemeral = format!("/_matrix/identity/v2/pubkey/ephemeral/isvalid?public_key={}", key.public_key);
    assert_eq!(scene.server.get(&ephemeral).await, (200, json!({ "valid": false })), "it is no ephemeral key");
    scene.server.restart().await;
    assert_eq!(scene.server.get(&path).await, (200, json!({ "public_key": key.public_key })), "it stays");
}

#[tokio::test]
async fn a_key_that_is_not_there_is_not_found_and_not_valid() {
    let scene = Scene::new().await;
    for key_id in ["ed25519:nothing", "rsa:1", "x", "ed25519%3A0"] {
        let (status, body) = scene.server.get(&format!("/_matrix/identity/v2/pubkey/{key_id}")).await;
        assert_eq!((status, errcode(&body)), (404, "M_NOT_FOUND"), "{key_id}");
    }
    for kind in ["isvalid", "ephemeral/isvalid"] {
        for key in ["VXuGitF39UH5iRfvbIknlvlAVKgD1BsLDMvBf0pmp7c", "", "%00", "not+base64"] {
            let path = format!("/_matrix/identity/v2/pubkey/{kind}?public_key={key}");
            assert_eq!(scene.server.get(&path).await, (200, json!({ "valid": false })), "{path}");
        }
        let (status, body) = scene.server.get(&format!("/_matrix/identity/v2/pubkey/{kind}")).await;
        assert_eq!((status, errcode(&body)), (400, "M_MISSING_PARAMS"));
    }
}
