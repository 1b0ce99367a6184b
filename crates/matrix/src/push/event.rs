//! An event as conditions see it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::condition::Path;
use crate::{
    canonical_json::MAX_INTEGER,
    event::Pdu,
    ids::{EventId, RoomId, UserId},
};

/// An event, taken apart for the conditions of push rules: the properties that clients see of it, without `unsigned`.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the specification's names")]
pub struct Event<'a> {
    event_id: &'a EventId,
    room_id: &'a RoomId,
    sender: &'a UserId,
    kind: &'a str,
    state_key: Option<&'a str>,
    redacts: Option<&'a EventId>,
    origin_server_ts: u64,
    content: Node<'a>,
}

/// A JSON value. Memory is in proportion to the event, however it nests.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// A number that canonical JSON does not have.
    Other,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    String(&'a str),
    Array(&'a [Node<'a>]),
    Other,
}

impl<'a> Event<'a> {
    /// Takes an event apart.
    #[must_use]
    pub fn of(pdu: &'a Pdu) -> Self {
        Self {
            event_id: pdu.event_id(),
            room_id: pdu.room_id(),
            sender: pdu.sender(),
            kind: pdu.kind(),
            state_key: pdu.state_key(),
            redacts: pdu.redacts(),
            origin_server_ts: pdu.origin_server_ts(),
            content: serde_json::from_str(pdu.content()).unwrap_or(Node::Other),
        }
    }

    /// Users whom the event names where the default rules look for their owner: its `state_key`, and `user_ids` of
    /// `m.mentions`. For everybody else who has the same rules the outcome is the same.
    pub fn named_users(&self) -> impl Iterator<Item = &str> {
        let mentions = match &self.content {
            Node::Object(members) => find(members, "m.mentions"),
            _ => None,
        };
        let users = match mentions {
            Some(Node::Object(members)) => find(members, "user_ids"),
            _ => None,
        };
        let users = if let Some(Node::Array(users)) = users { users.as_slice() } else { &[] };
        let users = users.iter().filter_map(|user| if let Node::String(user) = user { Some(&**user) } else { None });
        self.state_key.into_iter().filter(|key| key.starts_with('@')).chain(users)
    }

    pub(super) fn sender(&self) -> &UserId {
        self.sender
    }

    pub(super) fn room_id(&self) -> &RoomId {
        self.room_id
    }

    pub(super) fn body(&self) -> Option<&str> {
        match &self.content {
            Node::Object(members) => match find(members, "body")? {
                Node::String(body) => Some(body),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn get(&self, path: &Path) -> Option<Value<'_>> {
        let (first, rest) = path.split()?;
        let top = match first {
            "content" => {
                let mut node = &self.content;
                for name in rest {
                    let Node::Object(members) = node else { return None };
                    node = find(members, name)?;
                }
                return Some(node.value());
            }
            "type" => Value::String(self.kind),
            "sender" => Value::String(self.sender.as_str()),
            "room_id" => Value::String(self.room_id.as_str()),
            "event_id" => Value::String(self.event_id.as_str()),
            "state_key" => Value::String(self.state_key?),
            "redacts" => Value::String(self.redacts?.as_str()),
            "origin_server_ts" => Value::Integer(i64::try_from(self.origin_server_ts).ok()?),
            _ => return None,
        };
        rest.is_empty().then_some(top)
    }
}

fn find<'n, 'a>(members: &'n [(Cow<'a, str>, Node<'a>)], name: &str) -> Option<&'n Node<'a>> {
    members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

impl Node<'_> {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::String(value) => Value::String(value),
            Self::Array(items) => Value::Array(items),
            Self::Object(_) | Self::Other => Value::Other,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(if value.unsigned_abs() <= MAX_INTEGER.unsigned_abs() { Node::Integer(value) } else { Node::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        let integer = i64::try_from(value).ok().filter(|value| *value <= MAX_INTEGER);
        Ok(integer.map_or(Node::Other, Node::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Node::Other)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Node::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Node::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Vec::new();
        while let Some(Key(key)) = members.next_key()? {
            object.push((key, members.next_value()?));
        }
        Ok(Node::Object(object))
    }
}

/// A key, borrowed when it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(NodeVisitor)? {
            Node::String(key) => Ok(Self(key)),
            _ => Err(serde::de::Error::custom("a key is a string")),
        }
    }
}
