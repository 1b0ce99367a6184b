//! `RoomEventFilter`: which events of a room a client wants.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use roost_matrix::{event::Pdu, ids::RoomId};
use serde::Deserialize;

/// A `RoomEventFilter`. What is left out does not restrict.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct EventFilter {
    /// The most events wanted.
    pub limit: Option<u64>,
    /// Event types wanted, with `*` as a wildcard.
    pub types: Option<Vec<String>>,
    /// Event types not wanted; stronger than `types`.
    pub not_types: Vec<String>,
    /// Senders wanted.
    pub senders: Option<Vec<String>>,
    /// Senders not wanted; stronger than `senders`.
    pub not_senders: Vec<String>,
    /// Rooms wanted.
    pub rooms: Option<Vec<String>>,
    /// Rooms not wanted; stronger than `rooms`.
    pub not_rooms: Vec<String>,
    /// Only events with a `url` in their content, or only those without.
    pub contains_url: Option<bool>,
    /// Member events only of those who are of interest.
    pub lazy_load_members: bool,
    /// Also member events that the client must have got before.
    pub include_redundant_members: bool,
    /// Notification counts by thread.
    pub unread_thread_notifications: bool,
}

impl EventFilter {
    /// Whether anything of the room is wanted.
    #[must_use]
    pub fn wants_room(&self, room: &RoomId) -> bool {
        let is = |named: &String| named == room.as_str();
        !self.not_rooms.iter().any(is) && self.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(is))
    }

    /// Whether the event is wanted; rooms are not looked at.
    #[must_use]
    pub fn wants(&self, pdu: &Pdu) -> bool {
        let is_kind = |pattern: &String| matches(pattern, pdu.kind());
        let is_sender = |named: &String| named == pdu.sender().as_str();
        !self.not_types.iter().any(is_kind)
            && self.types.as_ref().is_none_or(|types| types.iter().any(is_kind))
            && !self.not_senders.iter().any(is_sender)
            && self.senders.as_ref().is_none_or(|senders| senders.iter().any(is_sender))
            && self.contains_url.is_none_or(|wanted| wanted == has_url(pdu))
    }

    /// Whether every event is wanted.
    #[must_use]
    pub fn wants_all(&self) -> bool {
        self.types.is_none()
            && self.not_types.is_empty()
            && self.senders.is_none()
            && self.not_senders.is_empty()
            && self.contains_url.is_none()
    }
}

fn has_url(pdu: &Pdu) -> bool {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        url: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Content>(pdu.content()).is_ok_and(|content| content.url.is_some())
}

/// Whether a text matches a pattern in which `*` stands for any characters, in time linear in both for each `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or(""),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_type_matches_any_characters() {
        for (pattern, text) in [
            ("m.room.*", "m.room.name"),
            ("*", ""),
            ("*", "x"),
            ("m.*.a*z", "m.room.abcz"),
            ("a*", "a"),
            ("a**b", "ab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("m.room.*", "m.room"), ("", "x"), ("*a", "b"), ("a*a", "a"), ("m.room", "m.room.name")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_room_that_is_both_wanted_and_not_wanted_is_not_wanted() {
        let room = RoomId::parse("!a:example.org").unwrap();
        let named = vec![room.to_string()];
        let filter = EventFilter { rooms: Some(named.clone()), not_rooms: named, ..EventFilter::default() };
        assert!(!filter.wants_room(&room));
        assert!(EventFilter::default().wants_room(&room));
    }
}
