//! What a client wants to see: the filter of a `/sync` request.
//!
//! A definition is read leniently where the specification is silent (unknown keys and explicit `null`s are ignored) and
//! strictly where it speaks (types, integers, the two event formats). It is compiled once per request into sets and
//! patterns.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use std::collections::HashSet;

use serde::Deserialize;

mod fields;
#[cfg(test)]
mod tests;

pub use fields::Fields;

/// Events of a timeline when the filter does not say how many.
const DEFAULT_LIMIT: usize = 20;
/// Events of a timeline at most, whatever the filter says.
const MAX_LIMIT: usize = 200;
/// Entries of one list of a filter at most: each is compared with each event.
const MAX_ENTRIES: usize = 1_000;

/// A compiled filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The fields of events to keep; `None` keeps all.
    pub fields: Option<Fields>,
    /// Whether events come in the format that servers use among themselves.
    pub federation_format: bool,
    /// Presence updates.
    pub presence: Events,
    /// Account data that belongs to no room.
    pub account_data: Events,
    /// Everything about rooms.
    pub room: Rooms,
}

/// The part of a filter about rooms.
#[derive(Clone, Debug, Default)]
pub struct Rooms {
    set: Set,
    /// Whether rooms that the user has left long ago are shown.
    pub include_leave: bool,
    /// Typing notifications and receipts.
    pub ephemeral: Events,
    /// State.
    pub state: Events,
    /// Timelines.
    pub timeline: Events,
    /// Account data of rooms.
    pub account_data: Events,
}

impl Rooms {
    /// Whether the room is shown at all.
    #[must_use]
    pub fn allows(&self, room: &str) -> bool {
        self.set.allows(room)
    }
}

/// A filter of events.
#[derive(Clone, Debug, Default)]
pub struct Events {
    limit: Option<usize>,
    senders: Set,
    types: Patterns,
    rooms: Set,
    contains_url: Option<bool>,
    /// Whether members are left out that no event of the answer needs.
    pub lazy_load_members: bool,
    /// Whether members are sent although the client has seen them before.
    pub include_redundant_members: bool,
    /// Whether counts are wanted for each thread.
    pub unread_thread_notifications: bool,
}

impl Events {
    /// The most events that an answer may hold for one room.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// Whether the events of this room are wanted.
    #[must_use]
    pub fn allows_room(&self, room: &str) -> bool {
        self.rooms.allows(room)
    }

    /// Whether events of this type are wanted.
    #[must_use]
    pub fn allows_kind(&self, kind: &str) -> bool {
        self.types.allows(kind)
    }

    /// Whether events of this sender are wanted.
    #[must_use]
    pub fn allows_sender(&self, sender: &str) -> bool {
        self.senders.allows(sender)
    }

    /// Whether an event is wanted. `content` is raw JSON and only looked at when the filter asks for `contains_url`.
    #[must_use]
    pub fn allows(&self, kind: &str, sender: &str, content: &str) -> bool {
        self.allows_kind(kind)
            && self.allows_sender(sender)
            && self.contains_url.is_none_or(|wanted| wanted == has_url(content))
    }

    /// Whether every event passes.
    #[must_use]
    pub fn allows_everything(&self) -> bool {
        self.senders.is_open() && self.types.is_open() && self.contains_url.is_none()
    }
}

fn has_url(content: &str) -> bool {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        url: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Content>(content).is_ok_and(|content| content.url.is_some())
}

/// An allow list and a deny list; the deny list wins.
#[derive(Clone, Debug, Default)]
struct Set {
    only: Option<HashSet<String>>,
    not: HashSet<String>,
}

impl Set {
    fn allows(&self, name: &str) -> bool {
        !self.not.contains(name) && self.only.as_ref().is_none_or(|only| only.contains(name))
    }

    fn is_open(&self) -> bool {
        self.only.is_none() && self.not.is_empty()
    }
}

/// The same with wildcards.
#[derive(Clone, Debug, Default)]
struct Patterns {
    only: Option<Vec<Pattern>>,
    not: Vec<Pattern>,
}

impl Patterns {
    fn allows(&self, name: &str) -> bool {
        !self.not.iter().any(|pattern| pattern.matches(name))
            && self.only.as_ref().is_none_or(|only| only.iter().any(|pattern| pattern.matches(name)))
    }

    fn is_open(&self) -> bool {
        self.only.is_none() && self.not.is_empty()
    }
}

/// A name in which `*` stands for any sequence of characters.
#[derive(Clone, Debug)]
struct Pattern(String);

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        // `split` gives at least one part.
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(mut part) = parts.next() else { return rest.is_empty() };
        // The leftmost match of each part between two wildcards is as good as any other; the last one is tied to the end.
        for next in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
            part = next;
        }
        rest.ends_with(part)
    }
}

/// Why a filter was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is not JSON.
    #[error("the filter is not JSON: {0}")]
    NotJson(String),
    /// It is JSON of the wrong shape.
    #[error("the filter is malformed: {0}")]
    Malformed(String),
}

impl Filter {
    /// Reads and compiles a filter definition.
    pub fn parse(json: &str) -> Result<Self, FilterError> {
        let raw: RawFilter = serde_json::from_str(json).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => FilterError::Malformed(error.to_string()),
            _ => FilterError::NotJson(error.to_string()),
        })?;
        raw.compile()
    }
}

#[derive(Deserialize)]
struct RawFilter {
    event_fields: Option<Vec<String>>,
    event_format: Option<RawFormat>,
    presence: Option<RawEvents>,
    account_data: Option<RawEvents>,
    room: Option<RawRooms>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawFormat {
    Client,
    Federation,
}

#[derive(Default, Deserialize)]
struct RawRooms {
    rooms: Option<Vec<String>>,
    not_rooms: Option<Vec<String>>,
    include_leave: Option<bool>,
    ephemeral: Option<RawEvents>,
    state: Option<RawEvents>,
    timeline: Option<RawEvents>,
    account_data: Option<RawEvents>,
}

#[derive(Default, Deserialize)]
struct RawEvents {
    limit: Option<serde_json::Number>,
    senders: Option<Vec<String>>,
    not_senders: Option<Vec<String>>,
    types: Option<Vec<String>>,
    not_types: Option<Vec<String>>,
    rooms: Option<Vec<String>>,
    not_rooms: Option<Vec<String>>,
    contains_url: Option<bool>,
    lazy_load_members: Option<bool>,
    include_redundant_members: Option<bool>,
    unread_thread_notifications: Option<bool>,
}

impl RawFilter {
    fn compile(self) -> Result<Filter, FilterError> {
        Ok(Filter {
            fields: self.event_fields.map(bounded).transpose()?.map(|fields| Fields::new(&fields)),
            federation_format: matches!(self.event_format, Some(RawFormat::Federation)),
            presence: self.presence.unwrap_or_default().compile()?,
            account_data: self.account_data.unwrap_or_default().compile()?,
            room: self.room.unwrap_or_default().compile()?,
        })
    }
}

impl RawRooms {
    fn compile(self) -> Result<Rooms, FilterError> {
        Ok(Rooms {
            set: set(self.rooms, self.not_rooms)?,
            include_leave: self.include_leave.unwrap_or(false),
            ephemeral: self.ephemeral.unwrap_or_default().compile()?,
            state: self.state.unwrap_or_default().compile()?,
            timeline: self.timeline.unwrap_or_default().compile()?,
            account_data: self.account_data.unwrap_or_default().compile()?,
        })
    }
}

impl RawEvents {
    fn compile(self) -> Result<Events, FilterError> {
        let limit = match self.limit {
            None => None,
            Some(number) => match number.as_u64() {
                // Clients that ask for none at all are given one: that is the least that there is.
                Some(limit) => Some(usize::try_from(limit).unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT)),
                None => return Err(FilterError::Malformed("limit must be an integer greater than 0".to_owned())),
            },
        };
        Ok(Events {
            limit,
            senders: set(self.senders, self.not_senders)?,
            types: Patterns {
                only: self.types.map(patterns).transpose()?,
                not: self.not_types.map(patterns).transpose()?.unwrap_or_default(),
            },
            rooms: set(self.rooms, self.not_rooms)?,
            contains_url: self.contains_url,
            lazy_load_members: self.lazy_load_members.unwrap_or(false),
            include_redundant_members: self.include_redundant_members.unwrap_or(false),
            unread_thread_notifications: self.unread_thread_notifications.unwrap_or(false),
        })
    }
}

fn set(only: Option<Vec<String>>, not: Option<Vec<String>>) -> Result<Set, FilterError> {
    Ok(Set {
        only: only.map(bounded).transpose()?.map(|only| only.into_iter().collect()),
        not: not.map(bounded).transpose()?.unwrap_or_default().into_iter().collect(),
    })
}

fn patterns(list: Vec<String>) -> Result<Vec<Pattern>, FilterError> {
    Ok(bounded(list)?.into_iter().map(Pattern).collect())
}

fn bounded(list: Vec<String>) -> Result<Vec<String>, FilterError> {
    if list.len() > MAX_ENTRIES {
        return Err(FilterError::Malformed(format!("a list has more than {MAX_ENTRIES} entries")));
    }
    Ok(list)
}
