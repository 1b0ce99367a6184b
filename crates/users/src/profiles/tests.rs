use super::*;

fn value(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("JSON")
}

#[test]
fn fields_are_named_as_the_specification_says() {
    for key in ["displayname", "avatar_url", "m.tz", "com.example.a_b", "a.b.c", "org.matrix.msc4175.tz", "io.a-b.c"] {
        assert_eq!(Field::parse(key).expect(key).as_str(), key);
    }
    for key in ["", "name", "M.tz", "m.", ".tz", "m..tz", "1.a", "com.Example", "com.exämple", "com.a b", "com.1a"] {
        assert!(matches!(Field::parse(key), Err(Error::InvalidProfileKey)), "{key:?}");
    }
}

#[test]
fn a_field_name_has_at_most_255_bytes() {
    let key = |len: usize| format!("m.{}", "a".repeat(len - 2));
    assert!(Field::parse(&key(255)).is_ok());
    assert!(matches!(Field::parse(&key(256)), Err(Error::ProfileKeyTooLarge)));
}

#[test]
fn names_and_avatars_are_strings_and_avatars_are_mxc_uris() {
    let name = |json: &str| Field::DisplayName.check(&value(json));
    assert_eq!(name("\"Ada\"").expect("a name"), Some("\"Ada\"".to_owned()));
    assert_eq!(name("\"\"").expect("no name"), None);
    assert!(name("null").is_err());
    assert!(name("7").is_err());
    assert!(name(&format!("\"{}\"", "ä".repeat(256))).is_ok());
    assert!(name(&format!("\"{}\"", "ä".repeat(257))).is_err());
    let avatar = |json: &str| Field::AvatarUrl.check(&value(json));
    assert!(avatar("\"mxc://example.org/abc\"").is_ok());
    assert_eq!(avatar("\"\"").expect("no avatar"), None);
    assert!(avatar("\"https://example.org/abc\"").is_err());
    assert!(avatar("null").is_err());
}

#[test]
fn other_fields_keep_their_json_as_it_was_written() {
    let field = Field::parse("com.example.field").expect("a field");
    for json in ["null", "1.50", "{\"b\":1,\"a\":[]}", "\"text\""] {
        assert_eq!(field.check(&value(json)).expect("kept"), Some(json.to_owned()));
    }
}

#[test]
fn the_size_of_a_profile_is_that_of_its_json() {
    let fields = [("a", "1"), ("displayname", "\"Ada\"")];
    assert_eq!(size(fields.into_iter()), "{\"a\":1,\"displayname\":\"Ada\"}".len());
    assert_eq!(size([("a", "1")].into_iter()), "{\"a\":1}".len());
}
