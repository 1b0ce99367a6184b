//! From the JSON of `m.push_rules` to a compiled set.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::{
    condition::{Condition, Path, Scalar, member_count},
    rules::{Actions, Rule, RuleSet},
};
use crate::{canonical_json::MAX_INTEGER, glob::Glob, ids::UserId};

/// The longest rule set, in bytes of JSON.
pub const MAX_SIZE: usize = 256 * 1024;
/// The most rules of all kinds.
pub const MAX_RULES: usize = 1_000;
/// The most conditions of a rule.
pub const MAX_CONDITIONS: usize = 50;
/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 1_024;

/// Why JSON is no rule set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidRules {
    /// Not of the form of an `m.push_rules` event's content.
    #[error("not a set of push rules: {0}")]
    Form(#[from] serde_json::Error),
    /// More than [`MAX_SIZE`] bytes.
    #[error("the push rules are too long")]
    TooLong,
    /// More than [`MAX_RULES`] rules.
    #[error("too many push rules")]
    TooManyRules,
    /// More than [`MAX_CONDITIONS`] conditions in one rule.
    #[error("too many conditions in a push rule")]
    TooManyConditions,
    /// A pattern of more than [`MAX_PATTERN`] bytes.
    #[error("the pattern of a push rule is too long")]
    PatternTooLong,
    /// A `content` rule without a `pattern`.
    #[error("a content rule needs a pattern")]
    NoPattern,
}

#[derive(Deserialize)]
struct PushRules {
    global: Kinds,
}

#[derive(Deserialize)]
struct Kinds {
    #[serde(default, rename = "override")]
    overrides: Vec<RuleJson>,
    #[serde(default)]
    content: Vec<RuleJson>,
    #[serde(default)]
    room: Vec<RuleJson>,
    #[serde(default)]
    sender: Vec<RuleJson>,
    #[serde(default)]
    underride: Vec<RuleJson>,
}

#[derive(Deserialize)]
struct RuleJson {
    rule_id: String,
    #[serde(default = "enabled")]
    enabled: bool,
    #[serde(default)]
    conditions: Vec<Value>,
    pattern: Option<String>,
    #[serde(default)]
    actions: Vec<Value>,
}

fn enabled() -> bool {
    true
}

impl RuleSet {
    /// Compiles the content of a user's `m.push_rules` event: `{"global": {"override": […], …}}`, the rules of each kind in
    /// order of priority.
    pub fn parse(json: &str, user: &UserId) -> Result<Self, InvalidRules> {
        if json.len() > MAX_SIZE {
            return Err(InvalidRules::TooLong);
        }
        let Kinds { overrides, content, room, sender, underride } = serde_json::from_str::<PushRules>(json)?.global;
        if [&overrides, &content, &room, &sender, &underride].into_iter().map(Vec::len).sum::<usize>() > MAX_RULES {
            return Err(InvalidRules::TooManyRules);
        }

        let mut rules = Vec::new();
        let mut add = |rule: &RuleJson, conditions: Option<Vec<Condition>>| {
            if let Some(conditions) = conditions
                && rule.enabled
            {
                rules.push(Rule { conditions: conditions.into(), actions: actions(&rule.actions) });
            }
        };
        for rule in &overrides {
            add(rule, conditions(rule, user)?);
        }
        for rule in &content {
            let glob = glob(rule.pattern.as_deref().ok_or(InvalidRules::NoPattern)?)?;
            add(rule, Some(vec![Condition::MatchBody { glob }]));
        }
        for rule in &room {
            add(rule, Some(vec![Condition::Room { room_id: rule.rule_id.as_str().into() }]));
        }
        for rule in &sender {
            add(rule, Some(vec![Condition::Sender { user_id: rule.rule_id.as_str().into() }]));
        }
        for rule in &underride {
            add(rule, conditions(rule, user)?);
        }

        // Nothing is asked after a rule that always matches.
        if let Some(always) = rules.iter().position(|rule| rule.conditions.is_empty()) {
            rules.truncate(always + 1);
        }
        Ok(Self { rules: rules.into() })
    }
}

fn glob(pattern: &str) -> Result<Glob, InvalidRules> {
    if pattern.len() > MAX_PATTERN { Err(InvalidRules::PatternTooLong) } else { Ok(Glob::new(pattern)) }
}

/// The conditions of a rule; nothing when one of them is not recognised, since then the rule never matches.
fn conditions(rule: &RuleJson, user: &UserId) -> Result<Option<Vec<Condition>>, InvalidRules> {
    if rule.conditions.len() > MAX_CONDITIONS {
        return Err(InvalidRules::TooManyConditions);
    }
    rule.conditions
        .iter()
        .map(|json| condition(json, user).transpose())
        .collect::<Option<Result<Vec<_>, _>>>()
        .transpose()
}

fn condition(json: &Value, user: &UserId) -> Result<Option<Condition>, InvalidRules> {
    let string = |name: &str| json.get(name).and_then(Value::as_str);
    let (kind, key) = (string("kind").unwrap_or_default(), string("key"));
    if kind == "event_match"
        && let (Some(key), Some(pattern)) = (key, string("pattern"))
    {
        let (key, glob) = (Path::new(key), glob(pattern)?);
        return Ok(Some(if key.is_body() {
            Condition::MatchBody { glob }
        } else if pattern == user.as_str() && !pattern.contains(['*', '?']) {
            Condition::MatchOwner { key }
        } else {
            Condition::Match { key, glob }
        }));
    }
    Ok(match (kind, key) {
        ("event_property_is", Some(key)) => {
            scalar(json.get("value"), user).map(|value| Condition::PropertyIs { key: Path::new(key), value })
        }
        ("event_property_contains", Some(key)) => {
            scalar(json.get("value"), user).map(|value| Condition::PropertyContains { key: Path::new(key), value })
        }
        ("contains_display_name", _) => Some(Condition::ContainsDisplayName),
        ("room_member_count", _) => {
            string("is").and_then(member_count).map(|(comparison, count)| Condition::MemberCount { comparison, count })
        }
        ("sender_notification_permission", Some(key)) => Some(Condition::SenderMayNotify { key: key.into() }),
        _ => None,
    })
}

fn scalar(json: Option<&Value>, user: &UserId) -> Option<Scalar> {
    match json? {
        Value::Null => Some(Scalar::Null),
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::Number(number) => {
            let integer = number.as_i64().filter(|value| value.unsigned_abs() <= MAX_INTEGER.unsigned_abs())?;
            Some(Scalar::Integer(integer))
        }
        Value::String(value) if *value == user.as_str() => Some(Scalar::Owner),
        Value::String(value) => Some(Scalar::String(value.as_str().into())),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// What is neither `notify` nor a tweak is passed over, the historical `dont_notify` and `coalesce` among it.
fn actions(json: &[Value]) -> Actions {
    let mut actions = Actions { notify: json.iter().any(|action| action == "notify"), ..Actions::default() };
    let mut tweaks = std::collections::BTreeMap::<Box<str>, Box<str>>::new();
    for action in json {
        let Some(name) = action.get("set_tweak").and_then(Value::as_str) else { continue };
        let value = action.get("value");
        if name == "highlight" {
            actions.highlight = value.is_none_or(|value| value == true);
            tweaks.insert(name.into(), actions.highlight.to_string().into());
        } else if let Some(value) = value {
            tweaks.insert(name.into(), value.to_string().into());
        }
    }
    actions.tweaks = tweaks.into_iter().collect();
    actions
}
