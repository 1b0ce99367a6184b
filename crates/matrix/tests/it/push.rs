//! Push rules: the specification's examples, and any rules against `ruma-common`.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use proptest::prelude::*;
use roost_matrix::{
    auth::power::PowerLevels,
    event::Pdu,
    ids::UserId,
    push::{Event, InvalidRules, MAX_CONDITIONS, MAX_PATTERN, MAX_RULES, Owner, Room, RuleSet, default_rules_json},
    room_version::RoomVersion,
};
use ruma::{
    power_levels::NotificationPowerLevels,
    push::{Action, PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset, Tweak},
    room_version_rules::RoomPowerLevelsRules,
    serde::Raw,
};
use serde_json::{Value, json};

use crate::{
    dag::{Dag, Said, state_event},
    story::cases,
    theirs::rules,
};

const ALICE: &str = "@alice:a.example";
const BOB: &str = "@bob:b.example";

fn user(id: &str) -> &UserId {
    id.try_into().unwrap()
}

fn pdu(sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Pdu {
    Dag::new(RoomVersion::V11).0.put(&Said { sender, kind, state_key, content }, &[], &[])
}

fn message(content: Value) -> Pdu {
    pdu(BOB, "m.room.message", None, content)
}

/// A room of three in which Bob has level 50.
fn power() -> PowerLevels {
    let (mut dag, mut state) = Dag::new(RoomVersion::V11);
    let content = json!({"users": {BOB: 50}, "notifications": {"room": 50, "loud": 51}});
    dag.say(&state_event("@creator:a.example", "m.room.power_levels", "", content), &[], &mut state);
    PowerLevels::of(&|kind: &str, key: &str| dag.get(&state, kind, key))
}

fn set(rules: &Value) -> RuleSet {
    RuleSet::parse(&json!({"global": rules}).to_string(), user(ALICE)).unwrap()
}

/// Whether a rule with this one condition matches an event for Alice.
fn holds(condition: &Value, pdu: &Pdu) -> bool {
    let rules = set(&json!({"override": [{"rule_id": "x", "conditions": [condition], "actions": ["notify"]}]}));
    let power = power();
    let room = Room { member_count: 3, power: &power };
    let owner = Owner { user: user(ALICE), display_name: Some("Alice L.") };
    rules.evaluate(&Event::of(pdu), &room, Some(owner)).is_some()
}

fn matches(key: &str, pattern: &str, pdu: &Pdu) -> bool {
    holds(&json!({"kind": "event_match", "key": key, "pattern": pattern}), pdu)
}

#[test]
fn event_match_matches_the_whole_of_a_string() {
    let topic = |topic: Value| pdu(BOB, "m.room.topic", Some(""), json!({"topic": topic}));
    for right in ["Lunch plans", "LUNCH"] {
        assert!(matches("content.topic", "lunc?*", &topic(json!(right))), "{right}");
    }
    for wrong in [json!(" lunch"), json!("lunc"), json!(null), json!(1), json!(["lunch"])] {
        assert!(!matches("content.topic", "lunc?*", &topic(wrong.clone())), "{wrong}");
    }
    assert!(!matches("content.subject", "*", &topic(json!("lunch"))), "what is absent matches nothing");
    for (key, pattern) in [
        ("type", "M.Room.*"),
        ("sender", "@bob:?.example"),
        ("room_id", "!room:a.example"),
        ("state_key", ""),
        ("event_id", "$*"),
    ] {
        assert!(matches(key, pattern, &topic(json!(""))), "{key}");
    }
    assert!(!matches("state_key", "*", &message(json!({}))));
}

#[test]
fn event_match_on_the_body_matches_words() {
    for right in ["An example event.", "exple", "An exciting triple-whammy"] {
        assert!(matches("content.body", "ex*ple", &message(json!({"body": right}))), "{right}");
    }
    assert!(!matches("content.body", "ex*ple", &message(json!({"body": "examples"}))));
    assert!(!matches("content.body", "*", &message(json!({"body": 1}))));
}

#[test]
fn a_dot_or_backslash_in_a_name_is_escaped_in_a_path() {
    let pdu = message(json!({"m.relates_to": {r"a\b": "yes"}, "m": {"relates_to": "no"}, r"x\y": "z"}));
    assert!(matches(r"content.m\.relates_to.a\\b", "yes", &pdu));
    assert!(matches("content.m.relates_to", "no", &pdu));
    assert!(matches(r"content.x\y", "z", &pdu), "another escape is left as it is");
    assert!(!matches(r"content.m\.relates_to", "*", &pdu));
}

#[test]
fn event_property_is_compares_exactly() {
    let pdu = pdu(BOB, "m.room.create", Some(""), json!({"m.federate": true, "n": 1, "s": "Yes", "z": null, "o": {}}));
    let is = |key: &str, value: Value| holds(&json!({"kind": "event_property_is", "key": key, "value": value}), &pdu);
    assert!(is(r"content.m\.federate", json!(true)));
    assert!(is("content.n", json!(1)));
    assert!(is("content.s", json!("Yes")));
    assert!(is("content.z", json!(null)));
    for (key, value) in [
        (r"content.m\.federate", json!("true")),
        (r"content.m\.federate", json!(1)),
        ("content.n", json!("1")),
        ("content.n", json!(true)),
        ("content.s", json!("yes")),
        ("content.absent", json!(null)),
        ("content.o", json!({})),
    ] {
        assert!(!is(key, value.clone()), "{key} {value}");
    }
}

#[test]
fn event_property_contains_looks_into_arrays() {
    let pdu = message(json!({"list": ["#myroom:example.com", 1, null, ["deep"]], "text": "#myroom:example.com"}));
    let contains =
        |key: &str, value: Value| holds(&json!({"kind": "event_property_contains", "key": key, "value": value}), &pdu);
    assert!(contains("content.list", json!("#myroom:example.com")));
    assert!(contains("content.list", json!(1)));
    assert!(contains("content.list", json!(null)));
    assert!(!contains("content.list", json!(":example.com")));
    assert!(!contains("content.list", json!("deep")));
    assert!(!contains("content.text", json!("#myroom:example.com")));
    assert!(!contains("content.absent", json!(1)));
}

#[test]
fn room_member_count_compares_with_the_number_of_members() {
    for (is, expected) in [
        ("3", true),
        ("==3", true),
        ("2", false),
        (">2", true),
        (">3", false),
        ("<4", true),
        ("<3", false),
        (">=3", true),
        (">=4", false),
        ("<=3", true),
        ("<=2", false),
        ("", false),
        ("=3", false),
        ("+3", false),
        ("three", false),
    ] {
        assert_eq!(holds(&json!({"kind": "room_member_count", "is": is}), &message(json!({}))), expected, "{is}");
    }
}

#[test]
fn the_sender_needs_the_level_of_the_notification() {
    let may = |key: &str| holds(&json!({"kind": "sender_notification_permission", "key": key}), &message(json!({})));
    assert!(may("room"));
    assert!(!may("loud"));
}

#[test]
fn contains_display_name_finds_the_name_as_words() {
    let named = |body: &str| holds(&json!({"kind": "contains_display_name"}), &message(json!({"body": body})));
    assert!(named("hello alice l., how are you?"));
    assert!(!named("hello Alice"));
    assert!(!named("hello malice l."));
}

#[test]
fn a_rule_with_an_unknown_condition_never_matches() {
    assert!(!holds(&json!({"kind": "org.example.unknown"}), &message(json!({}))));
    assert!(!holds(&json!({"kind": "event_match", "key": "type"}), &message(json!({}))));
    assert!(!holds(&json!({}), &message(json!({}))));
}

#[test]
fn kinds_are_asked_in_their_order_and_disabled_rules_not_at_all() {
    let rule =
        |id: &str, tweak: &str| json!({"rule_id": id, "actions": ["notify", {"set_tweak": "sound", "value": tweak}]});
    let mut rules = json!({
        "override": [rule("x", "override")],
        "content": [rule("y", "content")],
        "room": [rule("!room:a.example", "room")],
        "sender": [rule(BOB, "sender")],
        "underride": [rule("z", "underride")],
    });
    rules["content"][0]["pattern"] = "tea".into();
    let pdu = message(json!({"body": "time for tea"}));
    let (power, event) = (power(), Event::of(&pdu));
    let room = Room { member_count: 3, power: &power };
    for kind in ["override", "content", "room", "sender", "underride"] {
        let set = set(&rules);
        let actions = set.evaluate(&event, &room, None).unwrap();
        assert_eq!(actions.tweaks().collect::<Vec<_>>(), [("sound", &*format!("\"{kind}\""))]);
        rules[kind][0]["enabled"] = false.into();
    }
    assert_eq!(set(&rules).evaluate(&event, &room, None), None);
}

#[test]
fn actions_notify_and_highlight_and_the_historical_ones_mean_nothing() {
    let power = power();
    let room = Room { member_count: 3, power: &power };
    for (actions, notifies, highlights) in [
        (json!([]), false, false),
        (json!(["dont_notify"]), false, false),
        (json!(["coalesce"]), false, false),
        (json!(["notify"]), true, false),
        (json!(["notify", {"set_tweak": "highlight"}]), true, true),
        (json!(["notify", {"set_tweak": "highlight", "value": false}]), true, false),
        (json!([{"set_tweak": "highlight"}]), false, false),
    ] {
        let rules = set(&json!({"override": [{"rule_id": "x", "actions": actions}]}));
        let pdu = message(json!({}));
        let outcome = rules.evaluate(&Event::of(&pdu), &room, None).unwrap();
        assert_eq!((outcome.notifies(), outcome.highlights()), (notifies, highlights), "{actions}");
    }
}

#[test]
fn the_users_own_events_match_nothing() {
    let rules = set(&json!({"override": [{"rule_id": "x", "actions": ["notify"]}]}));
    let (power, pdu) = (power(), message(json!({})));
    let room = Room { member_count: 3, power: &power };
    let owner = |id| Some(Owner { user: user(id), display_name: None });
    assert!(rules.evaluate(&Event::of(&pdu), &room, owner(ALICE)).is_some());
    assert!(rules.evaluate(&Event::of(&pdu), &room, owner(BOB)).is_none());
}

#[test]
fn users_who_never_changed_their_rules_share_one_set() {
    let of = |id: &str| RuleSet::parse(&default_rules_json(user(id)), user(id)).unwrap();
    assert_eq!(of(ALICE), of(BOB));
    let mut other: Value = serde_json::from_str(&default_rules_json(user(ALICE))).unwrap();
    other["global"]["override"][1]["enabled"] = false.into();
    assert_ne!(RuleSet::parse(&other.to_string(), user(ALICE)).unwrap(), of(ALICE));
}

#[test]
fn a_shared_set_answers_for_each_of_its_owners() {
    let rules = RuleSet::parse(&default_rules_json(user(ALICE)), user(ALICE)).unwrap();
    assert!(!rules.depends_on_display_name());
    let power = power();
    let room = Room { member_count: 3, power: &power };
    let highlights = |pdu: &Pdu, owner: Option<&str>| {
        let owner = owner.map(|id| Owner { user: user(id), display_name: None });
        rules.evaluate(&Event::of(pdu), &room, owner).is_some_and(roost_matrix::push::Actions::highlights)
    };
    let carol = "@carol:c.example";
    let mention = message(json!({"body": "hi", "m.mentions": {"user_ids": [carol]}}));
    assert_eq!(Event::of(&mention).named_users().collect::<Vec<_>>(), [carol]);
    assert!(highlights(&mention, Some(carol)));
    assert!(!highlights(&mention, Some(ALICE)));
    assert!(!highlights(&mention, None));
    let invite = pdu(BOB, "m.room.member", Some(carol), json!({"membership": "invite"}));
    assert_eq!(Event::of(&invite).named_users().collect::<Vec<_>>(), [carol]);
    let notifies = |owner: &str| {
        let owner = Owner { user: user(owner), display_name: None };
        rules.evaluate(&Event::of(&invite), &room, Some(owner)).is_some_and(roost_matrix::push::Actions::notifies)
    };
    assert!(notifies(carol));
    assert!(!notifies(ALICE));
}

#[test]
fn rule_sets_are_bounded() {
    let parse = |rules: Value| RuleSet::parse(&json!({"global": rules}).to_string(), user(ALICE));
    let rule = json!({"rule_id": BOB, "actions": []});
    assert!(matches!(parse(json!({"sender": vec![rule; MAX_RULES + 1]})), Err(InvalidRules::TooManyRules)));
    let conditions = vec![json!({"kind": "contains_display_name"}); MAX_CONDITIONS + 1];
    let rule = json!({"rule_id": "x", "actions": [], "conditions": conditions});
    assert!(matches!(parse(json!({"override": [rule]})), Err(InvalidRules::TooManyConditions)));
    let rule = json!({"rule_id": "x", "actions": [], "pattern": "x".repeat(MAX_PATTERN + 1)});
    assert!(matches!(parse(json!({"content": [rule]})), Err(InvalidRules::PatternTooLong)));
    let rule = json!({"rule_id": "x", "actions": []});
    assert!(matches!(parse(json!({"content": [rule]})), Err(InvalidRules::NoPattern)));
    assert!(matches!(RuleSet::parse("{}", user(ALICE)), Err(InvalidRules::Form(_))));
    let long = json!({"global": {}, "more": "x".repeat(300_000)}).to_string();
    assert!(matches!(RuleSet::parse(&long, user(ALICE)), Err(InvalidRules::TooLong)));
}

#[test]
fn the_default_rules_are_those_of_ruma() {
    let ours: Value = serde_json::from_str(&default_rules_json(user(ALICE))).unwrap();
    let theirs = serde_json::to_value(Ruleset::server_default(user(ALICE))).unwrap();
    for kind in ["override", "underride"] {
        let ids = |rules: &Value| -> Vec<Value> {
            rules[kind].as_array().unwrap().iter().map(|rule| rule["rule_id"].clone()).collect()
        };
        assert_eq!(ids(&ours["global"]), ids(&theirs));
    }
}

/// Runs a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn word() -> impl Strategy<Value = String> {
    // No two wildcards side by side: ruma 0.20 takes the second of them for itself when it matches words.
    prop::string::string_regex("([*?]?[abB_é. -]){0,5}[*?]?").unwrap()
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "type",
        "sender",
        "state_key",
        "room_id",
        "content.body",
        "content.a",
        "content.a.b",
        r"content.a\.b",
        "content",
        "content.list",
        "nonsense",
        "",
    ])
    .prop_map(ToOwned::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!(ALICE)),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (key(), word()).prop_map(|(key, pattern)| json!({"kind": "event_match", "key": key, "pattern": pattern})),
        1 => key().prop_map(|key| json!({"kind": "event_match", "key": key, "pattern": ALICE})),
        2 => (key(), scalar()).prop_map(|(key, value)| json!({"kind": "event_property_is", "key": key, "value": value})),
        2 => (key(), scalar())
            .prop_map(|(key, value)| json!({"kind": "event_property_contains", "key": key, "value": value})),
        1 => (prop::sample::select(vec!["", "==", "<", ">", "<=", ">="]), 1..5_u8)
            .prop_map(|(prefix, count)| json!({"kind": "room_member_count", "is": format!("{prefix}{count}")})),
        1 => Just(json!({"kind": "sender_notification_permission", "key": "room"})),
        1 => Just(json!({"kind": "org.example.unknown"})),
    ]
}

fn rule() -> impl Strategy<Value = Value> {
    (prop::collection::vec(condition(), 0..3), any::<bool>(), word(), 0..100_u8).prop_map(
        |(conditions, enabled, pattern, sound)| {
            json!({
                "rule_id": format!("rule{sound}"), "default": false, "enabled": enabled, "conditions": conditions,
                "pattern": pattern, "actions": ["notify", {"set_tweak": "sound", "value": format!("{sound}")}],
            })
        },
    )
}

fn content() -> impl Strategy<Value = Value> {
    let value = || prop_oneof![4 => scalar(), 1 => prop::collection::vec(scalar(), 0..4).prop_map(Value::from)];
    (word(), value(), value(), value(), 0..3_u8).prop_map(|(body, a, b, list, shape)| match shape {
        0 => json!({"body": body, "a": a, "a.b": b, "list": list}),
        1 => json!({"body": a, "a": {"b": b}, "list": list}),
        _ => json!({"body": body, "a": a, "list": list}),
    })
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn ruma_finds_the_same_rule(
        overrides in prop::collection::vec(rule(), 0..5),
        words in prop::collection::vec(rule(), 0..3),
        underrides in prop::collection::vec(rule(), 0..3),
        by_sender in any::<bool>(),
        content in content(),
        is_state in any::<bool>(),
        members in 1..5_u8,
        bobs_level in 49..51_i64,
    ) {
        let sender = json!({"rule_id": if by_sender { BOB } else { ALICE }, "default": false, "enabled": true,
            "actions": ["notify", {"set_tweak": "sound", "value": "sender"}]});
        // In a set of ruma's no two rules of a kind share their id.
        let named = |rules: Vec<Value>| -> Vec<Value> {
            let name = |(number, mut rule): (usize, Value)| {
                rule["rule_id"] = format!("rule{number}").into();
                rule
            };
            rules.into_iter().enumerate().map(name).collect()
        };
        let (overrides, words, underrides) = (named(overrides), named(words), named(underrides));
        let all = json!({
            "override": overrides, "content": words, "room": [], "sender": [sender], "underride": underrides,
        });
        let kind = if is_state { "m.room.member" } else { "a" };
        let pdu = pdu(BOB, kind, is_state.then_some(ALICE), content);

        let (mut dag, mut state) = Dag::new(RoomVersion::V11);
        let levels = json!({"users": {BOB: bobs_level}});
        dag.say(&state_event("@creator:a.example", "m.room.power_levels", "", levels), &[], &mut state);
        let power = PowerLevels::of(&|kind: &str, key: &str| dag.get(&state, kind, key));
        let room = Room { member_count: members.into(), power: &power };
        let owner = Owner { user: user(ALICE), display_name: None };
        let ours = set(&all);
        let ours = ours.evaluate(&Event::of(&pdu), &room, Some(owner)).map(|actions| {
            actions.tweaks().map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        });

        let event: Value = serde_json::from_slice(pdu.json()).unwrap();
        let client = json!({
            "type": event["type"], "sender": event["sender"], "room_id": event["room_id"], "content": event["content"],
            "event_id": pdu.event_id(), "origin_server_ts": event["origin_server_ts"],
        });
        let mut client = client;
        if let Some(key) = pdu.state_key() {
            client["state_key"] = key.into();
        }
        let levels = PushConditionPowerLevelsCtx::new(
            [(user(BOB).to_owned(), bobs_level.try_into().unwrap())].into(),
            0_i32.into(),
            NotificationPowerLevels::new(),
            RoomPowerLevelsRules::new(&rules(RoomVersion::V11).authorization, []),
        );
        let context = PushConditionRoomCtx::new(
            pdu.room_id().to_owned(), u32::from(members).into(), user(ALICE).to_owned(), String::new(),
        )
        .with_power_levels(levels);
        let theirs: Ruleset = serde_json::from_value(all.clone()).unwrap();
        let raw = Raw::<Value>::from_json_string(client.to_string()).unwrap();
        let theirs = now(theirs.get_match(&raw, &context)).map(|rule| {
            rule.actions().iter().filter_map(|action| match action {
                Action::SetTweak(Tweak::Sound(sound)) => Some(json!(sound).to_string()),
                _ => None,
            }).collect::<Vec<_>>()
        });
        prop_assert_eq!(ours, theirs, "{} {}", all, client);
    }
}
