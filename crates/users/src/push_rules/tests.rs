use roost_matrix::ids::UserId;
use serde_json::{Value, json};

use super::{Neighbours, NewPushRule, PushRuleError, PushRuleKind, PushRules};

fn rules() -> PushRules {
    PushRules::of(None, &UserId::parse("@alice:example.org").unwrap())
}

fn new(actions: &Value) -> NewPushRule {
    serde_json::from_value(json!({"actions": actions, "pattern": "cake"})).unwrap()
}

fn ids(rules: &PushRules, kind: PushRuleKind) -> Vec<&str> {
    rules.global.of_kind(kind).iter().filter(|rule| !rule.default).map(|rule| rule.rule_id.as_str()).collect()
}

fn put(rules: &mut PushRules, id: &str, before: Option<&str>, after: Option<&str>) -> Result<(), PushRuleError> {
    let neighbours = Neighbours { before: before.map(ToOwned::to_owned), after: after.map(ToOwned::to_owned) };
    rules.put(PushRuleKind::Content, id, &new(&json!(["notify"])), &neighbours)
}

#[test]
fn a_new_rule_is_enabled_and_the_most_important_one_of_the_users() {
    let mut rules = rules();
    put(&mut rules, "one", None, None).unwrap();
    put(&mut rules, "two", None, None).unwrap();
    assert_eq!(ids(&rules, PushRuleKind::Content), ["two", "one"]);
    let rule = rules.get(PushRuleKind::Content, "two").unwrap();
    assert!(rule.enabled && !rule.default);
}

#[test]
fn nothing_is_more_important_than_the_master_rule() {
    let mut rules = rules();
    rules.put(PushRuleKind::Override, "mine", &new(&json!([])), &Neighbours::default()).unwrap();
    let overrides = rules.global.of_kind(PushRuleKind::Override);
    assert_eq!(overrides[0].rule_id, ".m.rule.master");
    assert_eq!(overrides[1].rule_id, "mine");
    assert!(overrides[2..].iter().all(|rule| rule.default));
}

#[test]
fn before_and_after_say_where_a_rule_stands_and_before_wins() {
    let mut rules = rules();
    for id in ["a", "b", "c"] {
        put(&mut rules, id, None, None).unwrap();
    }
    put(&mut rules, "x", Some("b"), None).unwrap();
    assert_eq!(ids(&rules, PushRuleKind::Content), ["c", "x", "b", "a"]);
    put(&mut rules, "x", None, Some("a")).unwrap();
    assert_eq!(ids(&rules, PushRuleKind::Content), ["c", "b", "a", "x"]);
    put(&mut rules, "x", Some("c"), Some("a")).unwrap();
    assert_eq!(ids(&rules, PushRuleKind::Content), ["x", "c", "b", "a"]);
    // Changed, it stays where it is.
    put(&mut rules, "b", None, None).unwrap();
    assert_eq!(ids(&rules, PushRuleKind::Content), ["x", "c", "b", "a"]);
}

#[test]
fn a_rule_can_not_stand_beside_one_that_does_not_exist_or_is_the_servers() {
    let mut rules = rules();
    let before = rules.clone();
    for neighbour in ["nobody", ".m.rule.contains_user_name"] {
        let refused = put(&mut rules, "x", Some(neighbour), None);
        assert!(matches!(refused, Err(PushRuleError::NoSuchNeighbour(_))));
    }
    assert_eq!(rules, before);
}

#[test]
fn ids_with_a_leading_dot_or_slashes_are_refused() {
    let mut rules = rules();
    for id in [".mine", "a/b", "a\\b", ""] {
        assert!(matches!(put(&mut rules, id, None, None), Err(PushRuleError::InvalidId(_))), "{id}");
    }
}

#[test]
fn historical_actions_are_left_out_and_unknown_ones_refused() {
    let mut rules = rules();
    let actions = json!(["dont_notify", "notify", "coalesce", {"set_tweak": "sound", "value": "x"}]);
    rules.put(PushRuleKind::Content, "x", &new(&actions), &Neighbours::default()).unwrap();
    let rule = rules.get(PushRuleKind::Content, "x").unwrap();
    assert_eq!(json!(rule.actions), json!(["notify", {"set_tweak": "sound", "value": "x"}]));
    for bad in [json!(["stomp"]), json!([1]), json!([{"tweak": 1}])] {
        let refused = rules.set_actions(PushRuleKind::Content, "x", bad.as_array().unwrap());
        assert!(matches!(refused, Err(PushRuleError::Invalid(_))));
    }
}

#[test]
fn a_content_rule_needs_a_pattern() {
    let refused = rules().put(
        PushRuleKind::Content,
        "x",
        &serde_json::from_value(json!({"actions": []})).unwrap(),
        &Neighbours::default(),
    );
    assert!(matches!(refused, Err(PushRuleError::Missing(_))));
}

#[test]
fn the_servers_rules_can_be_disabled_but_not_deleted() {
    let mut rules = rules();
    rules.set_enabled(PushRuleKind::Override, ".m.rule.suppress_notices", false).unwrap();
    assert!(!rules.get(PushRuleKind::Override, ".m.rule.suppress_notices").unwrap().enabled);
    let refused = rules.delete(PushRuleKind::Override, ".m.rule.suppress_notices");
    assert!(matches!(refused, Err(PushRuleError::InvalidId(_))));
    assert!(matches!(rules.delete(PushRuleKind::Room, "!r:x"), Err(PushRuleError::NotFound)));
    put(&mut rules, "mine", None, None).unwrap();
    rules.delete(PushRuleKind::Content, "mine").unwrap();
    assert!(rules.get(PushRuleKind::Content, "mine").is_none());
}

#[test]
fn stored_rules_take_in_default_rules_that_came_later() {
    let user = UserId::parse("@alice:example.org").unwrap();
    let mut rules = rules();
    put(&mut rules, "mine", None, None).unwrap();
    rules.set_enabled(PushRuleKind::Override, ".m.rule.master", true).unwrap();
    let expected = rules.clone();
    rules.global.overrides.retain(|rule| rule.rule_id == ".m.rule.master");
    assert_eq!(PushRules::of(Some(&rules.to_json()), &user), expected);
}
