//! `/_roost`: health and metrics.

use roost_testkit::Server;

#[tokio::test]
async fn a_running_server_is_live_and_ready() {
    let server = Server::start().await;
    for path in ["/_roost/health/live", "/_roost/health/ready"] {
        assert_eq!(server.get(path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn metrics_count_requests_by_route() {
    let server = Server::start().await;
    server.get("/_matrix/client/versions").await;
    let answer = server.client().raw(http::Method::GET, "/_roost/metrics", &[], "").await;
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    for wanted in [
        r#"roost_http_requests_total{method="GET",route="/_matrix/client/versions",status="200"}"#,
        "roost_http_request_duration_seconds_bucket",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_listener_serves_only_its_families_and_health() {
    let server = Server::with(|config| {
        config.listen[0].serves.0 = vec![roost_testkit::config::Serves::Metrics];
    })
    .await;
    assert_eq!(server.get("/_roost/health/live").await.0, 200);
    assert_eq!(server.client().raw(http::Method::GET, "/_roost/metrics", &[], "").await.status, 200);
    let (status, body) = server.get("/_matrix/client/versions").await;
    assert_eq!((status, body["errcode"].as_str()), (404, Some("M_UNRECOGNIZED")));
}
