//! <https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>

use roost_testkit::Server;
use serde_json::{Value, json};

fn is_own(answer: &Value) {
    assert_eq!(answer["server_name"], "localhost");
    let (id, _) = answer["verify_keys"].as_object().unwrap().iter().next().unwrap();
    assert!(id.starts_with("ed25519:"));
    assert!(answer["signatures"]["localhost"][id].is_string());
    assert!(answer["valid_until_ts"].as_u64().is_some());
}

#[tokio::test]
async fn the_server_publishes_its_keys_and_they_stay_across_a_restart() {
    let mut server = Server::start().await;
    let (status, first) = server.get("/_matrix/key/v2/server").await;
    assert_eq!(status, 200);
    is_own(&first);
    assert_eq!(first["old_verify_keys"], json!({}));
    server.restart().await;
    assert_eq!(server.get("/_matrix/key/v2/server").await.1["verify_keys"], first["verify_keys"]);
}

#[tokio::test]
async fn a_notary_answers_about_itself_and_leaves_out_servers_that_nobody_can_reach() {
    let server = Server::start().await;
    // The guard keeps the second one out of reach.
    let query =
        json!({ "server_keys": { "localhost": {}, "127.0.0.1:1": { "ed25519:a": { "minimum_valid_until_ts": 1 } } } });
    let (status, body) = server.post("/_matrix/key/v2/query", &query).await;
    assert_eq!((status, body["server_keys"].as_array().map(Vec::len)), (200, Some(1)), "{body}");
    is_own(&body["server_keys"][0]);
    let (status, body) = server.get("/_matrix/key/v2/query/localhost?minimum_valid_until_ts=1").await;
    assert_eq!(status, 200);
    is_own(&body["server_keys"][0]);
    let (status, body) = server.get("/_matrix/key/v2/query/127.0.0.1:1").await;
    assert_eq!((status, body), (200, json!({ "server_keys": [] })));
    let (status, body) = server.post("/_matrix/key/v2/query", &json!({ "server_keys": {} })).await;
    assert_eq!((status, body), (200, json!({ "server_keys": [] })));
}

#[tokio::test]
async fn a_query_that_makes_no_sense_or_is_too_large_is_refused() {
    let server = Server::start().await;
    let many: serde_json::Map<_, _> = (0..101).map(|number| (format!("s{number}.invalid"), json!({}))).collect();
    for (body, status, errcode) in [
        (json!({}), 400, "M_BAD_JSON"),
        (json!({ "server_keys": [] }), 400, "M_BAD_JSON"),
        (json!({ "server_keys": { "not a server": {} } }), 400, "M_INVALID_PARAM"),
        (json!({ "server_keys": many }), 413, "M_TOO_LARGE"),
    ] {
        let (found, answer) = server.post("/_matrix/key/v2/query", &body).await;
        assert_eq!((found, answer["errcode"].as_str()), (status, Some(errcode)), "{answer}");
    }
    let (status, body) = server.get("/_matrix/key/v2/query/a%20b").await;
    assert_eq!((status, body["errcode"].as_str()), (400, Some("M_INVALID_PARAM")));
}
