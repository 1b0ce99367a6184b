//! `roost identity` and its commands.

use std::{process::Command, time::Duration};

use crate::process::{Place, err, get, out, pause};

/// `roost` with arguments, where the identity server listens on the place's port.
fn roost(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.roost(arguments);
    let listen = format!(r#"[{{"address": "127.0.0.1:{}", "serves": ["identity", "metrics"]}}]"#, place.port);
    command.env("ROOST_LISTEN", listen);
    command
}

/// A running identity server, ended when it is dropped.
struct Running(std::process::Child);

impl Running {
    fn start(mut command: Command, place: &Place) -> Self {
        let child = command.stdout(std::fs::File::create(place.path().join("out")).unwrap()).spawn().unwrap();
        let running = Self(child);
        for _ in 0..500 {
            if get(place.port, "/_matrix/identity/v2").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return running;
            }
            pause();
        }
        panic!("the identity server does not answer");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn it_runs_alone_beside_the_homeservers_data_and_ends_cleanly() {
    let place = Place::new();
    let mut running = Running::start(roost(&place, &["identity"]), &place);
    let data = place.path().join("roost-data");
    assert!(data.join("identity.db").exists() && !data.join("roost.db").exists());
    let printed = std::fs::read_to_string(place.path().join("out")).unwrap();
    assert!(printed.contains(&format!("http://127.0.0.1:{}", place.port)), "{printed}");
    // The homeserver's own commands work on the same folder meanwhile.
    let created = place.run(&["user", "create", "alice", "--password", "x"]);
    assert!(created.status.success(), "{}", err(&created));
    assert!(Command::new("kill").arg(running.0.id().to_string()).status().unwrap().success());
    let mut status = None;
    for _ in 0..250 {
        status = running.0.try_wait().unwrap();
        if status.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(status.expect("it ends within 5 s").code(), Some(0));
    assert!(!data.join("identity.sock").exists());
}

#[test]
fn its_commands_work_with_a_server_that_runs_and_without_one() {
    let place = Place::new();
    let run = |arguments: &[&str]| roost(&place, arguments).output().unwrap();
    let without = run(&["identity", "keys"]);
    assert!(without.status.success(), "{}", err(&without));
    let key = out(&without).split_whitespace().next().unwrap().to_owned();
    assert!(key.starts_with("ed25519:"), "{key}");

    let _running = Running::start(roost(&place, &["identity"]), &place);
    assert_eq!(out(&run(&["identity", "keys"])), out(&without), "the same key");
    let rotated = out(&run(&["identity", "keys", "--rotate"]));
    assert_eq!(rotated.lines().count(), 2, "{rotated}");
    assert!(rotated.lines().any(|line| line.starts_with(&key) && line.ends_with("retired")), "{rotated}");
    let path = format!("/_matrix/identity/v2/pubkey/{key}");
    assert!(get(place.port, &path).unwrap().starts_with("HTTP/1.1 200"), "what it has signed stays good");

    let workers = out(&run(&["workers"]));
    assert!(workers.contains("identity deliveries") && workers.contains("identity peppers"), "{workers}");
    let copied = run(&["db", "copy", "sqlite:identity.db", "sqlite:other.db"]);
    assert!(err(&copied).contains("in use"), "a database that is in use is not copied: {}", err(&copied));

    assert_eq!(out(&run(&["identity", "associations", "@alice:example.org"])), "");
    assert_eq!(out(&run(&["identity", "deliveries"])), "");
    for (arguments, problem) in [
        (&["identity", "associations", "alice"][..], "not a user id"),
        (&["identity", "unbind", "email", "a@b.c"], "nobody has bound"),
        (&["identity", "unbind", "email", "not an address"], "not a mail address"),
        (&["identity", "unbind", "pigeon", "x"], "email and msisdn"),
        (&["identity", "purge", "email", "a@b.c"], "nothing is known"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(err(&output).contains(problem), "{arguments:?}: {}", err(&output));
    }
    assert_eq!(out(&run(&["identity", "purge", "@alice:example.org"])), "Removed 0 associations.\n");
}

#[test]
fn it_listens_where_it_always_does_when_nothing_is_said() {
    let place = Place::new();
    let mut command = place.roost(&["identity"]);
    command.env_remove("ROOST_LISTEN");
    // Held here, or by somebody else: either way it is not to be had, and the message says what was wanted.
    let _held = std::net::TcpListener::bind("127.0.0.1:8090");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("cannot listen on 127.0.0.1:8090"), "{}", err(&output));
}
