//! [Conditions](https://spec.matrix.org/v1.19/client-server-api/#conditions-1).

use super::{
    event::{Event, Node, Value},
    rules::{Owner, Room},
};
use crate::glob::{self, Budget, Glob};

/// A [dot-separated property path](https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths), taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Path(Box<[Box<str>]>);

impl Path {
    /// `\.` and `\\` stand for a dot and a backslash in a name; any other backslash is itself.
    pub(super) fn new(text: &str) -> Self {
        let mut names = Vec::new();
        let mut name = String::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '.' => names.push(std::mem::take(&mut name).into_boxed_str()),
                '\\' => name.push(characters.next_if(|next| matches!(next, '.' | '\\')).unwrap_or('\\')),
                _ => name.push(character),
            }
        }
        names.push(name.into_boxed_str());
        Self(names.into_boxed_slice())
    }

    pub(super) fn split(&self) -> Option<(&str, &[Box<str>])> {
        self.0.split_first().map(|(first, rest)| (&**first, rest))
    }

    /// `content.body`, where patterns match words.
    pub(super) fn is_body(&self) -> bool {
        matches!(&*self.0, [content, body] if **content == *"content" && **body == *"body")
    }
}

/// A value that properties can be equal to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    String(Box<str>),
    /// The user id of who has the rules.
    Owner,
}

impl Scalar {
    fn is(&self, value: Value<'_>, owner: Option<Owner<'_>>) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(expected), Value::Bool(value)) => *expected == value,
            (Self::Integer(expected), Value::Integer(value)) => *expected == value,
            (Self::String(expected), Value::String(value)) => **expected == *value,
            (Self::Owner, Value::String(value)) => owner.is_some_and(|owner| owner.user.as_str() == value),
            _ => false,
        }
    }
}

/// How a member count is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Comparison {
    Equal,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
}

/// A condition that is known; a rule with any other never matches and is not compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Condition {
    Match {
        key: Path,
        glob: Glob,
    },
    MatchBody {
        glob: Glob,
    },
    /// `event_match` with the id of who has the rules as its pattern.
    MatchOwner {
        key: Path,
    },
    PropertyIs {
        key: Path,
        value: Scalar,
    },
    PropertyContains {
        key: Path,
        value: Scalar,
    },
    ContainsDisplayName,
    MemberCount {
        comparison: Comparison,
        count: u64,
    },
    SenderMayNotify {
        key: Box<str>,
    },
    /// Of `room` rules.
    Room {
        room_id: Box<str>,
    },
    /// Of `sender` rules.
    Sender {
        user_id: Box<str>,
    },
}

impl Condition {
    pub(super) fn holds(
        &self,
        event: &Event<'_>,
        room: &Room<'_>,
        owner: Option<Owner<'_>>,
        budget: &mut Budget,
    ) -> bool {
        match self {
            Self::Match { key, glob } => match event.get(key) {
                Some(Value::String(value)) => glob.matches(value, budget),
                _ => false,
            },
            Self::MatchBody { glob } => event.body().is_some_and(|body| glob.matches_words(body, budget)),
            Self::MatchOwner { key } => owner.is_some_and(|owner| {
                event.get(key).is_some_and(
                    |value| matches!(value, Value::String(value) if glob::equal(value, owner.user.as_str())),
                )
            }),
            Self::PropertyIs { key, value: expected } => event.get(key).is_some_and(|value| expected.is(value, owner)),
            Self::PropertyContains { key, value: expected } => match event.get(key) {
                Some(Value::Array(items)) => items.iter().map(Node::value).any(|item| expected.is(item, owner)),
                _ => false,
            },
            Self::ContainsDisplayName => match (owner.and_then(|owner| owner.display_name), event.body()) {
                (Some(name), Some(body)) => glob::contains_words(body, name, budget),
                _ => false,
            },
            Self::MemberCount { comparison, count } => match comparison {
                Comparison::Equal => room.member_count == *count,
                Comparison::Less => room.member_count < *count,
                Comparison::Greater => room.member_count > *count,
                Comparison::LessOrEqual => room.member_count <= *count,
                Comparison::GreaterOrEqual => room.member_count >= *count,
            },
            Self::SenderMayNotify { key } => room.power.for_user(event.sender()) >= room.power.notification(key),
            Self::Room { room_id } => **room_id == *event.room_id().as_str(),
            Self::Sender { user_id } => **user_id == *event.sender().as_str(),
        }
    }
}

/// Reads the `is` of `room_member_count`: a decimal integer with an optional comparison before it.
pub(super) fn member_count(is: &str) -> Option<(Comparison, u64)> {
    let (comparison, count) = [
        ("==", Comparison::Equal),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ]
    .into_iter()
    .find_map(|(prefix, comparison)| is.strip_prefix(prefix).map(|count| (comparison, count)))
    .unwrap_or((Comparison::Equal, is));
    let is_decimal = !count.is_empty() && count.bytes().all(|digit| digit.is_ascii_digit());
    is_decimal.then(|| count.parse().ok()).flatten().map(|count| (comparison, count))
}
