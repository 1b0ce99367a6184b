//! `roost serve`: starting, being alone, and ending.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use crate::process::{Place, err, get, out, post};

const FIVE_SECONDS: Duration = Duration::from_secs(5);

#[test]
fn without_a_command_it_serves() {
    let place = Place::new();
    let running = place.serve(&[]);
    let printed = running.printed();
    assert!(printed.contains(&format!("http://127.0.0.1:{}", place.port)), "{printed}");
    assert!(printed.contains("roost user create"), "{printed}");
    assert!(place.path().join("roost-data").is_dir());
}

#[test]
fn the_one_time_token_registers_one_account() {
    let place = Place::new();
    let running = place.serve(&["serve"]);
    let printed = running.printed();
    let token = printed.lines().find_map(|line| line.split("one-time registration token: ").nth(1)).unwrap();
    let register = |name: &str| {
        let start =
            post(place.port, "/_matrix/client/v3/register", &format!(r#"{{"username":"{name}","password":"long"}}"#));
        let start = start.unwrap();
        let session = start.split("\"session\":\"").nth(1).unwrap().split('"').next().unwrap();
        let body = format!(
            r#"{{"username":"{name}","password":"long","auth":{{"type":"m.login.registration_token","token":"{token}","session":"{session}"}}}}"#
        );
        post(place.port, "/_matrix/client/v3/register", &body).unwrap()
    };
    let first = register("first");
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    let second = register("second");
    assert!(second.starts_with("HTTP/1.1 401"), "{second}");
}

#[test]
fn the_data_is_readable_for_its_owner_alone() {
    let place = Place::new();
    let _running = place.serve(&["serve"]);
    let mode = |name: &str| std::fs::metadata(place.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("roost-data"), 0o700);
    assert_eq!(mode("roost-data/roost.sock"), 0o600);
    assert_eq!(mode("roost-data/roost.db"), 0o600);
}

#[test]
fn a_signal_ends_it_cleanly_and_in_time() {
    for signal in ["-TERM", "-INT"] {
        let place = Place::new();
        let running = place.serve(&["serve"]);
        let status = running.end(signal, FIVE_SECONDS).expect("it ends within 5 s");
        assert_eq!(status.code(), Some(0), "{signal}: {}", place.log());
        assert!(!place.path().join("roost-data/roost.sock").exists());
    }
}

#[test]
fn a_request_that_never_ends_does_not_hold_up_the_end() {
    let place = Place::new();
    let running = place.serve(&["serve"]);
    let mut slow = TcpStream::connect(("127.0.0.1", place.port)).unwrap();
    slow.write_all(b"POST /_matrix/client/v3/login HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").unwrap();
    let mut idle = TcpStream::connect(("127.0.0.1", place.port)).unwrap();
    idle.write_all(b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 8]).unwrap();
    let status = running.end("-TERM", FIVE_SECONDS).expect("it ends within 5 s");
    assert_eq!(status.code(), Some(0), "{}", place.log());
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let place = Place::new();
    let _running = place.serve(&["serve"]);
    let mut second = place.roost(&["serve"]);
    second.env("ROOST_LISTEN", r#"[{"address": "127.0.0.1:0"}]"#);
    let output = second.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("in use"), "{}", err(&output));
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_begun() {
    let place = Place::new();
    let _taken = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    let output = place.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains(&format!("127.0.0.1:{}", place.port)), "{}", err(&output));
    assert!(!place.path().join("roost-data/roost.db").exists());
}

#[test]
fn the_data_directory_is_free_again_after_a_kill() {
    let place = Place::new();
    let running = place.serve(&["serve"]);
    running.end("-KILL", FIVE_SECONDS).expect("it ends");
    let running = place.serve(&["serve"]);
    assert_eq!(running.end("-TERM", FIVE_SECONDS).expect("it ends").code(), Some(0));
}

#[test]
fn json_logs_carry_a_request_id_on_each_line_of_a_request() {
    let place = Place::new();
    let mut command = place.roost(&["serve"]);
    command.env("ROOST_LOG__FORMAT", "json").env("ROOST_LOG__REQUESTS", "true");
    let running = place.serve_with(command);
    get(place.port, "/_matrix/client/v3/nowhere?access_token=secret").unwrap();
    running.end("-TERM", FIVE_SECONDS).expect("it ends");
    let log = place.log();
    let line = log.lines().find(|line| line.contains("/_matrix/client/v3/nowhere")).expect("a line for the request");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["status"], 404);
    assert!(line["span"]["id"].is_u64(), "{line}");
    assert!(!log.contains("secret"), "a token is in the log");
}

#[test]
fn a_listener_with_a_certificate_speaks_tls() {
    let place = Place::new();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(place.path())
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("SKIPPED: there is no openssl to make a certificate with");
        return;
    }
    let plain = Place::new();
    let mut command = place.roost(&["serve"]);
    command.env(
        "ROOST_LISTEN",
        format!(
            r#"[{{"address": "127.0.0.1:{}", "serves": ["client"], "tls_certificate": "cert.pem", "tls_private_key": "key.pem"}},
                {{"address": "127.0.0.1:{}"}}]"#,
            plain.port, place.port
        ),
    );
    let _running = place.serve_with(command);
    let answer = std::process::Command::new("curl")
        .args([
            "--silent",
            "--cacert",
            "cert.pem",
            &format!("https://localhost:{}/_matrix/client/versions", plain.port),
        ])
        .args(["--resolve", &format!("localhost:{}:127.0.0.1", plain.port)])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(out(&answer).contains("versions"), "{}{}", out(&answer), err(&answer));
    let refused = get(plain.port, "/_matrix/client/versions").unwrap_or_default();
    assert!(!refused.contains("versions"), "plain HTTP is not answered: {refused}");
}

#[test]
fn a_useless_certificate_is_named() {
    let place = Place::new();
    place.file("cert.pem", "nothing");
    place.file("key.pem", "nothing");
    let mut command = place.roost(&["serve"]);
    command.env(
        "ROOST_LISTEN",
        r#"[{"address": "127.0.0.1:0", "tls_certificate": "cert.pem", "tls_private_key": "key.pem"}]"#,
    );
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("cert.pem"), "{}", err(&output));
}

#[test]
fn a_data_directory_that_others_can_look_into_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let warned = |place: &Place| place.log().contains("can look into data_dir");
    drop(place.serve(&["serve"]));
    assert!(!warned(&place), "the one that the server has made itself: {}", place.log());
    let folder = place.path().join("roost-data");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o750)).unwrap();
    drop(place.serve(&["serve"]));
    assert!(warned(&place), "{}", place.log());
}
