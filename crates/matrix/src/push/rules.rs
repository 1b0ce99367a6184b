//! Compiled rule sets and their evaluation.

use super::{condition::Condition, event::Event};
use crate::{auth::power::PowerLevels, glob::Budget, ids::UserId};

/// Comparisons of characters that one evaluation may make; a rule whose pattern comes after that does not match. Fifty
/// patterns against a body as long as an event can be take a fifth of it.
const COMPARISONS: u64 = 16 * 1024 * 1024;

/// A user's push rules, compiled. Disabled rules and rules that can never match are not in it.
///
/// Two sets are equal when they decide alike for the same reasons, whatever their rules are called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuleSet {
    pub(super) rules: Box<[Rule]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    pub(super) conditions: Box<[Condition]>,
    pub(super) actions: Actions,
}

/// What a matching rule asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Actions {
    pub(super) notify: bool,
    pub(super) highlight: bool,
    /// Name and JSON value, in order of the names.
    pub(super) tweaks: Box<[(Box<str>, Box<str>)]>,
}

impl Actions {
    /// Whether the event notifies the user.
    #[must_use]
    pub fn notifies(&self) -> bool {
        self.notify
    }

    /// Whether the event is to be highlighted; nothing is without a notification.
    #[must_use]
    pub fn highlights(&self) -> bool {
        self.notify && self.highlight
    }

    /// The tweaks for the push gateway: names and JSON values, in order of the names.
    pub fn tweaks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tweaks.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// What conditions ask about the room.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// How many users are joined.
    pub member_count: u64,
    /// The power levels.
    pub power: &'a PowerLevels,
}

/// Who has the rules.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The user.
    pub user: &'a UserId,
    /// The user's display name in the room, for the deprecated condition that looks for it.
    pub display_name: Option<&'a str>,
}

impl RuleSet {
    /// The actions for an event; nothing when no rule matches.
    ///
    /// With an `owner` an event of their own matches nothing. Without one the answer is that for every owner of the set whom
    /// the event neither names ([`Event::named_users`]) nor comes from, unless
    /// [`depends_on_display_name`](Self::depends_on_display_name).
    #[must_use]
    pub fn evaluate(&self, event: &Event<'_>, room: &Room<'_>, owner: Option<Owner<'_>>) -> Option<&Actions> {
        if owner.is_some_and(|owner| owner.user == event.sender()) {
            return None;
        }
        let mut budget = Budget::new(COMPARISONS);
        let matches =
            |rule: &&Rule| rule.conditions.iter().all(|condition| condition.holds(event, room, owner, &mut budget));
        self.rules.iter().find(matches).map(|rule| &rule.actions)
    }

    /// Whether a rule looks for the owner's display name, so that owners of one set can get different answers for an event
    /// that does not name them.
    #[must_use]
    pub fn depends_on_display_name(&self) -> bool {
        self.rules.iter().any(|rule| rule.conditions.contains(&Condition::ContainsDisplayName))
    }
}
