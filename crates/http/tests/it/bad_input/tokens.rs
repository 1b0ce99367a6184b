//! Access tokens that are none, or no longer.

use http::Method;
use roost_testkit::{Server, User};
use serde_json::json;

#[tokio::test]
async fn every_endpoint_of_an_account_asks_for_a_token() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::GET, "/_matrix/client/v3/account/whoami".to_owned()),
        (Method::GET, "/_matrix/client/v3/sync".to_owned()),
        (Method::POST, "/_matrix/client/v3/createRoom".to_owned()),
        (Method::POST, "/_matrix/client/v3/logout".to_owned()),
        (Method::POST, "/_matrix/client/v3/logout/all".to_owned()),
        (Method::GET, "/_matrix/client/v3/devices".to_owned()),
        (Method::GET, "/_matrix/client/v3/joined_rooms".to_owned()),
        (Method::PUT, User::room_path("!room:localhost", &["send", "m.room.message", "1"])),
        (Method::GET, User::room_path("!room:localhost", &["state"])),
        (Method::GET, User::room_path("!room:localhost", &["members"])),
        (Method::POST, User::room_path("!room:localhost", &["join"])),
    ] {
        for (headers, wanted) in
            [(&[][..], "M_MISSING_TOKEN"), (&[("authorization", "Bearer of-nobody")][..], "M_UNKNOWN_TOKEN")]
        {
            let body = if method == Method::GET { "" } else { "{}" };
            let answer = server.client().raw(method.clone(), &path, headers, body).await;
            assert_eq!((answer.status, answer.json()["errcode"].as_str()), (401, Some(wanted)), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_token_that_was_logged_out_is_unknown_and_its_session_gone() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    assert_eq!(alice.post("/_matrix/client/v3/logout", &json!({})).await.0, 200);
    let (status, body) = alice.get("/_matrix/client/v3/account/whoami").await;
    assert_eq!((status, body["errcode"].as_str()), (401, Some("M_UNKNOWN_TOKEN")));
    assert_ne!(body["soft_logout"], true, "there is nothing to go on with");
}

#[tokio::test]
async fn a_token_works_from_the_query_too() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (status, body) = server.get(&format!("/_matrix/client/v3/account/whoami?access_token={}", alice.token)).await;
    assert_eq!((status, body["user_id"].as_str()), (200, Some("@alice:localhost")));
}

#[tokio::test]
async fn a_token_in_the_query_is_decoded_like_every_parameter() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    // The underscore is the only character of a token that somebody might encode.
    let encoded = alice.token.replace('_', "%5F");
    assert_ne!(encoded, alice.token);
    for query in [
        format!("access_token={}", alice.token),
        format!("access_token={encoded}"),
        format!("access%5Ftoken={encoded}&access_token=another"),
        format!("other=a%26access_token%3Db&access_token={encoded}"),
    ] {
        let (status, body) = server.get(&format!("/_matrix/client/v3/account/whoami?{query}")).await;
        assert_eq!((status, body["user_id"].as_str()), (200, Some(alice.id.as_str())), "{query}: {body}");
    }
    let (status, body) = server.get(&format!("/_matrix/client/v3/account/whoami?token={}", alice.token)).await;
    assert_eq!((status, body["errcode"].as_str()), (401, Some("M_MISSING_TOKEN")));
}
