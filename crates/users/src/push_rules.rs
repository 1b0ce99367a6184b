//! What a user has set about notifications: their push rules, kept as the account data `m.push_rules`.
//!
//! Evaluating them is the business of `roost_matrix::push`; here they are shown and changed.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#push-rules>

use roost_matrix::{ids::UserId, push};
use roost_store::{Read, UserNo, account_data};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Users;

#[cfg(test)]
mod tests;

/// The type of the account data.
const KIND: &str = "m.push_rules";
/// Rules of one kind that a user can have.
const MAX_RULES: usize = 1_000;
/// The longest id of a rule, in bytes.
const MAX_ID_BYTES: usize = 255;
/// The longest rule, in bytes of JSON.
const MAX_RULE_BYTES: usize = 16 << 10;
/// All rules of a user together, in bytes of JSON: they are read with each change, and whole.
const MAX_BYTES: usize = 2 << 20;
/// Always the most important rule, whatever a user adds.
const MASTER: &str = ".m.rule.master";

/// Why a change of push rules was refused.
#[derive(Debug, thiserror::Error)]
pub enum PushRuleError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] roost_store::Error),
    /// There is no such rule.
    #[error("The push rule was not found")]
    NotFound,
    /// The rule that the new one was to stand beside does not exist, or is the server's.
    #[error("before/after rule not found: {0}")]
    NoSuchNeighbour(String),
    /// The id is not one that a user's rule can have.
    #[error("{0}")]
    InvalidId(&'static str),
    /// The rule lacks something that its kind needs.
    #[error("{0}")]
    Missing(&'static str),
    /// The rule has something that is not as it should be.
    #[error("{0}")]
    Invalid(&'static str),
    /// There are too many rules, or the rule is too large.
    #[error("{0}")]
    TooLarge(&'static str),
}

/// The kinds of rules, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushRuleKind {
    /// User-configured overrides.
    Override,
    /// By what a message says.
    Content,
    /// By room.
    Room,
    /// By sender.
    Sender,
    /// Whatever the others left.
    Underride,
}

impl PushRuleKind {
    /// From the specification's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "override" => Self::Override,
            "content" => Self::Content,
            "room" => Self::Room,
            "sender" => Self::Sender,
            "underride" => Self::Underride,
            _ => return None,
        })
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushRule {
    /// Its id, unique among rules of its kind.
    pub rule_id: String,
    /// Whether it is one of the server's.
    pub default: bool,
    /// Whether it is in force.
    pub enabled: bool,
    /// What it does.
    pub actions: Vec<Value>,
    /// When it does so; overrides and underrides only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Value>>,
    /// The text that it looks for; content rules only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// A rule as a client sets it.
#[derive(Clone, Debug, Deserialize)]
pub struct NewPushRule {
    /// What it does.
    pub actions: Vec<Value>,
    /// When it does so.
    #[serde(default)]
    pub conditions: Option<Vec<Value>>,
    /// The text that it looks for.
    #[serde(default)]
    pub pattern: Option<String>,
}

/// Where a new rule stands; `before` counts when both are given.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// It is the next more important rule than this one.
    pub before: Option<String>,
    /// It is the next less important rule than this one.
    pub after: Option<String>,
}

/// All rules of one user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushRules {
    /// The only set that there is.
    pub global: PushRuleset,
}

/// Rules by kind, each list with the most important first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PushRuleset {
    content: Vec<PushRule>,
    #[serde(rename = "override")]
    overrides: Vec<PushRule>,
    room: Vec<PushRule>,
    sender: Vec<PushRule>,
    underride: Vec<PushRule>,
}

impl PushRuleset {
    /// The rules of a kind.
    #[must_use]
    pub fn of_kind(&self, kind: PushRuleKind) -> &[PushRule] {
        match kind {
            PushRuleKind::Override => &self.overrides,
            PushRuleKind::Content => &self.content,
            PushRuleKind::Room => &self.room,
            PushRuleKind::Sender => &self.sender,
            PushRuleKind::Underride => &self.underride,
        }
    }

    fn of_kind_mut(&mut self, kind: PushRuleKind) -> &mut Vec<PushRule> {
        match kind {
            PushRuleKind::Override => &mut self.overrides,
            PushRuleKind::Content => &mut self.content,
            PushRuleKind::Room => &mut self.room,
            PushRuleKind::Sender => &mut self.sender,
            PushRuleKind::Underride => &mut self.underride,
        }
    }
}

impl PushRules {
    /// The rules as they are stored, or those that every user starts with.
    #[must_use]
    pub fn of(stored: Option<&str>, user: &UserId) -> Self {
        let parse = |json: &str| serde_json::from_str::<Self>(json).ok();
        let defaults = parse(&push::default_rules_json(user)).unwrap_or(Self { global: PushRuleset::default() });
        match stored.and_then(parse) {
            Some(mut rules) => {
                rules.adopt(&defaults);
                rules
            }
            None => defaults,
        }
    }

    /// Takes in the server's rules as they are today: those that the user has not seen yet, and new conditions of the others.
    fn adopt(&mut self, defaults: &Self) {
        for kind in [
            PushRuleKind::Override,
            PushRuleKind::Content,
            PushRuleKind::Room,
            PushRuleKind::Sender,
            PushRuleKind::Underride,
        ] {
            let list = self.global.of_kind_mut(kind);
            let (servers, users): (Vec<_>, Vec<_>) = std::mem::take(list).into_iter().partition(|rule| rule.default);
            let mut today: Vec<_> = defaults.global.of_kind(kind).to_vec();
            for rule in &mut today {
                if let Some(set) = servers.iter().find(|set| set.rule_id == rule.rule_id) {
                    rule.enabled = set.enabled;
                    rule.actions.clone_from(&set.actions);
                }
            }
            let masters = today.iter().take_while(|rule| rule.rule_id == MASTER).count();
            list.extend(today.drain(..masters));
            list.extend(users);
            list.append(&mut today);
        }
    }

    /// As JSON: the content of `m.push_rules`.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts as keys and JSON values: that can be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One rule.
    #[must_use]
    pub fn get(&self, kind: PushRuleKind, id: &str) -> Option<&PushRule> {
        self.global.of_kind(kind).iter().find(|rule| rule.rule_id == id)
    }

    fn get_mut(&mut self, kind: PushRuleKind, id: &str) -> Result<&mut PushRule, PushRuleError> {
        let list = self.global.of_kind_mut(kind);
        list.iter_mut().find(|rule| rule.rule_id == id).ok_or(PushRuleError::NotFound)
    }

    /// Adds a user's rule, or changes the one of that id.
    pub fn put(
        &mut self,
        kind: PushRuleKind,
        id: &str,
        new: &NewPushRule,
        neighbours: &Neighbours,
    ) -> Result<(), PushRuleError> {
        check_id(id)?;
        let mut rule = PushRule {
            rule_id: id.to_owned(),
            default: false,
            enabled: true,
            actions: actions(&new.actions)?,
            conditions: None,
            pattern: None,
        };
        match kind {
            PushRuleKind::Override | PushRuleKind::Underride => {
                rule.conditions = Some(conditions(new.conditions.clone().unwrap_or_default())?);
            }
            PushRuleKind::Content => {
                rule.pattern =
                    Some(new.pattern.clone().ok_or(PushRuleError::Missing("A content rule needs a pattern"))?);
            }
            PushRuleKind::Room | PushRuleKind::Sender => {}
        }
        if serde_json::to_vec(&rule).is_ok_and(|json| json.len() > MAX_RULE_BYTES) {
            return Err(PushRuleError::TooLarge("The rule is too large"));
        }
        let list = self.global.of_kind_mut(kind);
        let present = list.iter().position(|rule| rule.rule_id == id);
        if present.is_none() && list.iter().filter(|rule| !rule.default).count() >= MAX_RULES {
            return Err(PushRuleError::TooLarge("There are too many rules of this kind"));
        }
        let (neighbour, behind) = match (&neighbours.before, &neighbours.after) {
            (Some(before), _) => (Some(before), 0),
            (None, Some(after)) => (Some(after), 1),
            (None, None) => (None, 0),
        };
        // Beside itself a rule stays where it is.
        let neighbour = neighbour.filter(|neighbour| *neighbour != id);
        if let Some(neighbour) = neighbour
            && !list.iter().any(|rule| !rule.default && rule.rule_id == *neighbour)
        {
            return Err(PushRuleError::NoSuchNeighbour(neighbour.clone()));
        }
        let removed = present.map(|at| list.remove(at));
        if let Some(removed) = &removed {
            rule.enabled = removed.enabled;
        }
        let place = match (neighbour, present) {
            (Some(neighbour), _) => list.iter().position(|rule| rule.rule_id == *neighbour).map_or(0, |at| at + behind),
            (None, Some(present)) => present,
            (None, None) => list.iter().take_while(|rule| rule.rule_id == MASTER).count(),
        };
        list.insert(place.min(list.len()), rule);
        Ok(())
    }

    /// Removes a user's rule.
    pub fn delete(&mut self, kind: PushRuleKind, id: &str) -> Result<(), PushRuleError> {
        if self.get_mut(kind, id)?.default {
            return Err(PushRuleError::InvalidId("The server's own rules can be disabled, not deleted"));
        }
        self.global.of_kind_mut(kind).retain(|rule| rule.rule_id != id);
        Ok(())
    }

    /// Puts a rule in force, or out of force.
    pub fn set_enabled(&mut self, kind: PushRuleKind, id: &str, enabled: bool) -> Result<(), PushRuleError> {
        self.get_mut(kind, id)?.enabled = enabled;
        Ok(())
    }

    /// Changes what a rule does.
    pub fn set_actions(&mut self, kind: PushRuleKind, id: &str, new: &[Value]) -> Result<(), PushRuleError> {
        self.get_mut(kind, id)?.actions = actions(new)?;
        Ok(())
    }
}

fn check_id(id: &str) -> Result<(), PushRuleError> {
    if id.starts_with('.') {
        return Err(PushRuleError::InvalidId("Ids that begin with a dot are the server's"));
    }
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.contains(['/', '\\']) {
        return Err(PushRuleError::InvalidId("An id has 1 to 255 bytes and neither slashes nor backslashes"));
    }
    Ok(())
}

/// The actions without those of older versions of the specification, which are to be ignored.
fn actions(actions: &[Value]) -> Result<Vec<Value>, PushRuleError> {
    let invalid = PushRuleError::Invalid("An action is \"notify\" or an object with set_tweak");
    let mut kept = Vec::with_capacity(actions.len());
    for action in actions {
        match action {
            Value::String(name) if name == "dont_notify" || name == "coalesce" => {}
            Value::String(name) if name == "notify" => kept.push(action.clone()),
            Value::Object(tweak) if tweak.get("set_tweak").is_some_and(Value::is_string) => kept.push(action.clone()),
            _ => return Err(invalid),
        }
    }
    Ok(kept)
}

fn conditions(conditions: Vec<Value>) -> Result<Vec<Value>, PushRuleError> {
    if conditions.iter().all(|condition| condition.get("kind").is_some_and(Value::is_string)) {
        Ok(conditions)
    } else {
        Err(PushRuleError::Invalid("A condition is an object with a kind"))
    }
}

/// The rules of a user, from a snapshot.
fn read(read: &Read<'_>, user: UserNo, user_id: &UserId) -> Result<PushRules, roost_store::Error> {
    let stored = account_data::get(read, user, None, KIND)?;
    Ok(PushRules::of(stored.as_deref(), user_id))
}

impl Users {
    /// A user's push rules.
    pub async fn push_rules(&self, user: UserNo, user_id: &UserId) -> Result<PushRules, PushRuleError> {
        let user_id = user_id.to_owned();
        self.0.store.read(move |snapshot| Ok(read(snapshot, user, &user_id)?)).await
    }

    /// Changes a user's push rules. Their other clients hear of it through /sync.
    pub async fn change_push_rules(
        &self,
        user: UserNo,
        user_id: &UserId,
        change: impl Fn(&mut PushRules) -> Result<(), PushRuleError> + Send + 'static,
    ) -> Result<(), PushRuleError> {
        let user_id = user_id.to_owned();
        let write = self.0.store.write(move |tx| {
            let before = read(tx, user, &user_id)?;
            let mut rules = before.clone();
            change(&mut rules)?;
            if rules != before {
                let content = rules.to_json();
                if content.len() > MAX_BYTES {
                    return Err(PushRuleError::TooLarge("All push rules together are too large"));
                }
                account_data::set(tx, user, None, KIND, &content)?;
            }
            Ok(())
        });
        write.await
    }
}
