//! [Room versions](https://spec.matrix.org/v1.19/rooms/) 1 to 12, and what differs between them, as one table.
//!
//! Code elsewhere never compares version numbers: it asks [`Rules`].

use std::{fmt, str::FromStr};

use crate::canonical_json::Integers;

/// A room version that this server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum RoomVersion {
    V1,
    V2,
    V3,
    V4,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10,
    V11,
    V12,
}

impl RoomVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 12] = [
        Self::V1,
        Self::V2,
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
        Self::V7,
        Self::V8,
        Self::V9,
        Self::V10,
        Self::V11,
        Self::V12,
    ];

    /// The version as it stands in `m.room.create`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::V3 => "3",
            Self::V4 => "4",
            Self::V5 => "5",
            Self::V6 => "6",
            Self::V7 => "7",
            Self::V8 => "8",
            Self::V9 => "9",
            Self::V10 => "10",
            Self::V11 => "11",
            Self::V12 => "12",
        }
    }

    /// What holds in rooms of this version.
    #[must_use]
    pub fn rules(self) -> &'static Rules {
        match self {
            Self::V1 => &V1,
            Self::V2 => &V2,
            Self::V3 => &V3,
            Self::V4 => &V4,
            Self::V5 => &V5,
            Self::V6 => &V6,
            Self::V7 => &V7,
            Self::V8 => &V8,
            Self::V9 => &V9,
            Self::V10 => &V10,
            Self::V11 => &V11,
            Self::V12 => &V12,
        }
    }
}

/// The room version is none that this server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unsupported room version")]
pub struct UnsupportedRoomVersion;

impl FromStr for RoomVersion {
    type Err = UnsupportedRoomVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnsupportedRoomVersion)
    }
}

impl fmt::Display for RoomVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a text follows the [grammar of room versions](https://spec.matrix.org/v1.19/rooms/#room-version-grammar): one to
/// 32 of `a-z`, `0-9`, `.` and `-`. Says nothing about whether it is supported.
#[must_use]
pub fn is_room_version(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
}

/// Where event IDs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventIds {
    /// The origin chooses `$localpart:domain` and the event carries it (versions 1 and 2); `prev_events` and `auth_events`
    /// hold pairs of an ID and hashes.
    Chosen,
    /// `$` and the reference hash in standard Base64 (version 3).
    Hash,
    /// `$` and the reference hash in URL-safe Base64 (versions 4 and later).
    UrlSafeHash,
}

/// Where room IDs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomIds {
    /// The creating server chooses `!localpart:domain`.
    Chosen,
    /// The event ID of the create event with `!` for `$`; the create event has no `room_id` (version 12).
    CreateEvent,
}

/// The [state resolution](https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution) algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateResolution {
    /// Version 1 only.
    V1,
    /// Versions 2 to 11.
    V2,
    /// Version 12: starts from the empty state and adds the conflicted subgraph.
    V2_1,
}

/// What survives [redaction](https://spec.matrix.org/v1.19/client-server-api/#redactions), beyond what does in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of one table")]
pub struct Redaction {
    /// `aliases` of `m.room.aliases` (versions 1 to 5).
    pub keeps_aliases: bool,
    /// `allow` of `m.room.join_rules` (from version 8).
    pub keeps_join_rules_allow: bool,
    /// `join_authorised_via_users_server` of `m.room.member` (from version 9).
    pub keeps_join_authoriser: bool,
    /// The top-level `origin`, `membership` and `prev_state` (to version 10).
    pub keeps_legacy_members: bool,
    /// All of `m.room.create`, `redacts` of `m.room.redaction`, `invite` of `m.room.power_levels`, and
    /// `third_party_invite.signed` of `m.room.member` (from version 11).
    pub keeps_more_content: bool,
}

/// Where the [authorization rules](https://spec.matrix.org/v1.19/server-server-api/#authorization-rules) differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of one table")]
pub struct Auth {
    /// `m.room.aliases` has a rule of its own (versions 1 to 5).
    pub aliases_rule: bool,
    /// `m.room.redaction` has a rule of its own (versions 1 and 2).
    pub redaction_rule: bool,
    /// Changes of `notifications` in `m.room.power_levels` are checked (from version 6).
    pub checks_notifications: bool,
    /// Membership `knock` exists (from version 7).
    pub knock: bool,
    /// Join rule `restricted` exists (from version 8).
    pub restricted: bool,
    /// Join rule `knock_restricted` exists (from version 10).
    pub knock_restricted: bool,
    /// Power levels must be integers (from version 10); before, strings and, to version 5, floats are read too.
    pub integer_power_levels: bool,
    /// `content.creator` of the create event names the creator (to version 10); from version 11 its sender is.
    pub creator_in_content: bool,
    /// Creators, `additional_creators` among them, stand above all power levels (from version 12).
    pub privileged_creators: bool,
    /// The create event is among the events that authorise others (to version 11); from version 12 the room ID implies it.
    pub create_is_auth_event: bool,
}

/// What holds in rooms of one version.
#[derive(Debug, PartialEq, Eq)]
pub struct Rules {
    /// The version.
    pub version: RoomVersion,
    /// Where event IDs come from, and with them the form of `prev_events` and `auth_events`.
    pub event_ids: EventIds,
    /// Where room IDs come from.
    pub room_ids: RoomIds,
    /// Which numbers an event may hold.
    pub integers: Integers,
    /// The highest `depth`.
    pub max_depth: u64,
    /// What survives redaction.
    pub redaction: Redaction,
    /// `redacts` stands in the content of `m.room.redaction` (from version 11) and not beside it.
    pub redacts_in_content: bool,
    /// Signatures count only while their key was valid (from version 5).
    pub enforces_key_validity: bool,
    /// How conflicting states become one.
    pub state_resolution: StateResolution,
    /// Where the authorization rules differ.
    pub auth: Auth,
}

/// [Version 1](https://spec.matrix.org/v1.19/rooms/v1/).
static V1: Rules = V1_;
const V1_: Rules = Rules {
    version: RoomVersion::V1,
    event_ids: EventIds::Chosen,
    room_ids: RoomIds::Chosen,
    integers: Integers::Lenient,
    max_depth: i64::MAX as u64,
    redaction: Redaction {
        keeps_aliases: true,
        keeps_join_rules_allow: false,
        keeps_join_authoriser: false,
        keeps_legacy_members: true,
        keeps_more_content: false,
    },
    redacts_in_content: false,
    enforces_key_validity: false,
    state_resolution: StateResolution::V1,
    auth: Auth {
        aliases_rule: true,
        redaction_rule: true,
        checks_notifications: false,
        knock: false,
        restricted: false,
        knock_restricted: false,
        integer_power_levels: false,
        creator_in_content: true,
        privileged_creators: false,
        create_is_auth_event: true,
    },
};

/// [Version 2](https://spec.matrix.org/v1.19/rooms/v2/): better state resolution.
static V2: Rules = V2_;
const V2_: Rules = Rules { version: RoomVersion::V2, state_resolution: StateResolution::V2, ..V1_ };

/// [Version 3](https://spec.matrix.org/v1.19/rooms/v3/): events are named by their hash.
static V3: Rules = V3_;
const V3_: Rules = Rules {
    version: RoomVersion::V3,
    event_ids: EventIds::Hash,
    auth: Auth { redaction_rule: false, ..V2_.auth },
    ..V2_
};

/// [Version 4](https://spec.matrix.org/v1.19/rooms/v4/): event IDs in the URL-safe alphabet.
static V4: Rules = V4_;
const V4_: Rules = Rules { version: RoomVersion::V4, event_ids: EventIds::UrlSafeHash, ..V3_ };

/// [Version 5](https://spec.matrix.org/v1.19/rooms/v5/): signing keys have a validity.
static V5: Rules = V5_;
const V5_: Rules = Rules { version: RoomVersion::V5, enforces_key_validity: true, ..V4_ };

/// [Version 6](https://spec.matrix.org/v1.19/rooms/v6/): strict canonical JSON, no rules for aliases.
static V6: Rules = V6_;
const V6_: Rules = Rules {
    version: RoomVersion::V6,
    integers: Integers::Strict,
    max_depth: crate::canonical_json::MAX_INTEGER as u64,
    redaction: Redaction { keeps_aliases: false, ..V5_.redaction },
    auth: Auth { aliases_rule: false, checks_notifications: true, ..V5_.auth },
    ..V5_
};

/// [Version 7](https://spec.matrix.org/v1.19/rooms/v7/): knocking.
static V7: Rules = V7_;
const V7_: Rules = Rules { version: RoomVersion::V7, auth: Auth { knock: true, ..V6_.auth }, ..V6_ };

/// [Version 8](https://spec.matrix.org/v1.19/rooms/v8/): restricted rooms.
static V8: Rules = V8_;
const V8_: Rules = Rules {
    version: RoomVersion::V8,
    redaction: Redaction { keeps_join_rules_allow: true, ..V7_.redaction },
    auth: Auth { restricted: true, ..V7_.auth },
    ..V7_
};

/// [Version 9](https://spec.matrix.org/v1.19/rooms/v9/): redacted joins of restricted rooms stay valid.
static V9: Rules = V9_;
const V9_: Rules =
    Rules { version: RoomVersion::V9, redaction: Redaction { keeps_join_authoriser: true, ..V8_.redaction }, ..V8_ };

/// [Version 10](https://spec.matrix.org/v1.19/rooms/v10/): integer power levels, `knock_restricted`.
static V10: Rules = V10_;
const V10_: Rules = Rules {
    version: RoomVersion::V10,
    auth: Auth { knock_restricted: true, integer_power_levels: true, ..V9_.auth },
    ..V9_
};

/// [Version 11](https://spec.matrix.org/v1.19/rooms/v11/): clearer redaction.
static V11: Rules = V11_;
const V11_: Rules = Rules {
    version: RoomVersion::V11,
    redaction: Redaction { keeps_legacy_members: false, keeps_more_content: true, ..V10_.redaction },
    redacts_in_content: true,
    auth: Auth { creator_in_content: false, ..V10_.auth },
    ..V10_
};

/// [Version 12](https://spec.matrix.org/v1.19/rooms/v12/): rooms are named by their create event, creators stand above all.
static V12: Rules = Rules {
    version: RoomVersion::V12,
    room_ids: RoomIds::CreateEvent,
    state_resolution: StateResolution::V2_1,
    auth: Auth { privileged_creators: true, create_is_auth_event: false, ..V11_.auth },
    ..V11_
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_found_by_its_name_and_has_its_own_rules() {
        for version in RoomVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
            assert_eq!(version.rules().version, version);
            assert!(is_room_version(version.as_str()));
        }
        for unknown in ["", "0", "13", "1.0", "01", "org.matrix.msc2176"] {
            assert_eq!(unknown.parse::<RoomVersion>(), Err(UnsupportedRoomVersion));
        }
    }

    #[test]
    fn the_grammar_of_room_versions_holds() {
        for right in ["1", "1.2", "1.2-beta", "com.example.version", &"x".repeat(32)] {
            assert!(is_room_version(right), "{right}");
        }
        for wrong in ["", "A", "1 2", "1_2", "é", &"x".repeat(33)] {
            assert!(!is_room_version(wrong), "{wrong}");
        }
    }
}
