//! What no HTTP client would send.

use std::time::Duration;

use roost_testkit::{Server, eventually, sleep};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// Writes bytes, then reads what comes until the other side closes.
async fn exchange(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_error(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains(&format!("\"errcode\":\"{code}\"")), "{answer}");
    assert!(answer.to_lowercase().contains("access-control-allow-origin: *"), "{answer}");
}

async fn still_answers(server: &Server) {
    assert_eq!(server.get("/_matrix/client/versions").await.0, 200);
}

#[tokio::test]
async fn huge_headers_get_a_matrix_error() {
    let server = Server::start().await;
    for size in [40_000, 150_000, 1_000_000] {
        let request = format!(
            "GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\nx-large: {}\r\nconnection: close\r\n\r\n",
            "a".repeat(size)
        );
        is_error(&exchange(&server, request.as_bytes()).await, 431, "M_TOO_LARGE");
    }
    still_answers(&server).await;
}

#[tokio::test]
async fn too_many_headers_get_a_matrix_error() {
    let server = Server::start().await;
    let headers = "x-again: 1\r\n".repeat(200);
    let request = format!("GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    is_error(&exchange(&server, request.as_bytes()).await, 431, "M_TOO_LARGE");
    still_answers(&server).await;
}

#[tokio::test]
async fn a_huge_path_gets_a_matrix_error() {
    let server = Server::start().await;
    for size in [50_000, 100_000] {
        let request = format!("GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "a".repeat(size));
        is_error(&exchange(&server, request.as_bytes()).await, 414, "M_TOO_LARGE");
    }
    still_answers(&server).await;
}

#[tokio::test]
async fn bytes_that_are_no_http_get_a_matrix_error() {
    let server = Server::start().await;
    is_error(&exchange(&server, b"\x16\x03\x01 hello\r\n\r\n").await, 400, "M_UNKNOWN");
    is_error(&exchange(&server, b"GET /\xff\x00 HTTP/1.1\r\n\r\n").await, 400, "M_UNKNOWN");
    still_answers(&server).await;
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let server = Server::with(|config| config.http.body_timeout = 1).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"type\":";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    is_error(&String::from_utf8_lossy(&answer), 408, "M_UNKNOWN");
    still_answers(&server).await;
}

#[tokio::test]
async fn a_slow_head_is_given_up() {
    let server = Server::with(|config| config.http.head_timeout = 1).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\nx-slow:").await.unwrap();
    let mut answer = Vec::new();
    // The end of the stream, not the test's own limit, ends this.
    stream.read_to_end(&mut answer).await.unwrap();
    still_answers(&server).await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_however_it_comes() {
    let server = Server::with(|config| config.http.max_body_kib = 1).await;
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(3000));
    let announced = format!(
        "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let chunked = format!(
        "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for request in [announced, chunked] {
        is_error(&exchange(&server, request.as_bytes()).await, 413, "M_TOO_LARGE");
    }
    still_answers(&server).await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_its_body_leaves_nothing_behind() {
    let server = Server::start().await;
    for _ in 0..10 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let head = "POST /_matrix/client/v3/register HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"username\":\"ghost\"";
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    sleep(Duration::from_millis(50)).await;
    still_answers(&server).await;
}

#[tokio::test]
async fn stopping_ends_long_polls_with_an_answer() {
    let mut server = Server::start().await;
    let alice = server.register("alice").await;
    let since = alice.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let query = format!("since={since}&timeout=60000");
    let poll = alice.sync_with(&query);
    let stop = async {
        sleep(Duration::from_millis(300)).await;
        server.stop().await;
    };
    // The stop itself is bounded, so this ends either way; a poll that was cut off panics.
    let (answer, ()) = tokio::join!(poll, stop);
    assert!(answer["next_batch"].is_string(), "{answer}");
}

#[tokio::test]
async fn stopping_ends_idle_connections_at_once() {
    let mut server = Server::start().await;
    let mut idle = TcpStream::connect(server.address()).await.unwrap();
    idle.write_all(b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 16];
    idle.read_exact(&mut first).await.unwrap();
    server.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_refused_another() {
    let server = Server::with(|config| config.http.max_connections_per_address = 3).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        kept.push(stream);
    }
    assert_eq!(exchange(&server, b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\n\r\n").await, "");
    kept.pop();
    // The server notices the end in its own time.
    eventually("a place", async || {
        let request = b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        exchange(&server, request).await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_connections_of_a_proxy_are_not_counted() {
    let server = Server::with(|config| {
        config.http.max_connections_per_address = 1;
        config.http.client_address_header = "X-Forwarded-For".to_owned();
    })
    .await;
    let _kept = TcpStream::connect(server.address()).await.unwrap();
    still_answers(&server).await;
}

/// A connection that has asked for more than the kernel buffers.
async fn asks_for_much(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(128 * 1024).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    let request = "GET /_matrix/client/v3/login HTTP/1.1\r\nhost: x\r\n\r\n".repeat(6_000);
    // The server stops to read when nobody takes its answers.
    tokio::select! {
        _ = stream.write_all(request.as_bytes()) => {}
        () = sleep(Duration::from_millis(500)) => {}
    }
    stream
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_and_a_slow_one_is_not() {
    let server = Server::with(|config| {
        // Far longer than the slow one's pauses, on a busy machine, too.
        config.http.write_timeout = 3;
        config.http.max_connections_per_address = 2;
    })
    .await;
    let (_silent, mut slow) = tokio::join!(asks_for_much(&server), asks_for_much(&server));
    let reading = async {
        let mut some = vec![0; 64 * 1024];
        for _ in 0..20 {
            sleep(Duration::from_millis(200)).await;
            if slow.read(&mut some).await.unwrap_or(0) == 0 {
                return false;
            }
        }
        true
    };
    let freed = eventually("the place of the client that does not read", async || {
        let request = b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        exchange(&server, request).await.starts_with("HTTP/1.1 200").then_some(())
    });
    let (slow_one_lives, ()) = tokio::join!(reading, freed);
    assert!(slow_one_lives);
}
