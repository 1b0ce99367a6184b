//! <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>

use http::Method;
use roost::config::RateSetting;
use roost_testkit::Server;

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_back() {
    let server = Server::with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.registration_per_address = RateSetting::of(2, 600);
    })
    .await;
    let path = "/_matrix/client/v3/register/available?username=alice";
    for _ in 0..2 {
        assert_ne!(server.get(path).await.0, 429);
    }
    let answer = server.client().raw(Method::GET, path, &[], "").await;
    assert_eq!(answer.status, 429);
    let body = answer.json();
    assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
    let wait = body["retry_after_ms"].as_u64().unwrap();
    assert!((1..=300_000).contains(&wait), "{wait}");
    assert_eq!(answer.header("retry-after"), wait.div_ceil(1000).to_string());
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(server.get("/_matrix/client/versions").await.0, 200, "other endpoints have their own allowance");
}

#[tokio::test]
async fn limits_can_be_switched_off() {
    let server = Server::with(|config| {
        config.rate_limits.enabled = false;
        config.rate_limits.registration_per_address = RateSetting::of(1, 600);
    })
    .await;
    for _ in 0..5 {
        assert_ne!(server.get("/_matrix/client/v3/register/available?username=alice").await.0, 429);
    }
}

#[tokio::test]
async fn a_proxys_header_counts_only_when_it_is_trusted() {
    let path = "/_matrix/client/v3/register/available?username=alice";
    for trusted in [false, true] {
        let server = Server::with(|config| {
            config.rate_limits.enabled = true;
            config.rate_limits.registration_per_address = RateSetting::of(1, 600);
            if trusted {
                config.http.client_address_header = "X-Forwarded-For".to_owned();
            }
        })
        .await;
        let ask =
            async |from: &str| server.client().raw(Method::GET, path, &[("x-forwarded-for", from)], "").await.status;
        assert_ne!(ask("192.0.2.1").await, 429);
        let second = ask("192.0.2.2").await;
        assert_eq!(second != 429, trusted, "{second}");
        // What a client writes itself stands before what the proxy appends.
        assert_eq!(ask("198.51.100.7, 192.0.2.1").await, 429);
    }
}
