use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, Version, header};
use roost_world::Clock as _;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{
    network::Table,
    testing::{self, Answer, Authority, Server, TurnedClock},
};

const H1: &[&[u8]] = &[b"http/1.1"];
const H2: &[&[u8]] = &[b"h2", b"http/1.1"];

struct Peer {
    client: Client,
    table: Table,
    clock: Arc<TurnedClock>,
}

fn peer(trust: &Trust, options: Options, allow: &[&str]) -> Peer {
    let (world, clock) = testing::world();
    let table = Table::new();
    let guard = Guard::new(allow).unwrap();
    let client = Client::new(Arc::new(table.clone()), guard, trust, options, world).unwrap();
    Peer { client, table, clock }
}

fn plain() -> Peer {
    peer(&Authority::new().trust(), Options::default(), &["127.0.0.0/8"])
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

/// Answers each connection with the same bytes, after the request's head has come; then holds it open.
#[expect(clippy::disallowed_methods, reason = "a server of a test")]
async fn raw(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn json_goes_out_with_a_content_length_and_comes_back() {
    let server = Server::start(None, |seen| Answer::ok(seen.body.clone())).await;
    let peer = plain();
    let answer =
        peer.client.post_json(&url(server.address(), "/a?b=c"), &[("x-y", "z")], &json!({ "a": 1 })).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body), (200, json!({ "a": 1 })));
    let seen = server.seen().remove(0);
    assert_eq!((seen.method, seen.uri.to_string().as_str()), (Method::POST, "/a?b=c"));
    assert_eq!(seen.headers["content-length"], "7");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["x-y"], "z");
    assert!(!seen.headers.contains_key("transfer-encoding"));
    assert_eq!(seen.headers["host"], server.address().to_string());
    assert!(seen.headers["user-agent"].to_str().unwrap().starts_with("Roost/"));
}

#[tokio::test]
async fn a_body_that_is_empty_is_sent_with_content_length_zero() {
    let server = Server::start(None, |_| Answer::ok("")).await;
    let peer = plain();
    let answer = peer.client.json(Request::to_url(Method::PUT, &url(server.address(), "/")).unwrap()).await.unwrap();
    assert_eq!(answer.body, Value::Null);
    assert_eq!(server.seen()[0].headers["content-length"], "0");
}

#[tokio::test]
async fn the_status_of_an_error_and_its_json_reach_the_caller() {
    let server = Server::start(None, |_| Answer { status: 404, ..Answer::ok(r#"{"errcode":"M_NOT_FOUND"}"#) }).await;
    let answer = plain().client.get_json(&url(server.address(), "/"), &[]).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body), (404, json!({ "errcode": "M_NOT_FOUND" })));
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection_and_it_is_let_go_when_unused() {
    let server = Server::start(None, |_| Answer::ok("{}")).await;
    let options = Options { keep: Duration::from_millis(200), ..Options::default() };
    let peer = peer(&Authority::new().trust(), options, &["127.0.0.0/8"]);
    for _ in 0..5 {
        peer.client.get_json(&url(server.address(), "/"), &[]).await.unwrap();
    }
    assert_eq!((server.connections(), peer.client.kept()), (1, 1));
    peer.clock.sleep(Duration::from_millis(600)).await;
    assert_eq!(peer.client.kept(), 0);
    peer.client.get_json(&url(server.address(), "/"), &[]).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn connections_to_one_destination_are_bounded_and_further_requests_wait() {
    let server = Server::start(None, |_| Answer::ok("{}")).await;
    let options = Options { per_destination: 3, ..Options::default() };
    let peer = peer(&Authority::new().trust(), options, &["127.0.0.0/8"]);
    let address = url(server.address(), "/");
    let all = (0..40).map(|_| peer.client.get_json(&address, &[]));
    assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
    assert!(server.connections() <= 3, "{}", server.connections());
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_agreed_on_and_carries_many_requests_on_one_connection() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["a.example"], H2)), |seen| Answer::ok(seen.body.clone())).await;
    let peer = peer(&authority.trust(), Options::default(), &[]);
    peer.table.host("a.example", &["8.8.8.8".parse().unwrap()]);
    peer.table.route("8.8.8.8:443".parse().unwrap(), server.address());
    let client = &peer.client;
    let all = (0..40).map(|number| async move {
        let body = json!({ "number": number });
        (client.post_json("https://a.example/x", &[], &body).await.unwrap().body, body)
    });
    for (answer, body) in futures_util::future::join_all(all).await {
        assert_eq!(answer, body);
    }
    assert_eq!(server.connections(), 1);
    let seen = server.seen().remove(0);
    assert_eq!((seen.version, seen.host().as_str()), (Version::HTTP_2, "a.example"));
    assert_eq!(seen.sni.as_deref(), Some("a.example"));
}

#[tokio::test]
async fn no_more_unused_connections_are_kept_than_there_is_room_for_and_the_oldest_goes_first() {
    let authority = Authority::new();
    for alpn in [H1, H2] {
        let options = Options { kept: 2, ..Options::default() };
        let peer = peer(&authority.trust(), options, &[]);
        let mut servers = Vec::new();
        for number in 1..=4_u8 {
            let host = format!("h{number}.example");
            let tls = authority.server(&[&host], alpn);
            let server = Server::start(Some(tls), |_| Answer::ok("{}")).await;
            let address = std::net::IpAddr::from([8, 8, 8, number]);
            peer.table.host(&host, &[address]);
            peer.table.route(SocketAddr::new(address, 443), server.address());
            servers.push(server);
            peer.client.get_json(&format!("https://{host}/"), &[]).await.unwrap();
            assert!(peer.client.kept() <= 2);
        }
        for number in [4, 1] {
            peer.client.get_json(&format!("https://h{number}.example/"), &[]).await.unwrap();
        }
        let connections: Vec<_> = servers.iter().map(Server::connections).collect();
        assert_eq!(connections, [2, 1, 1, 1]);
    }
}

#[tokio::test]
async fn a_connection_that_the_other_side_has_closed_costs_no_request() {
    let authority = Authority::new();
    for alpn in [H1, H2] {
        let peer = peer(&authority.trust(), Options::default(), &[]);
        peer.table.host("a.example", &["8.8.8.8".parse().unwrap()]);
        for _ in 0..3 {
            let tls = authority.server(&["a.example"], alpn);
            let server = Server::start(Some(tls), |_| Answer::ok("{}")).await;
            peer.table.route("8.8.8.8:443".parse().unwrap(), server.address());
            peer.client.get_json("https://a.example/", &[]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_so_is_an_unknown_authority() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["b.example"], H1)), |_| Answer::ok("{}")).await;
    for trust in [authority.trust(), Authority::new().trust()] {
        let peer = peer(&trust, Options::default(), &[]);
        peer.table.host("a.example", &["8.8.8.8".parse().unwrap()]);
        peer.table.route("8.8.8.8:443".parse().unwrap(), server.address());
        let error = peer.client.get_json("https://a.example/", &[]).await.unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{error}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn certificates_are_not_looked_at_when_nobody_wants_them_checked() {
    let server = Server::start(Some(Authority::new().server(&["b.example"], H1)), |_| Answer::ok("{}")).await;
    let peer = peer(&Authority::new().trust().verifying(false), Options::default(), &[]);
    peer.table.host("a.example", &["8.8.8.8".parse().unwrap()]);
    peer.table.route("8.8.8.8:443".parse().unwrap(), server.address());
    assert!(peer.client.get_json("https://a.example/", &[]).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_has_expired_by_the_worlds_clock_is_refused() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["a.example"], H1)), |_| Answer::ok("{}")).await;
    let peer = peer(&authority.trust(), Options::default(), &[]);
    peer.table.host("a.example", &["8.8.8.8".parse().unwrap()]);
    peer.table.route("8.8.8.8:443".parse().unwrap(), server.address());
    peer.clock.advance(Duration::from_secs(3000 * 366 * 86400));
    let error = peer.client.get_json("https://a.example/", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
}

#[tokio::test]
async fn the_guard_looks_at_the_address_that_a_name_leads_to() {
    let server = Server::start(None, |_| Answer::ok("{}")).await;
    let peer = peer(&Authority::new().trust(), Options::default(), &[]);
    peer.table.host("inside.example", &["127.0.0.1".parse().unwrap(), "::ffff:10.0.0.1".parse().unwrap()]);
    let port = server.address().port();
    for host in ["inside.example", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"] {
        let error = peer.client.get_json(&format!("http://{host}:{port}/"), &[]).await.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{host}: {error}");
    }
    assert!(peer.table.connected().is_empty());
    // A name with a public address beside a private one is reached at the public one.
    peer.table.host("mixed.example", &["10.0.0.1".parse().unwrap(), "8.8.8.8".parse().unwrap()]);
    peer.table.route(SocketAddr::new("8.8.8.8".parse().unwrap(), port), server.address());
    assert!(peer.client.get_json(&format!("http://mixed.example:{port}/"), &[]).await.is_ok());
    assert_eq!(peer.table.connected(), [SocketAddr::new("8.8.8.8".parse().unwrap(), port)]);
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_passed_over() {
    let server = Server::start(None, |_| Answer::ok("{}")).await;
    let peer = peer(&Authority::new().trust(), Options::default(), &[]);
    peer.table
        .host("a.example", &["2606:4700::1".parse().unwrap(), "8.8.4.4".parse().unwrap(), "8.8.8.8".parse().unwrap()]);
    peer.table.route("8.8.8.8:80".parse().unwrap(), server.address());
    assert!(peer.client.get_json("http://a.example/", &[]).await.is_ok());
    assert_eq!(peer.table.connected().len(), 3);
    peer.table.host("b.example", &["8.8.4.4".parse().unwrap()]);
    let error = peer.client.get_json("http://b.example/", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.is_transient(), "{error}");
    let error = peer.client.get_json("http://c.example/", &[]).await.unwrap_err();
    assert!(matches!(error, Error::NoAddress(_)), "{error}");
    peer.table.broken("d.example");
    let error = peer.client.get_json("http://d.example/", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Dns { .. }) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn an_answer_longer_than_the_limit_is_refused_whether_it_is_announced_or_not() {
    let announced = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nshort").await;
    let chunked = raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n").await;
    let limits = Limits { bytes: 10, ..Limits::default() };
    for address in [announced, chunked] {
        let request = Request::to_url(Method::GET, &url(address, "/")).unwrap().limits(limits);
        let error = match plain().client.send(request).await {
            Ok(response) => response.body.collect().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, Error::TooLarge(10)), "{error}");
    }
}

#[tokio::test]
async fn a_body_can_be_read_piece_by_piece() {
    let server = Server::start(None, |_| Answer::ok(vec![7; 300_000])).await;
    let peer = plain();
    let request = Request::to_url(Method::GET, &url(server.address(), "/")).unwrap();
    let mut response = peer.client.send(request).await.unwrap();
    let (mut length, mut pieces) = (0, 0);
    while let Some(piece) = response.body.chunk().await.unwrap() {
        length += piece.len();
        pieces += 1;
    }
    assert_eq!(length, 300_000);
    assert!(pieces > 1);
    assert!(response.body.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_never_answers_or_drips_is_given_up() {
    let silent = raw(b"").await;
    let stuck = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
    let limits = Limits { silence: Duration::from_millis(100), ..Limits::default() };
    for address in [silent, stuck] {
        let request = Request::to_url(Method::GET, &url(address, "/")).unwrap().limits(limits);
        let error = match plain().client.send(request).await {
            Ok(response) => response.body.collect().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, Error::Timeout(_)), "{error}");
    }
    // A byte now and then does not extend the whole.
    let peer = plain();
    let limits = Limits { total: Duration::from_secs(5), ..Limits::default() };
    let request = Request::to_url(Method::GET, &url(stuck, "/")).unwrap().limits(limits);
    let response = peer.client.send(request).await.unwrap();
    peer.clock.advance(Duration::from_secs(6));
    assert!(matches!(response.body.collect().await, Err(Error::Timeout(_))));
}

#[tokio::test]
async fn redirects_are_followed_only_as_often_as_the_caller_says() {
    let server = Server::start(None, |seen| match seen.uri.path() {
        "/a" => Answer::status(302).with("location", "b?x=1"),
        "/b" => Answer::status(307).with("location", "/c"),
        "/loop" => Answer::status(301).with("location", "/loop"),
        _ => Answer::ok(r#""here""#),
    })
    .await;
    let peer = plain();
    let get = |path, times| Request::to_url(Method::GET, &url(server.address(), path)).unwrap().follow(times);
    assert_eq!(peer.client.send(get("/a", 0)).await.unwrap().status.as_u16(), 302);
    assert!(matches!(peer.client.send(get("/a", 1)).await, Err(Error::TooManyRedirects(_))));
    assert_eq!(peer.client.json(get("/a", 2)).await.unwrap().body, json!("here"));
    assert!(matches!(peer.client.send(get("/loop", 5)).await, Err(Error::TooManyRedirects(_))));
    let mut post = get("/a", 5);
    post.method = Method::POST;
    assert_eq!(peer.client.send(post).await.unwrap().status.as_u16(), 302);
}

#[tokio::test]
async fn a_redirect_passes_the_guard_anew_keeps_to_https_and_takes_no_secrets_elsewhere() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["a.example", "b.example"], H1)), |seen| match seen.uri.path() {
        "/inside" => Answer::status(302).with("location", "https://127.0.0.1/"),
        "/plain" => Answer::status(302).with("location", "http://a.example/"),
        "/other" => Answer::status(302).with("location", "https://b.example/"),
        "/file" => Answer::status(302).with("location", "file:///etc/passwd"),
        _ => Answer::ok("{}"),
    })
    .await;
    let peer = peer(&authority.trust(), Options::default(), &[]);
    for host in ["a.example", "b.example"] {
        peer.table.host(host, &["8.8.8.8".parse().unwrap()]);
    }
    peer.table.route("8.8.8.8:443".parse().unwrap(), server.address());
    let get = |path: &str| {
        let request = Request::to_url(Method::GET, &format!("https://a.example{path}")).unwrap().follow(3);
        peer.client.send(request.header(header::AUTHORIZATION, "Bearer secret").unwrap())
    };
    assert!(matches!(get("/inside").await, Err(Error::Forbidden { .. })));
    assert!(matches!(get("/plain").await, Err(Error::Url { .. })));
    assert!(matches!(get("/file").await, Err(Error::Url { .. })));
    assert!(get("/other").await.is_ok());
    let last = server.seen().pop().unwrap();
    assert_eq!((last.host().as_str(), last.headers.contains_key("authorization")), ("b.example", false));
}

#[test]
fn urls_that_can_not_be_asked_are_refused() {
    for wrong in ["", "nonsense", "ftp://a.example/", "http://", "https://user:pw@a.example/", "mailto:a@b.example"] {
        assert!(matches!(Request::to_url(Method::GET, wrong), Err(Error::Url { .. })), "{wrong}");
    }
}
