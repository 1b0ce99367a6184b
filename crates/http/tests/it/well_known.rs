//! <https://spec.matrix.org/v1.19/client-server-api/#well-known-uris>

use roost_testkit::Server;
use serde_json::json;

#[tokio::test]
async fn the_documents_name_the_public_base_url() {
    let server =
        Server::with(|config| config.top.public_base_url = Some("https://matrix.example.org/".to_owned())).await;
    let (status, body) = server.get("/.well-known/matrix/client").await;
    assert_eq!((status, body), (200, json!({ "m.homeserver": { "base_url": "https://matrix.example.org" } })));
    let (status, body) = server.get("/.well-known/matrix/server").await;
    assert_eq!((status, body), (200, json!({ "m.server": "matrix.example.org:443" })));
}

#[tokio::test]
async fn without_a_base_url_there_is_nothing_to_find() {
    let server = Server::start().await;
    for document in ["client", "server", "support"] {
        let (status, body) = server.get(&format!("/.well-known/matrix/{document}")).await;
        assert_eq!((status, body["errcode"].as_str()), (404, Some("M_NOT_FOUND")), "{document}");
    }
}

#[tokio::test]
async fn a_server_without_federation_delegates_nothing() {
    let server = Server::with(|config| {
        config.top.public_base_url = Some("https://matrix.example.org".to_owned());
        config.federation.enabled = false;
    })
    .await;
    assert_eq!(server.get("/.well-known/matrix/server").await.0, 404);
}

#[tokio::test]
async fn the_support_document_names_the_administrator() {
    let server = Server::with(|config| {
        config.support.email = "admin@example.org".to_owned();
        config.support.page = "https://example.org/support".to_owned();
    })
    .await;
    let (status, body) = server.get("/.well-known/matrix/support").await;
    let contacts = json!([{ "role": "m.role.admin", "email_address": "admin@example.org" }]);
    assert_eq!((status, body), (200, json!({ "contacts": contacts, "support_page": "https://example.org/support" })));
}
