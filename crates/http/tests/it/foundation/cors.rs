//! <https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients>

use http::Method;
use roost_testkit::{Answer, Server};

fn is_open(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
        assert!(answer.header("access-control-allow-methods").contains(method), "{method}");
    }
    for name in ["X-Requested-With", "Content-Type", "Authorization"] {
        assert!(answer.header("access-control-allow-headers").contains(name), "{name}");
    }
}

#[tokio::test]
async fn answers_and_errors_are_open_to_every_origin() {
    let server = Server::start().await;
    for (method, path, status) in [
        (Method::GET, "/_matrix/client/versions", 200),
        (Method::GET, "/_matrix/client/v3/capabilities", 401),
        (Method::GET, "/_matrix/client/v3/nowhere", 404),
        (Method::DELETE, "/_matrix/client/versions", 405),
        (Method::GET, "/.well-known/matrix/client", 404),
    ] {
        let answer = server.client().raw(method, path, &[("origin", "https://app.example")], "").await;
        assert_eq!(answer.status, status, "{path}");
        is_open(&answer);
    }
}

#[tokio::test]
async fn preflight_is_answered_on_every_path_without_the_endpoints_logic() {
    let server = Server::start().await;
    let preflight = [("origin", "https://app.example"), ("access-control-request-method", "PUT")];
    for path in [
        "/_matrix/client/v3/capabilities",
        "/_matrix/client/v3/login",
        "/_matrix/client/v3/rooms/!room:localhost/send/m.room.message/1",
        "/_matrix/client/v3/nowhere",
    ] {
        let answer = server.client().raw(Method::OPTIONS, path, &preflight, "").await;
        assert_eq!(answer.status, 200, "{path}");
        is_open(&answer);
    }
}
