//! <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version>

use roost_testkit::{Server, config::Serves};

#[tokio::test]
async fn the_server_says_what_it_is() {
    let server = Server::start().await;
    let (status, body) = server.get("/_matrix/federation/v1/version").await;
    assert_eq!((status, body["server"]["name"].as_str()), (200, Some("Roost")));
    assert!(body["server"]["version"].as_str().is_some_and(|version| !version.is_empty()));
}

#[tokio::test]
async fn other_servers_are_answered_only_where_federation_is_served_and_enabled() {
    let off = Server::with(|config| config.federation.enabled = false).await;
    let elsewhere = Server::with(|config| config.listen[0].serves.0 = vec![Serves::Client]).await;
    for server in [off, elsewhere] {
        for path in ["/_matrix/federation/v1/version", "/_matrix/key/v2/server"] {
            let (status, body) = server.get(path).await;
            assert_eq!((status, body["errcode"].as_str()), (404, Some("M_UNRECOGNIZED")), "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_endpoint_are_unrecognized() {
    let server = Server::start().await;
    let (status, body) = server.post("/_matrix/federation/v1/version", &serde_json::json!({})).await;
    assert_eq!((status, body["errcode"].as_str()), (405, Some("M_UNRECOGNIZED")));
    let (status, body) = server.get("/_matrix/federation/v9/nothing").await;
    assert_eq!((status, body["errcode"].as_str()), (404, Some("M_UNRECOGNIZED")));
}
