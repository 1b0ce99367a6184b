use serde_json::json;

use super::{Fields, Filter, FilterError, MAX_LIMIT, Pattern};

fn filter(json: &serde_json::Value) -> Filter {
    Filter::parse(&json.to_string()).unwrap()
}

#[test]
fn an_empty_filter_lets_everything_through() {
    let filter = filter(&json!({}));
    assert!(filter.room.allows("!r:x"));
    assert!(filter.room.timeline.allows("m.room.message", "@a:x", "{}"));
    assert!(filter.room.timeline.allows_everything());
    assert_eq!(filter.room.timeline.limit(), 20);
}

#[test]
fn an_excluded_name_is_excluded_even_if_it_is_also_included() {
    let filter = filter(&json!({"room": {
        "rooms": ["!a:x", "!b:x"], "not_rooms": ["!b:x"],
        "timeline": {"senders": ["@a:x", "@b:x"], "not_senders": ["@b:x"], "types": ["m.*"], "not_types": ["m.room.topic"]},
    }}));
    assert!(filter.room.allows("!a:x"));
    assert!(!filter.room.allows("!b:x"));
    assert!(!filter.room.allows("!c:x"));
    let timeline = &filter.room.timeline;
    assert!(timeline.allows("m.room.name", "@a:x", "{}"));
    assert!(!timeline.allows("m.room.name", "@b:x", "{}"));
    assert!(!timeline.allows("m.room.name", "@c:x", "{}"));
    assert!(!timeline.allows("m.room.topic", "@a:x", "{}"));
    assert!(!timeline.allows("org.example", "@a:x", "{}"));
}

#[test]
fn an_empty_list_includes_nothing() {
    let filter = filter(&json!({"room": {"timeline": {"types": []}}, "account_data": {"not_types": ["*"]}}));
    assert!(!filter.room.timeline.allows_kind("m.room.message"));
    assert!(!filter.account_data.allows_kind("m.direct"));
}

#[test]
fn a_star_matches_any_sequence_of_characters() {
    for (pattern, name, matches) in [
        ("m.room.message", "m.room.message", true),
        ("m.room.message", "m.room.messages", false),
        ("*", "", true),
        ("m.*", "m.", true),
        ("m.*", "n.m.", false),
        ("*.message", "m.room.message", true),
        ("*.message", "m.room.message.x", false),
        ("m.*.member", "m.room.member", true),
        ("m.*.member", "m.member", false),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("a**b*c", "a-b-b-c", true),
        ("a*bc*bc", "abc", false),
        ("*é*", "caféx", true),
    ] {
        assert_eq!(Pattern(pattern.to_owned()).matches(name), matches, "{pattern} on {name}");
    }
}

#[test]
fn contains_url_looks_for_the_key_alone() {
    let with = filter(&json!({"room": {"timeline": {"contains_url": true}}}));
    let without = filter(&json!({"room": {"timeline": {"contains_url": false}}}));
    for (content, has) in
        [(r#"{"url":"mxc://x/y"}"#, true), (r#"{"body":"url"}"#, false), (r#"{"file":{"url":"x"}}"#, false)]
    {
        assert_eq!(with.room.timeline.allows("m.room.message", "@a:x", content), has);
        assert_eq!(without.room.timeline.allows("m.room.message", "@a:x", content), !has);
    }
}

#[test]
fn a_limit_must_be_an_integer_and_is_brought_into_its_range() {
    assert_eq!(filter(&json!({"room": {"timeline": {"limit": 3}}})).room.timeline.limit(), 3);
    assert_eq!(
        filter(&json!({"room": {"timeline": {"limit": 1_000_000_000_000_u64}}})).room.timeline.limit(),
        MAX_LIMIT
    );
    assert_eq!(filter(&json!({"room": {"timeline": {"limit": 0}}})).room.timeline.limit(), 1);
    for limit in [json!(-1), json!(1.5), json!("3")] {
        let error = Filter::parse(&json!({"room": {"timeline": {"limit": limit}}}).to_string()).unwrap_err();
        assert!(matches!(error, FilterError::Malformed(_)));
    }
}

#[test]
fn broken_json_and_wrong_shapes_are_told_apart() {
    assert!(matches!(Filter::parse("{"), Err(FilterError::NotJson(_))));
    assert!(matches!(Filter::parse("[]"), Err(FilterError::Malformed(_))));
    assert!(matches!(Filter::parse(r#"{"event_format":"sideways"}"#), Err(FilterError::Malformed(_))));
    assert!(matches!(Filter::parse(r#"{"room":{"rooms":"!a:x"}}"#), Err(FilterError::Malformed(_))));
    assert!(Filter::parse(r#"{"room":null,"unknown":[1]}"#).is_ok());
}

#[test]
fn event_fields_keep_the_named_properties_and_what_every_event_has() {
    let event = json!({
        "event_id": "$e", "type": "t", "sender": "@a:x", "state_key": "", "origin_server_ts": 1, "unsigned": {"age": 5},
        "content": {"body": "b", "a.b": 1, "deep": {"x": 1, "y": 2}},
    });
    let fields = Fields::new(&["content.body".to_owned(), r"content.a\.b".to_owned(), "content.deep.x".to_owned()]);
    let kept = fields.prune(event.as_object().unwrap());
    assert_eq!(
        serde_json::Value::Object(kept),
        json!({
            "event_id": "$e", "type": "t", "sender": "@a:x", "state_key": "", "origin_server_ts": 1,
            "content": {"body": "b", "a.b": 1, "deep": {"x": 1}},
        })
    );
}

#[test]
fn an_event_has_content_even_when_nothing_of_it_is_wanted() {
    let event =
        json!({"event_id": "$e", "type": "t", "sender": "@a:x", "origin_server_ts": 1, "content": {"body": "b"}});
    let kept = Fields::new(&["type".to_owned()]).prune(event.as_object().unwrap());
    assert_eq!(kept["content"], json!({}));
}
