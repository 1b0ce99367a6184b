use ruma::{MatrixToUri, MatrixUri, matrix_uri::MatrixId};

use super::*;

const HASH: &str = "acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk";
const URL_SAFE_HASH: &str = "Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg";

#[test]
fn server_names_are_hosts_or_addresses_with_an_optional_port() {
    for right in [
        "matrix.org",
        "matrix.org:8888",
        "1.2.3.4",
        "1.2.3.4:1234",
        "[1234:5678::abcd]",
        "[1234:5678::abcd]:5678",
        "[::]",
        "[::ffff:1.2.3.4]:1",
        "localhost",
        "A-b.C",
        "x:0",
        "x:00080",
        "x:99999",
        &"a".repeat(255),
    ] {
        assert!(is_server_name(right), "{right}");
    }
    for wrong in [
        "",
        ":8448",
        "x:",
        "x:+80",
        "x:-1",
        "x:123456",
        "x:8a",
        "x:80:80",
        "x_y",
        "x y",
        "é.org",
        "[::1",
        "::1",
        "[]",
        "[::1]x",
        "[::1]8448",
        "[::1]:",
        "[::1%1]",
        "[x]",
        "[1.2.3.4]",
        "x/y",
        "x\0",
        &"a".repeat(256),
    ] {
        assert!(!is_server_name(wrong), "{wrong}");
    }
}

#[test]
fn user_ids_are_read_as_history_has_them() {
    for right in ["@alice:example.org", "@a.b_c=d-e/f+1:x:80", "@ALICE:x", "@:x", "@é ä\n:x", "@a@b:x", "@\u{1}:[::1]"]
    {
        assert!(is_user_id(right), "{right:?}");
        assert!(UserId::parse(right).is_ok(), "{right:?}");
    }
    for wrong in [
        "alice:x",
        "@alice",
        "@alice:",
        "@a\0:x",
        "@a:b:c",
        "@a:x_y",
        "#a:x",
        "",
        "@",
        &format!("@{}:x", "a".repeat(253)),
    ] {
        assert!(!is_user_id(wrong), "{wrong:?}");
    }
    assert!(is_user_id(&format!("@{}:x", "a".repeat(252))));
}

#[test]
fn new_users_get_the_narrow_grammar() {
    for right in ["alice", "0", "a.b_c=d-e/f+1"] {
        assert!(is_new_user_localpart(right), "{right}");
    }
    for wrong in ["", "Alice", "a b", "é", "a:b", "a@b", "a*"] {
        assert!(!is_new_user_localpart(wrong), "{wrong}");
    }
}

#[test]
fn user_ids_shown_outside_of_events_are_printable_ascii() {
    assert!(is_compliant_user_id("@ALICE!~:x"));
    for wrong in ["@:x", "@a b:x", "@é:x", "@a\u{7f}:x", "alice:x"] {
        assert!(!is_compliant_user_id(wrong), "{wrong}");
    }
}

#[test]
fn room_ids_have_a_domain_or_are_a_hash_by_room_version() {
    for right in ["!abc:example.org", "!:x", "!é\n:x:80"] {
        assert!(is_room_id(right, RoomIds::Chosen), "{right}");
        assert!(!is_room_id(right, RoomIds::CreateEvent), "{right}");
        assert!(RoomId::parse(right).is_ok(), "{right}");
    }
    let hashed = format!("!{URL_SAFE_HASH}");
    assert!(is_room_id(&hashed, RoomIds::CreateEvent));
    assert!(!is_room_id(&hashed, RoomIds::Chosen));
    assert!(RoomId::parse(&hashed).is_ok());
    for wrong in [
        format!("!{HASH}"),
        format!("!{URL_SAFE_HASH}A"),
        format!("${URL_SAFE_HASH}"),
        "!".to_owned(),
        "!x\0:y".to_owned(),
    ] {
        assert!(!is_room_id(&wrong, RoomIds::CreateEvent) && !is_room_id(&wrong, RoomIds::Chosen), "{wrong}");
    }
}

#[test]
fn event_ids_have_three_formats() {
    let named = "$143273582443PhrSn:example.org";
    let hash = format!("${HASH}");
    let url_safe = format!("${URL_SAFE_HASH}");
    for (id, format) in
        [(named, EventIds::Chosen), (hash.as_str(), EventIds::Hash), (url_safe.as_str(), EventIds::UrlSafeHash)]
    {
        for other in [EventIds::Chosen, EventIds::Hash, EventIds::UrlSafeHash] {
            assert_eq!(is_event_id(id, other), format == other, "{id} {other:?}");
        }
        assert!(EventId::parse(id).is_ok());
    }
    // A last character with bits that a hash does not have; wrong lengths; padding.
    for wrong in [&url_safe.replace("5Zg", "5Zh"), &url_safe[..43], "$", &format!("{url_safe}="), &url_safe[1..]] {
        assert!(!is_event_id(wrong, EventIds::UrlSafeHash), "{wrong}");
    }
    assert!(!is_event_id(&format!("${}:x", "a".repeat(253)), EventIds::Chosen));
}

#[test]
fn room_aliases_have_a_domain() {
    for right in ["#room:example.org", "#:x", "#Ünïcode space:x", "##:x"] {
        assert!(is_room_alias(right), "{right}");
        assert!(RoomAliasId::parse(right).is_ok(), "{right}");
    }
    for wrong in ["#room", "room:x", "#a\0:x", "#a:", "#a:b c", &format!("#{}:x", "é".repeat(127))] {
        assert!(!is_room_alias(wrong), "{wrong}");
    }
}

#[test]
fn namespaced_identifiers_begin_with_a_small_letter() {
    for right in ["m", "m.room.message", "com.example.x-y_z9", &"a".repeat(255)] {
        assert!(is_namespaced(right), "{right}");
    }
    for wrong in ["", "M.room", "9a", ".a", "_a", "a b", "a:b", "é", &"a".repeat(256)] {
        assert!(!is_namespaced(wrong), "{wrong}");
    }
}

#[test]
fn opaque_identifiers_are_of_unreserved_characters() {
    for right in ["a", "0", "AZaz09-._~", &"~".repeat(255)] {
        assert!(is_opaque(right), "{right}");
    }
    for wrong in ["", "a/b", "a b", "é", "a%", "a+b", &"a".repeat(256)] {
        assert!(!is_opaque(wrong), "{wrong}");
    }
}

#[test]
fn signing_keys_are_named_by_algorithm_and_version() {
    for right in ["ed25519:1", "ed25519:a_B9"] {
        assert!(is_signing_key_id(right), "{right}");
    }
    for wrong in ["ed25519:", "ed25519", "curve25519:1", "ed25519:a-b", "ed25519:a:b", "ed25519:é", ""] {
        assert!(!is_signing_key_id(wrong), "{wrong}");
    }
}

#[test]
fn mxc_uris_name_a_server_and_a_medium() {
    assert_eq!(mxc_parts("mxc://example.org:8448/AZaz09-_"), Some(("example.org:8448", "AZaz09-_")));
    for wrong in [
        "mxc://example.org/",
        "mxc://example.org",
        "mxc:///a",
        "mxc://example.org/a/b",
        "mxc://example.org/../a",
        "mxc://example.org/a?b",
        "mxc://ex ample/a",
        "http://example.org/a",
        "MXC://example.org/a",
        "",
    ] {
        assert_eq!(mxc_parts(wrong), None, "{wrong}");
    }
}

#[test]
fn matrix_to_links_are_read_encoded_or_not() {
    for (uri, alias) in [
        ("https://matrix.to/#/%23somewhere:example.org", true),
        ("https://matrix.to/#/%23somewhere%3Aexample.org", true),
    ] {
        let uri = MatrixToUri::parse(uri).unwrap();
        assert_eq!(matches!(uri.id(), MatrixId::RoomAlias(id) if id == "#somewhere:example.org"), alias);
    }
    for uri in [
        "https://matrix.to/#/!somewhere:example.org/$event:example.org?via=elsewhere.ca",
        "https://matrix.to/#/%21somewhere%3Aexample.org/%24event%3Aexample.org?via=elsewhere.ca",
    ] {
        let uri = MatrixToUri::parse(uri).unwrap();
        assert!(matches!(uri.id(), MatrixId::Event(room, event)
            if room.as_str() == "!somewhere:example.org" && event == "$event:example.org"));
        assert_eq!(uri.via(), ["elsewhere.ca"]);
    }
    for uri in ["https://matrix.to/#/@alice:example.org", "https://matrix.to/#/%40alice%3Aexample.org"] {
        assert!(matches!(MatrixToUri::parse(uri).unwrap().id(), MatrixId::User(id) if id == "@alice:example.org"));
    }
    let room = format!("https://matrix.to/#/!{URL_SAFE_HASH}?via=a.example&via=b.example");
    let uri = MatrixToUri::parse(&room).unwrap();
    assert!(matches!(uri.id(), MatrixId::Room(id) if id.as_str()[1..] == *URL_SAFE_HASH));
    assert_eq!(uri.via().len(), 2);
    for wrong in ["https://matrix.to/#/", "https://matrix.to/@a:b", "https://example.org/#/@a:b", "matrix.to/#/@a:b"] {
        assert!(MatrixToUri::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn matrix_uris_name_users_rooms_aliases_and_events() {
    let id = |uri: &str| MatrixUri::parse(uri).unwrap().id().clone();
    assert!(matches!(id("matrix:r/somewhere:example.org"), MatrixId::RoomAlias(id) if id == "#somewhere:example.org"));
    assert!(matches!(id("matrix:roomid/somewhere:example.org?via=elsewhere.ca"), MatrixId::Room(id)
        if id == "!somewhere:example.org"));
    assert!(matches!(id("matrix:roomid/somewhere:example.org/e/event?via=elsewhere.ca"), MatrixId::Event(room, event)
        if room.as_str() == "!somewhere:example.org" && event == "$event"));
    assert!(matches!(id("matrix:u/alice:example.org?action=chat"), MatrixId::User(id) if id == "@alice:example.org"));
    for wrong in ["matrix:", "matrix:x/a:b", "matrix:u/", "matrix:u/alice", "mxc:u/alice:b", "matrix:roomid/a:b/x/c"] {
        assert!(MatrixUri::parse(wrong).is_err(), "{wrong}");
    }
}
