//! Reading events: the format of each room version, and the limits.

use std::sync::{Arc, OnceLock};

use super::{Inner, Key, MAX_AUTH_EVENTS, MAX_PREV_EVENTS, MAX_SIZE, Members, Pdu, Text, hashes, redaction};
use crate::{
    base64,
    canonical_json::{self, JsonError, scan},
    ids::{self, OwnedEventId, OwnedRoomId, OwnedUserId},
    room_version::{EventIds, RoomIds, Rules},
};

/// Why bytes are not an event of the room version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not JSON, or JSON that events may not hold.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member is not what it must be.
    #[error("`{member}` is not {expected}")]
    Wrong {
        /// The member.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A member is longer than 255 bytes.
    #[error("`{0}` is longer than 255 bytes")]
    TooLong(&'static str),
    /// A list holds too much.
    #[error("too many `{0}`")]
    TooMany(&'static str),
    /// The event is larger than [`MAX_SIZE`]; its size.
    #[error("the event is {0} bytes large")]
    TooLarge(usize),
}

impl FormatError {
    /// True when a size limit was broken (`M_TOO_LARGE`).
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLong(_) | Self::TooLarge(_))
    }
}

pub(super) fn parse(json: &[u8], rules: &'static Rules) -> Result<Pdu, FormatError> {
    let mut json = text(canonical_json::canonicalize_object(json, rules.integers)?)?;
    let mut members = Members::of(&json);
    if members.get(Key::Unsigned).is_some() {
        expect_object(&json, &members, Key::Unsigned)?;
        let mut bare = Vec::with_capacity(json.len());
        members.write_without(&json, &[Key::Unsigned], &mut bare);
        json = text(bare)?;
        members = Members::of(&json);
    }
    if json.len() > MAX_SIZE {
        return Err(FormatError::TooLarge(json.len()));
    }
    check(&json, &members, rules)?;
    let event_id = event_id(&json, &members, rules)?;
    build(json, members, event_id, rules)
}

/// Takes an event that was just written in canonical form, without `unsigned`, and whose ID is known.
pub(super) fn sealed(json: String, event_id: OwnedEventId, rules: &'static Rules) -> Result<Pdu, FormatError> {
    if json.len() > MAX_SIZE {
        return Err(FormatError::TooLarge(json.len()));
    }
    // The content alone was within the limit; the event is one level deeper.
    canonical_json::check_depth(json.as_bytes())?;
    let members = Members::of(&json);
    check(&json, &members, rules)?;
    build(json, members, event_id, rules)
}

pub(super) fn from_stored(json: Vec<u8>, event_id: OwnedEventId, rules: &'static Rules) -> Result<Pdu, FormatError> {
    let json = text(json)?;
    let members = Members::of(&json);
    build(json, members, event_id, rules)
}

fn text(json: Vec<u8>) -> Result<String, FormatError> {
    String::from_utf8(json).map_err(|_| JsonError::Utf8.into())
}

/// Puts an event together whose format is right.
fn build(json: String, members: Members, event_id: OwnedEventId, rules: &'static Rules) -> Result<Pdu, FormatError> {
    let kind = string_at(&json, &members, Key::Type)?;
    let state_key = members.get(Key::StateKey).map(|_| string_at(&json, &members, Key::StateKey)).transpose()?;
    let sender = required_string(&json, &members, Key::Sender)?;
    let sender = OwnedUserId::try_from(sender.as_ref())
        .map_err(|_| FormatError::Wrong { member: "sender", expected: "a user ID" })?;
    let is_create =
        kind.get(&json) == "m.room.create" && state_key.as_ref().is_some_and(|key| key.get(&json).is_empty());
    let room_id = if rules.room_ids == RoomIds::CreateEvent && is_create {
        OwnedRoomId::try_from(format!("!{}", event_id.as_str().trim_start_matches('$')))
    } else {
        OwnedRoomId::try_from(required_string(&json, &members, Key::RoomId)?.as_ref())
    }
    .map_err(|_| FormatError::Wrong { member: "room_id", expected: "a room ID" })?;
    let depth = integer(&json, &members, Key::Depth)?;
    let origin_server_ts = integer(&json, &members, Key::OriginServerTs)?;
    Ok(Pdu(Arc::new(Inner {
        rules,
        event_id,
        room_id,
        sender,
        kind,
        state_key,
        depth,
        origin_server_ts,
        members,
        json: json.into_boxed_str(),
        prev_events: OnceLock::new(),
        auth_events: OnceLock::new(),
        redacts: OnceLock::new(),
    })))
}

/// The event ID that the event carries or that its hash makes.
fn event_id(json: &str, members: &Members, rules: &Rules) -> Result<OwnedEventId, FormatError> {
    let carried = match rules.event_ids {
        EventIds::Chosen => required_string(json, members, Key::EventId)?,
        EventIds::Hash | EventIds::UrlSafeHash => std::borrow::Cow::default(),
    };
    event_id_of(&carried, rules, || {
        let mut redacted = Vec::with_capacity(json.len());
        redaction::write_redacted(json, members, rules, false, &mut redacted);
        redacted
    })
}

/// The event ID: the one carried, or the one that the hash of what is signed makes.
pub(super) fn event_id_of(
    carried: &str,
    rules: &Rules,
    signed_bytes: impl FnOnce() -> Vec<u8>,
) -> Result<OwnedEventId, FormatError> {
    let id = match rules.event_ids {
        EventIds::Chosen => carried.to_owned(),
        EventIds::Hash => format!("${}", base64::encode(&hashes::sha256(&signed_bytes()))),
        EventIds::UrlSafeHash => format!("${}", base64::encode_url(&hashes::sha256(&signed_bytes()))),
    };
    OwnedEventId::try_from(id).map_err(|_| FormatError::Wrong { member: "event_id", expected: "an event ID" })
}

/// Checks what [`build`] does not.
fn check(json: &str, members: &Members, rules: &Rules) -> Result<(), FormatError> {
    for key in [Key::Content, Key::Hashes, Key::Signatures] {
        expect_object(json, members, key)?;
    }
    let hashes = members.value(json, Key::Hashes).unwrap_or_default();
    if scan::member(hashes, "sha256").and_then(scan::string).is_none() {
        return Err(FormatError::Wrong { member: "hashes", expected: "an object with a string `sha256`" });
    }
    check_signatures(members.value(json, Key::Signatures).unwrap_or_default())?;

    let sender = limited_string(json, members, Key::Sender)?;
    if !ids::is_user_id(&sender) {
        return Err(FormatError::Wrong { member: "sender", expected: "a user ID" });
    }
    limited_string(json, members, Key::Type)?;
    if members.get(Key::StateKey).is_some() {
        limited_string(json, members, Key::StateKey)?;
    }
    // Whether one must be there is seen when the event is put together; that of a version 12 create event may not, which
    // is for the authorization rules to say.
    if members.get(Key::RoomId).is_some() {
        let room_id = limited_string(json, members, Key::RoomId)?;
        if !ids::is_room_id(&room_id, rules.room_ids) {
            return Err(FormatError::Wrong { member: "room_id", expected: "a room ID of this room version" });
        }
    }
    if rules.event_ids == EventIds::Chosen {
        let event_id = limited_string(json, members, Key::EventId)?;
        if !ids::is_event_id(&event_id, rules.event_ids) {
            return Err(FormatError::Wrong { member: "event_id", expected: "an event ID of this room version" });
        }
    } else if members.get(Key::EventId).is_some() {
        return Err(FormatError::Wrong { member: "event_id", expected: "absent in this room version" });
    }
    if !rules.redacts_in_content && members.get(Key::Redacts).is_some() {
        required_string(json, members, Key::Redacts)?;
    }
    check_references(json, members, Key::PrevEvents, MAX_PREV_EVENTS, rules)?;
    check_references(json, members, Key::AuthEvents, MAX_AUTH_EVENTS, rules)?;

    let depth = members.value(json, Key::Depth).ok_or(FormatError::Missing("depth"))?;
    if !depth.parse::<u64>().is_ok_and(|depth| depth <= rules.max_depth) {
        return Err(FormatError::Wrong { member: "depth", expected: "an integer within the limits" });
    }
    Ok(())
}

fn check_signatures(signatures: &str) -> Result<(), FormatError> {
    let right = scan::members(signatures).all(|server| {
        server.value.starts_with('{') && scan::members(server.value).all(|signature| signature.value.starts_with('"'))
    });
    if right {
        Ok(())
    } else {
        Err(FormatError::Wrong { member: "signatures", expected: "an object of objects of strings" })
    }
}

fn check_references(json: &str, members: &Members, key: Key, limit: usize, rules: &Rules) -> Result<(), FormatError> {
    let name = key.name();
    let list = members.value(json, key).ok_or(FormatError::Missing(name))?;
    if !list.starts_with('[') {
        return Err(FormatError::Wrong { member: name, expected: "an array" });
    }
    if scan::items(list).take(limit + 1).count() > limit {
        return Err(FormatError::TooMany(name));
    }
    for item in scan::items(list) {
        let id = if rules.event_ids == EventIds::Chosen {
            let mut pair = scan::items(item);
            match (pair.next(), pair.next(), pair.next()) {
                (Some(id), Some(hashes), None) if hashes.starts_with('{') => id,
                _ => {
                    return Err(FormatError::Wrong {
                        member: name,
                        expected: "an array of pairs of an event ID and hashes",
                    });
                }
            }
        } else {
            item
        };
        let Some(id) = scan::string(id).filter(|id| is_reference(id, rules)) else {
            return Err(FormatError::Wrong { member: name, expected: "an array of event IDs" });
        };
        // The room ID says which event created the room, so nothing may say it again.
        if key == Key::AuthEvents && rules.room_ids == RoomIds::CreateEvent {
            let room_id = members.value(json, Key::RoomId).and_then(scan::string).unwrap_or_default();
            if !room_id.is_empty() && room_id.get(1..) == id.get(1..) {
                return Err(FormatError::Wrong { member: name, expected: "free of the create event" });
            }
        }
    }
    Ok(())
}

/// Whether an event may name another so. That a hash has the right length is not asked: no event is named by another.
fn is_reference(id: &str, rules: &Rules) -> bool {
    match rules.event_ids {
        EventIds::Chosen => ids::is_event_id(id, EventIds::Chosen),
        EventIds::Hash | EventIds::UrlSafeHash => id.len() > 1 && id.len() <= ids::MAX_LENGTH && id.starts_with('$'),
    }
}

fn expect_object(json: &str, members: &Members, key: Key) -> Result<(), FormatError> {
    let value = members.value(json, key).ok_or(FormatError::Missing(key.name()))?;
    if value.starts_with('{') { Ok(()) } else { Err(FormatError::Wrong { member: key.name(), expected: "an object" }) }
}

fn required_string<'a>(json: &'a str, members: &Members, key: Key) -> Result<std::borrow::Cow<'a, str>, FormatError> {
    let value = members.value(json, key).ok_or(FormatError::Missing(key.name()))?;
    scan::string(value).ok_or(FormatError::Wrong { member: key.name(), expected: "a string" })
}

/// A string of at most 255 bytes.
fn limited_string<'a>(json: &'a str, members: &Members, key: Key) -> Result<std::borrow::Cow<'a, str>, FormatError> {
    let text = required_string(json, members, key)?;
    if text.len() > ids::MAX_LENGTH { Err(FormatError::TooLong(key.name())) } else { Ok(text) }
}

fn string_at(json: &str, members: &Members, key: Key) -> Result<Text, FormatError> {
    let text = required_string(json, members, key)?;
    Ok(match (text, members.get(key)) {
        (std::borrow::Cow::Borrowed(_), Some(span)) => Text::Plain { start: span.value + 1, end: span.end - 1 },
        (text, _) => Text::Escaped(text.into()),
    })
}

/// An integer, cut to what fits.
fn integer(json: &str, members: &Members, key: Key) -> Result<u64, FormatError> {
    let value = members.value(json, key).ok_or(FormatError::Missing(key.name()))?;
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FormatError::Wrong { member: key.name(), expected: "an integer" });
    }
    Ok(if digits.len() < value.len() { 0 } else { digits.parse().unwrap_or(u64::MAX) })
}
