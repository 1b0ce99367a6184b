//! `roost room inspect`, `delete`, `purge`: with a server that runs, and without one.

use crate::process::{Place, err, out, post, send_as};

/// A room of alice's with some messages: (token, room, events).
fn room(place: &Place) -> (String, String, Vec<String>) {
    assert!(place.run(&["user", "create", "alice", "--password", "a secret"]).status.success());
    let body = r#"{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"a secret"}"#;
    let token = member(&post(place.port, "/_matrix/client/v3/login", body).unwrap(), "access_token");
    let created =
        send_as(place.port, "POST", "/_matrix/client/v3/createRoom", &token, r#"{"room_alias_name":"den"}"#).unwrap();
    let room = member(&created, "room_id");
    let events = (0..10).map(|n| {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{n}");
        let body = format!(r#"{{"msgtype":"m.text","body":"message {n}"}}"#);
        member(&send_as(place.port, "PUT", &path, &token, &body).unwrap(), "event_id")
    });
    let events = events.collect();
    (token, room, events)
}

fn member(answer: &str, name: &str) -> String {
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    value[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_room_is_inspected_purged_and_deleted_while_the_server_runs_and_without_it() {
    let place = Place::new();
    let (token, room, events);
    {
        let _running = place.serve(&["serve"]);
        (token, room, events) = self::room(&place);

        let told = place.run(&["room", "inspect", "#den:localhost", "--event", &events[3]]);
        assert_eq!(told.status.code(), Some(0), "{}", err(&told));
        for part in [&*room, "Members: 1 joined", "Tips (1)", &events[9], "Appender open: yes", "State before it"] {
            assert!(out(&told).contains(part), "{part}: {}", out(&told));
        }
        let told = place.run(&["room", "inspect", &room, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&out(&told)).unwrap();
        assert_eq!(json["tips"][0]["event_id"], events[9]);

        let purged = place.run(&["room", "purge", &room, "--before", &events[5]]);
        assert_eq!(purged.status.code(), Some(0), "{}", err(&purged));
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100");
        let page = send_as(place.port, "GET", &path, &token, "").unwrap();
        assert!(page.contains("message 5") && !page.contains("message 4"), "{page}");
        for wrong in ["soon", "$nothing:here", "2026-02-30"] {
            assert_eq!(place.run(&["room", "purge", &room, "--before", wrong]).status.code(), Some(1), "{wrong}");
        }
    }

    let told = place.run(&["room", "inspect", &room, "--json"]);
    assert_eq!(told.status.code(), Some(0), "{}", err(&told));
    let json: serde_json::Value = serde_json::from_str(&out(&told)).unwrap();
    assert_eq!(json["appender_open"], false);
    let deleted = place.run(&["room", "delete", &room]);
    assert_eq!(deleted.status.code(), Some(0), "{}", err(&deleted));
    assert!(out(&deleted).contains("1 members left first"), "{}", out(&deleted));
    assert_eq!(place.run(&["room", "inspect", &room]).status.code(), Some(1), "it is gone");
    assert_eq!(place.run(&["room", "delete", "nonsense"]).status.code(), Some(1));
}
