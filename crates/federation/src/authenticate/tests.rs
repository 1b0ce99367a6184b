use std::sync::{Arc, Mutex};

use http::HeaderValue;
use roost_net::sign;

use super::*;
use crate::testing::{House, answer, house, key, name, signed};

const URI: &str = "/_matrix/federation/v1/send/1?x";
const BODY: &[u8] = br#"{"pdus":[]}"#;

fn headers(values: &[&str]) -> HeaderMap {
    let values = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.append(name, value);
    }
    headers
}

fn proof(from: &str, to: &str, number: u8) -> String {
    sign::authorization(&key(number), &Method::PUT, URI, &name(from), &name(to), Some(BODY)).unwrap()
}

async fn ask(house: &House, values: &[&str]) -> Result<String, Denied> {
    let origin = house.federation.authenticate(&Method::PUT, URI, &headers(values), Some(BODY)).await;
    origin.map(|origin| origin.to_string())
}

#[tokio::test]
async fn a_request_is_its_servers_when_method_uri_and_body_are_signed_with_a_key_that_is_valid_now() {
    let house = house(&[]).await;
    let says = signed(&answer("a.example:1", &[1], &[(2, 1000)], house.in_hours(1)), "a.example:1", 1);
    let _server = house.says("a.example", &Arc::new(Mutex::new(says))).await;
    let good = proof("a.example:1", "us.example:1", 1);
    assert_eq!(ask(&house, &[&good]).await.unwrap(), "a.example:1");
    // One good header among several is enough; other schemes are not looked at.
    let wrong = proof("a.example:1", "us.example:1", 2);
    assert_eq!(ask(&house, &["Bearer x", &wrong, &good]).await.unwrap(), "a.example:1");
    // Older servers do not name the destination in the header.
    let without = good.replace("destination=\"us.example:1\",", "");
    assert_eq!(ask(&house, &[&without]).await.unwrap(), "a.example:1");

    assert!(matches!(ask(&house, &[]).await, Err(Denied::Unsigned)));
    assert!(matches!(ask(&house, &["Bearer x"]).await, Err(Denied::Unsigned)));
    assert!(matches!(ask(&house, &["X-Matrix origin=a.example"]).await, Err(Denied::Header(_))));
    assert!(matches!(ask(&house, &[&wrong]).await, Err(Denied::NoKey { .. })), "an old key is for events only");
    let forged = good.replace("sig=\"", "sig=\"A").replace("A=", "=");
    assert!(ask(&house, &[&forged]).await.is_err());
    let all = headers(&[&good]);
    for (method, uri, body) in [
        (Method::POST, URI, Some(BODY)),
        (Method::PUT, "/x", Some(BODY)),
        (Method::PUT, URI, Some(&b"{}"[..])),
        (Method::PUT, URI, None),
    ] {
        let denied = house.federation.authenticate(&method, uri, &all, body).await;
        assert!(matches!(denied, Err(Denied::Signature(_))), "{method} {uri}");
    }
    let denied = house.federation.authenticate(&Method::PUT, URI, &all, Some(b"{")).await;
    assert!(matches!(denied, Err(Denied::Body(_))));
}

#[tokio::test]
async fn a_request_meant_for_another_server_or_in_our_own_name_is_refused_without_asking_for_keys() {
    let house = house(&[]).await;
    let other = proof("a.example:1", "other.example", 1);
    assert!(matches!(ask(&house, &[&other]).await, Err(Denied::Destination(_))));
    let own = proof("us.example:1", "us.example:1", 99);
    assert!(matches!(ask(&house, &[&own]).await, Err(Denied::OwnName)));
    assert!(house.table.lookups().is_empty());
}

#[tokio::test]
async fn a_key_whose_time_is_over_does_not_sign_requests() {
    let house = house(&[]).await;
    let says = signed(&answer("a.example:1", &[1], &[], house.in_hours(1)), "a.example:1", 1);
    let server = house.says("a.example", &Arc::new(Mutex::new(says))).await;
    let good = proof("a.example:1", "us.example:1", 1);
    assert!(ask(&house, &[&good]).await.is_ok());
    drop(server);
    house.clock.advance(std::time::Duration::from_secs(2 * 3600));
    assert!(matches!(ask(&house, &[&good]).await, Err(Denied::NoKey { .. })));
}
