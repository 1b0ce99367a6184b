//! [Persistent data units](https://spec.matrix.org/v1.19/server-server-api/#pdus): the events of rooms.

mod client;
mod draft;
mod format;
mod hashes;
mod members;
mod redaction;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde::Deserialize;

pub(crate) use self::members::{Key, Members};
pub use self::{
    client::ClientForm,
    draft::{Draft, SealError},
    format::FormatError,
    hashes::{content_hash, reference_hash},
    redaction::redact,
};
use crate::{
    canonical_json::scan,
    ids::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId},
    room_version::{EventIds, Rules},
};

/// The largest event in bytes: canonical JSON with `hashes` and `signatures`, without `unsigned`.
///
/// Specification: [size limits](https://spec.matrix.org/v1.19/client-server-api/#size-limits).
pub const MAX_SIZE: usize = 65_536;

/// The most `prev_events` of an event.
pub const MAX_PREV_EVENTS: usize = 20;

/// The most `auth_events` of an event.
pub const MAX_AUTH_EVENTS: usize = 10;

/// An event of a known room version: canonical JSON with `hashes` and `signatures`, without `unsigned`, and where its members
/// stand. Cheap to clone.
#[derive(Clone)]
pub struct Pdu(Arc<Inner>);

struct Inner {
    rules: &'static Rules,
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    json: Box<str>,
    members: Members,
    kind: Text,
    state_key: Option<Text>,
    depth: u64,
    origin_server_ts: u64,
    // Read when first asked for: most readers of stored events never do.
    prev_events: OnceLock<Box<[OwnedEventId]>>,
    auth_events: OnceLock<Box<[OwnedEventId]>>,
    redacts: OnceLock<Option<OwnedEventId>>,
}

/// A string member: where it stands when it needs no escapes, else what it says.
enum Text {
    Plain { start: u32, end: u32 },
    Escaped(Box<str>),
}

impl Text {
    fn get<'a>(&'a self, json: &'a str) -> &'a str {
        match self {
            Self::Plain { start, end } => json.get(*start as usize..*end as usize).unwrap_or_default(),
            Self::Escaped(text) => text,
        }
    }
}

impl Pdu {
    /// Reads an event from outside: puts it in canonical form, checks the
    /// [format](https://spec.matrix.org/v1.19/rooms/) of its room version and the size limits, drops `unsigned`, and works out
    /// the event ID. Checks neither hashes nor signatures (see [`crate::signing::verify_event`]) nor authorization.
    pub fn parse(json: &[u8], rules: &'static Rules) -> Result<Self, FormatError> {
        format::parse(json, rules)
    }

    /// Reads an event back that this crate has written. Nothing is hashed, checked against limits or put in order; bytes
    /// from elsewhere are for [`Pdu::parse`].
    pub fn from_stored(
        json: impl Into<Vec<u8>>,
        event_id: OwnedEventId,
        rules: &'static Rules,
    ) -> Result<Self, FormatError> {
        format::from_stored(json.into(), event_id, rules)
    }

    /// The event ID.
    #[must_use]
    pub fn event_id(&self) -> &EventId {
        &self.0.event_id
    }

    /// The room ID; that of a version 12 create event is worked out from its event ID.
    #[must_use]
    pub fn room_id(&self) -> &RoomId {
        &self.0.room_id
    }

    /// Whether the event itself carries a `room_id`, which the create event of a version 12 room may not.
    #[must_use]
    pub fn has_room_id(&self) -> bool {
        self.0.members.get(Key::RoomId).is_some()
    }

    /// The sender.
    #[must_use]
    pub fn sender(&self) -> &UserId {
        &self.0.sender
    }

    /// The `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.kind.get(&self.0.json)
    }

    /// The `state_key`, if this is a state event.
    #[must_use]
    pub fn state_key(&self) -> Option<&str> {
        self.0.state_key.as_ref().map(|text| text.get(&self.0.json))
    }

    /// The content, a canonical JSON object.
    #[must_use]
    pub fn content(&self) -> &str {
        self.value(Key::Content).unwrap_or("{}")
    }

    /// The content as a type of the caller's.
    pub fn content_as<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.content())
    }

    /// The raw JSON value of one member of the content. `key` must need no escapes.
    #[must_use]
    pub fn content_member(&self, key: &str) -> Option<&str> {
        scan::member(self.content(), key)
    }

    /// The events before this one.
    #[must_use]
    pub fn prev_events(&self) -> &[OwnedEventId] {
        self.0.prev_events.get_or_init(|| self.references(Key::PrevEvents))
    }

    /// The events that authorise this one.
    #[must_use]
    pub fn auth_events(&self) -> &[OwnedEventId] {
        self.0.auth_events.get_or_init(|| self.references(Key::AuthEvents))
    }

    /// The depth.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.0.depth
    }

    /// The time, in milliseconds since 1970, that the origin claims. Times that do not fit (negative ones are allowed) are
    /// cut to the nearest that does; the JSON keeps what was sent.
    #[must_use]
    pub fn origin_server_ts(&self) -> u64 {
        self.0.origin_server_ts
    }

    /// What an `m.room.redaction` redacts: beside the content or in it, by room version. `None` for other types, and when
    /// what stands there is no event ID.
    #[must_use]
    pub fn redacts(&self) -> Option<&EventId> {
        self.0
            .redacts
            .get_or_init(|| {
                if self.kind() != "m.room.redaction" {
                    return None;
                }
                let value = if self.0.rules.redacts_in_content {
                    self.content_member("redacts")
                } else {
                    self.value(Key::Redacts)
                }?;
                OwnedEventId::try_from(scan::string(value)?.as_ref()).ok()
            })
            .as_deref()
    }

    /// The canonical JSON: with `hashes` and `signatures`, without `unsigned`. What is sent to other servers and stored.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        self.0.json.as_bytes()
    }

    /// [`Pdu::json`] as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.json
    }

    /// The rules of the room's version.
    #[must_use]
    pub fn rules(&self) -> &'static Rules {
        self.0.rules
    }

    /// The event as [redaction](https://spec.matrix.org/v1.19/client-server-api/#redactions) leaves it. Its ID and its
    /// signatures stay good; redacting it again changes nothing.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut json = Vec::with_capacity(self.0.json.len());
        redaction::write_redacted(&self.0.json, &self.0.members, self.0.rules, true, &mut json);
        // What redaction leaves of an event is an event: it keeps everything that the format asks for.
        format::from_stored(json, self.0.event_id.clone(), self.0.rules).unwrap_or_else(|_| self.clone())
    }

    /// The reference hash, which names the event from version 3 on and stands beside its ID before.
    #[must_use]
    pub fn reference_hash(&self) -> [u8; 32] {
        hashes::sha256(&self.signed_bytes())
    }

    /// Whether the content hash in `hashes` is that of the event as it stands.
    #[must_use]
    pub fn content_hash_matches(&self) -> bool {
        let claimed = self
            .value(Key::Hashes)
            .and_then(|hashes| scan::member(hashes, "sha256"))
            .and_then(scan::string)
            .and_then(|hash| crate::base64::decode_exact::<32>(hash.as_bytes()).ok());
        claimed == Some(hashes::content_hash_of(&self.0.json, &self.0.members))
    }

    /// What the signatures sign: the redacted event without `signatures`.
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.0.json.len());
        redaction::write_redacted(&self.0.json, &self.0.members, self.0.rules, false, &mut json);
        json
    }

    /// The raw value of a member.
    pub(crate) fn value(&self, key: Key) -> Option<&str> {
        self.0.members.value(&self.0.json, key)
    }

    fn references(&self, key: Key) -> Box<[OwnedEventId]> {
        let list = self.value(key).unwrap_or("[]");
        scan::items(list)
            .filter_map(|item| {
                let id = if self.0.rules.event_ids == EventIds::Chosen { scan::items(item).next()? } else { item };
                OwnedEventId::try_from(scan::string(id)?.as_ref()).ok()
            })
            .collect()
    }
}

impl fmt::Debug for Pdu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Pdu").field(&self.event_id()).field(&self.as_str()).finish()
    }
}

impl PartialEq for Pdu {
    fn eq(&self, other: &Self) -> bool {
        self.0.event_id == other.0.event_id && self.0.json == other.0.json
    }
}

impl Eq for Pdu {}
