//! Where the members of an event stand in its canonical JSON.

use crate::canonical_json::scan;

/// A top-level member that some rule names, in the order in which they stand in canonical JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the specification's names")]
pub(crate) enum Key {
    AuthEvents,
    Content,
    Depth,
    EventId,
    Hashes,
    Membership,
    Origin,
    OriginServerTs,
    PrevEvents,
    PrevState,
    Redacts,
    RoomId,
    Sender,
    Signatures,
    StateKey,
    Type,
    Unsigned,
}

const NAMES: [&str; 17] = [
    "auth_events",
    "content",
    "depth",
    "event_id",
    "hashes",
    "membership",
    "origin",
    "origin_server_ts",
    "prev_events",
    "prev_state",
    "redacts",
    "room_id",
    "sender",
    "signatures",
    "state_key",
    "type",
    "unsigned",
];

impl Key {
    pub(crate) const fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    /// Where the key's opening quote stands. 0: there is no such member, since an object's first member starts at 1.
    pub(crate) start: u32,
    /// Where the value starts.
    pub(crate) value: u32,
    /// Where the value ends.
    pub(crate) end: u32,
}

/// The spans of an event's members.
#[derive(Debug, Clone)]
pub(crate) struct Members([Span; 17]);

impl Members {
    /// Finds the members of a canonical object.
    pub(crate) fn of(json: &str) -> Self {
        let mut spans = [Span::default(); 17];
        // Both lists are in order, so each name is looked for once.
        let mut next = 0;
        for member in scan::members(json) {
            while next < NAMES.len() && NAMES[next] < member.key {
                next += 1;
            }
            if next < NAMES.len() && NAMES[next] == member.key {
                let position = |at| u32::try_from(at).unwrap_or_default();
                spans[next] = Span {
                    start: position(member.start),
                    value: position(member.value_start),
                    end: position(member.end),
                };
                next += 1;
            }
        }
        Self(spans)
    }

    pub(crate) fn get(&self, key: Key) -> Option<Span> {
        let span = self.0[key as usize];
        (span.start > 0).then_some(span)
    }

    /// The member's value.
    pub(crate) fn value<'a>(&self, json: &'a str, key: Key) -> Option<&'a str> {
        let span = self.get(key)?;
        json.get(span.value as usize..span.end as usize)
    }

    /// The whole member, key and value.
    pub(crate) fn member<'a>(&self, json: &'a str, key: Key) -> Option<&'a str> {
        let span = self.get(key)?;
        json.get(span.start as usize..span.end as usize)
    }

    /// Writes the object without some of its members. `keys` in the order of [`Key`].
    pub(crate) fn write_without(&self, json: &str, keys: &[Key], out: &mut Vec<u8>) {
        let bytes = json.as_bytes();
        let mut from = 0;
        for span in keys.iter().filter_map(|key| self.get(*key)) {
            out.extend_from_slice(bytes.get(from..span.start as usize).unwrap_or_default());
            from = span.end as usize;
            if bytes.get(from) == Some(&b',') {
                from += 1;
            }
        }
        let rest = bytes.get(from..).unwrap_or_default();
        // The last members went: so must the comma before them.
        if rest == b"}" && out.last() == Some(&b',') {
            out.pop();
        }
        out.extend_from_slice(rest);
    }
}
