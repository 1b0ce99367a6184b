//! Unknown paths, wrong methods, missing and unknown tokens.

use http::Method;
use roost_testkit::Server;

#[tokio::test]
async fn an_unknown_path_is_unrecognized() {
    let server = Server::start().await;
    for path in ["/", "/_matrix/client/v3/nowhere", "/_matrix/client/v99/login", "/_matrix/client/versions/", "/%ff"] {
        let (status, body) = server.get(path).await;
        assert_eq!((status, body["errcode"].as_str()), (404, Some("M_UNRECOGNIZED")), "{path}");
        assert!(body["error"].is_string());
    }
}

#[tokio::test]
async fn a_wrong_method_is_unrecognized() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::POST, "/_matrix/client/versions"),
        (Method::DELETE, "/_matrix/client/v3/capabilities"),
        (Method::PUT, "/_roost/health/live"),
    ] {
        let answer = server.client().raw(method.clone(), path, &[], "").await;
        let errcode = answer.json()["errcode"].as_str().map(ToOwned::to_owned);
        assert_eq!((answer.status, errcode.as_deref()), (405, Some("M_UNRECOGNIZED")), "{method} {path}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_and_checked() {
    let server = Server::start().await;
    let path = "/_matrix/client/v3/capabilities";
    let code = async |path: &str, headers: &[(&str, &str)]| {
        let answer = server.client().raw(Method::GET, path, headers, "").await;
        (answer.status, answer.json()["errcode"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(code(path, &[]).await, (401, "M_MISSING_TOKEN".to_owned()));
    assert_eq!(code(path, &[("authorization", "Basic eDp5")]).await, (401, "M_MISSING_TOKEN".to_owned()));
    assert_eq!(code(path, &[("authorization", "Bearer nobody's")]).await, (401, "M_UNKNOWN_TOKEN".to_owned()));
    let query = format!("{path}?access_token=nobodys");
    assert_eq!(code(&query, &[]).await, (401, "M_UNKNOWN_TOKEN".to_owned()));
}

#[tokio::test]
async fn a_request_id_from_outside_is_not_taken_over() {
    let server = Server::start().await;
    let forged = [("x-request-id", "forged")];
    let answer = server.client().raw(Method::GET, "/_matrix/client/versions", &forged, "").await;
    assert!(answer.header("x-request-id").parse::<u64>().is_ok(), "{}", answer.header("x-request-id"));
}
