//! `roost federation test`, against a server that runs.

use roost_net::testing::Authority;

use crate::process::{Place, err, out};

/// A server over TLS whose name is its address, and what others need to believe it.
struct Peer {
    place: Place,
    name: String,
    ca: String,
    // The file of its certificate goes away with it.
    _authority: Authority,
}

impl Peer {
    fn new() -> Self {
        let (place, authority) = (Place::new(), Authority::new());
        let (certificate, key) = authority.issue(&["127.0.0.1"]);
        place.file("cert.pem", &certificate);
        place.file("key.pem", &key);
        let name = format!("127.0.0.1:{}", place.port);
        let ca = format!("[\"{}\"]", authority.file().display());
        Self { place, name, ca, _authority: authority }
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.place.roost(arguments);
        command.env("ROOST_SERVER_NAME", &self.name);
        command.env("ROOST_OUTBOUND__ALLOW_RANGES", r#"["127.0.0.0/8"]"#);
        command.env("ROOST_FEDERATION__EXTRA_CA_FILES", &self.ca);
        command
    }

    fn serve(&self) -> crate::process::Running {
        let plain = Place::new();
        let mut command = self.command(&["serve"]);
        command.env(
            "ROOST_LISTEN",
            format!(
                r#"[{{"address": "127.0.0.1:{}", "serves": ["federation"], "tls_certificate": "cert.pem",
                "tls_private_key": "key.pem"}}, {{"address": "127.0.0.1:{}", "serves": ["client"]}}]"#,
                self.place.port, plain.port
            ),
        );
        self.place.serve_at(command, plain.port)
    }
}

#[test]
fn a_server_that_runs_is_found_and_its_keys_and_version_are_shown() {
    let peer = Peer::new();
    let _running = peer.serve();
    let output = peer.command(&["federation", "test", &peer.name]).output().unwrap();
    let printed = out(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}{}", err(&output));
    for wanted in [
        format!("the name is an address: {}", peer.name),
        format!("certificate for 127.0.0.1, Host {}", peer.name),
        "GET /_matrix/key/v2/server: 1 key(s), rightly signed: ed25519:a_".to_owned(),
        "GET /_matrix/federation/v1/version: Roost".to_owned(),
    ] {
        assert!(printed.contains(&wanted), "{wanted} is not in\n{printed}");
    }
}

#[test]
fn what_fails_is_named_and_certificates_are_checked_whatever_outbound_says() {
    let peer = Peer::new();
    let _running = peer.serve();
    let refused = |change: &dyn Fn(&mut std::process::Command), why: &str| {
        let mut command = peer.command(&["federation", "test", &peer.name]);
        change(&mut command);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", out(&output));
        assert!(out(&output).contains(why), "{why} is not in\n{}", out(&output));
        assert!(err(&output).contains("can not be reached"), "{}", err(&output));
    };
    refused(
        &|command| {
            command.env("ROOST_OUTBOUND__ALLOW_RANGES", "[]");
        },
        "no public address",
    );
    refused(
        &|command| {
            command.env("ROOST_FEDERATION__EXTRA_CA_FILES", "[]").env("ROOST_OUTBOUND__VERIFY_CERTIFICATES", "false");
        },
        "no TLS with 127.0.0.1",
    );
    let output = peer.command(&["federation", "test", "no name"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
}
