//! What clients ask for at their start and this server does not have.

use roost_testkit::Server;
use serde_json::json;

#[tokio::test]
async fn what_does_not_exist_is_told_as_the_endpoint_has_it() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    for (path, expected) in [
        ("thirdparty/protocols", Ok(json!({}))),
        ("pushers", Ok(json!({"pushers": []}))),
        ("voip/turnServer", Err("M_NOT_FOUND")),
        ("room_keys/version", Err("M_NOT_FOUND")),
    ] {
        let path = format!("/_matrix/client/v3/{path}");
        let (status, answer) = alice.get(&path).await;
        match expected {
            Ok(body) => assert_eq!((status, answer), (200, body), "{path}"),
            Err(errcode) => assert_eq!((status, &answer["errcode"]), (404, &json!(errcode)), "{path}"),
        }
        let (status, answer) = server.get(&path).await;
        assert_eq!((status, &answer["errcode"]), (401, &json!("M_MISSING_TOKEN")), "{path}");
    }
}
