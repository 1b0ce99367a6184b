//! `roost user create`, `roost workers`, `roost db copy`: with a server that runs, and without one.

use std::{io::Write as _, process::Stdio};

use crate::process::{Place, Running, err, out, post};

fn may_log_in(place: &Place, user: &str, password: &str) -> bool {
    let body = format!(
        r#"{{"type":"m.login.password","identifier":{{"type":"m.id.user","user":"{user}"}},"password":"{password}"}}"#
    );
    let answer = post(place.port, "/_matrix/client/v3/login", &body).unwrap();
    answer.starts_with("HTTP/1.1 200")
}

fn server(place: &Place) -> Running {
    place.serve(&["serve"])
}

#[test]
fn an_account_created_before_the_first_start_can_log_in() {
    let place = Place::new();
    let created = place.run(&["user", "create", "alice", "--password", "a secret", "--admin"]);
    assert_eq!(created.status.code(), Some(0), "{}", err(&created));
    assert!(out(&created).contains("@alice:localhost"), "{}", out(&created));
    let running = server(&place);
    assert!(may_log_in(&place, "alice", "a secret"));
    assert!(!may_log_in(&place, "alice", "another"));
    assert!(!running.printed().contains("no account yet"));
}

#[test]
fn an_account_can_be_created_while_the_server_runs() {
    let place = Place::new();
    let running = server(&place);
    assert!(running.printed().contains("roost user create"));
    let mut command = place.roost(&["user", "create", "@bob:localhost", "--password-stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe\n").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(may_log_in(&place, "bob", "from a pipe"));
    let again = place.run(&["user", "create", "bob", "--password", "x"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(err(&again).contains("taken"), "{}", err(&again));
}

#[test]
fn a_password_is_made_up_when_none_is_given() {
    let place = Place::new();
    let created = place.run(&["user", "create", "carol"]);
    let printed = out(&created);
    let password = printed.lines().find_map(|line| line.strip_prefix("Password: ")).unwrap();
    let _running = server(&place);
    assert!(may_log_in(&place, "carol", password));
}

#[test]
fn a_name_of_another_server_is_refused() {
    let place = Place::new();
    for name in ["@dave:elsewhere.example", "Not A Name", ""] {
        let output = place.run(&["user", "create", name, "--password", "x"]);
        assert_eq!(output.status.code(), Some(1), "{name}");
    }
}

#[test]
fn the_workers_of_a_running_server_are_listed() {
    let place = Place::new();
    assert_eq!(place.run(&["workers"]).status.code(), Some(1), "without a server");
    let _running = server(&place);
    let listed = place.run(&["workers"]);
    assert_eq!(listed.status.code(), Some(0));
    assert!(out(&listed).contains("running"), "{}", out(&listed));
    assert!(!out(&listed).contains("failed"), "{}", out(&listed));
}

#[test]
fn a_copied_database_holds_the_same_accounts() {
    let place = Place::new();
    assert!(place.run(&["user", "create", "erin", "--password", "moves"]).status.success());
    let copied = place.run(&["db", "copy", "sqlite:roost.db", "sqlite:other.db"]);
    assert_eq!(copied.status.code(), Some(0), "{}", err(&copied));
    let again = place.run(&["db", "copy", "sqlite:roost.db", "sqlite:other.db"]);
    assert_eq!(again.status.code(), Some(1), "a database that is not empty is not filled");
    let from_here = place.run(&["db", "copy", "sqlite:roost-data/roost.db", "sqlite:roost-data/third.db"]);
    assert_eq!(from_here.status.code(), Some(0), "{}", err(&from_here));
    assert!(place.path().join("roost-data/third.db").exists());
    let missing = place.run(&["db", "copy", "sqlite:nowhere.db", "sqlite:fourth.db"]);
    assert_eq!(missing.status.code(), Some(1));
    let mut command = place.roost(&["serve"]);
    command.env("ROOST_DATABASE__URL", "sqlite:other.db");
    let _running = place.serve_with(command);
    assert!(may_log_in(&place, "erin", "moves"));
}

#[test]
fn a_running_servers_database_is_not_copied() {
    let place = Place::new();
    let _running = server(&place);
    let output = place.run(&["db", "copy", "sqlite:roost.db", "sqlite:other.db"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("in use"), "{}", err(&output));
}
