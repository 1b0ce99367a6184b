//! <https://spec.matrix.org/v1.19/client-server-api/#openid>

use roost_testkit::Server;
use serde_json::json;

use super::errcode;

#[tokio::test]
async fn a_user_gets_a_token_of_the_shape_that_the_specification_wants() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (status, body) = alice.post("/_matrix/client/v3/user/@alice:localhost/openid/request_token", &json!({})).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["matrix_server_name"], "localhost");
    assert_eq!(body["expires_in"], 3600);
    assert!(body["access_token"].as_str().is_some_and(|token| token.len() > 30));
}

#[tokio::test]
async fn nobody_gets_a_token_of_somebody_else_or_of_nobody() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    server.register("bob").await;
    let path = "/_matrix/client/v3/user/@bob:localhost/openid/request_token";
    let (status, body) = alice.post(path, &json!({})).await;
    assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"));
    let (status, body) = server.post(path, &json!({})).await;
    assert_eq!((status, errcode(&body)), (401, "M_MISSING_TOKEN"));
}

#[tokio::test]
async fn the_token_is_good_for_nothing_else() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (_, body) = alice.post("/_matrix/client/v3/user/@alice:localhost/openid/request_token", &json!({})).await;
    let token = body["access_token"].as_str().unwrap();
    let whoami = "/_matrix/client/v3/account/whoami";
    let (status, body) = server.client().call(http::Method::GET, whoami, token, None).await;
    assert_eq!((status, errcode(&body)), (401, "M_UNKNOWN_TOKEN"));
}
