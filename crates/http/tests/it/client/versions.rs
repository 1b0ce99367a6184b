//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions>

use roost_testkit::Server;

#[tokio::test]
async fn the_versions_are_told_to_everybody() {
    let server = Server::start().await;
    let (status, body) = server.get("/_matrix/client/versions").await;
    assert_eq!(status, 200);
    let versions: Vec<_> =
        body["versions"].as_array().unwrap().iter().map(|version| version.as_str().unwrap()).collect();
    assert!(versions.contains(&"v1.1") && versions.contains(&"v1.19"), "{versions:?}");
    assert!(body["unstable_features"].as_object().unwrap().values().all(serde_json::Value::is_boolean));
}
