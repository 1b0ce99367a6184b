//! `roost config`, and what every command does with a wrong configuration.

use crate::process::{Place, err, out};

#[test]
fn the_example_is_a_valid_configuration() {
    let place = Place::new();
    let example = place.run(&["config", "example"]);
    assert_eq!(example.status.code(), Some(0));
    place.file("roost.toml", &out(&example));
    let check = place.run(&["config", "check", "--config", "roost.toml"]);
    assert_eq!(check.status.code(), Some(0), "{}", err(&check));
}

#[test]
fn the_book_shows_the_example() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/configuration.md")).unwrap();
    let shown = page.split("```toml\n").last().unwrap().split("```").next().unwrap();
    let example = out(&Place::new().run(&["config", "example"]));
    assert!(shown == example, "put the output of `roost config example` into docs/src/configuration.md");
}

#[test]
fn an_unknown_key_ends_every_command_with_its_name_and_the_nearest_one() {
    let place = Place::new();
    place.file("roost.toml", "[database]\nulr = \"sqlite:x.db\"\n");
    for command in [&["config", "check"][..], &["serve"], &["user", "create", "alice"], &["workers"]] {
        let output = place.run(&[command, &["--config", "roost.toml"]].concat());
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(err(&output).contains("database.ulr: unknown key; did you mean database.url?"), "{}", err(&output));
    }
    assert!(!place.path().join("roost-data").exists(), "nothing is begun with a wrong configuration");
}

#[test]
fn a_key_that_governs_nothing_yet_is_named() {
    let place = Place::new();
    place.file("roost.toml", "[presence]\nenabled = false\n");
    let check = place.run(&["config", "check", "--config", "roost.toml"]);
    assert_eq!(check.status.code(), Some(0));
    assert!(out(&check).contains("presence.enabled governs nothing yet"), "{}", out(&check));
}

#[test]
fn a_missing_file_is_named() {
    let place = Place::new();
    let output = place.run(&["serve", "--config", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("nowhere.toml"), "{}", err(&output));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_help_with_0() {
    let place = Place::new();
    for (arguments, status) in [
        (&["nonsense"][..], 2),
        (&["user", "create"], 2),
        (&["--help"], 0),
        (&["--version"], 0),
        (&["identity", "nonsense"], 2),
    ] {
        assert_eq!(place.run(arguments).status.code(), Some(status), "{arguments:?}");
    }
    let version = out(&place.run(&["--version"]));
    assert_eq!(version.trim(), format!("roost {}", env!("CARGO_PKG_VERSION")));
}
