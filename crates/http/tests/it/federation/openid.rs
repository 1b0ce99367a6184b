//! <https://spec.matrix.org/v1.19/server-server-api/#openid>

use roost_testkit::{Server, User};
use serde_json::json;

async fn token(user: &User) -> String {
    let path = format!("/_matrix/client/v3/user/{}/openid/request_token", user.id);
    let (status, body) = user.post(&path, &json!({})).await;
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_tells_whose_it_is() {
    let mut server = Server::start().await;
    let alice = server.register("alice").await;
    let token = token(&alice).await;
    let path = format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
    assert_eq!(server.get(&path).await, (200, json!({ "sub": "@alice:localhost" })));
    server.restart().await;
    assert_eq!(server.get(&path).await, (200, json!({ "sub": "@alice:localhost" })), "it survives a restart");
}

#[tokio::test]
async fn an_unknown_token_is_refused() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for wrong in ["", "x", &alice.token] {
        let (status, body) = server.get(&format!("/_matrix/federation/v1/openid/userinfo?access_token={wrong}")).await;
        assert_eq!((status, body["errcode"].as_str()), (401, Some("M_UNKNOWN_TOKEN")), "{wrong}");
    }
    let (status, body) = server.get("/_matrix/federation/v1/openid/userinfo").await;
    assert_eq!((status, body["errcode"].as_str()), (400, Some("M_MISSING_PARAM")));
}

#[tokio::test]
async fn the_tokens_of_a_deactivated_account_are_good_no_longer() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let token = token(&alice).await;
    let auth = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": alice.id },
        "password": alice.password,
    });
    let (status, body) = alice.post("/_matrix/client/v3/account/deactivate", &json!({ "auth": auth })).await;
    assert_eq!(status, 200, "{body}");
    let (status, _) = server.get(&format!("/_matrix/federation/v1/openid/userinfo?access_token={token}")).await;
    assert_eq!(status, 401);
}
