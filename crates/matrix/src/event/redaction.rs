//! The [redaction algorithm](https://spec.matrix.org/v1.19/client-server-api/#redactions) of every room version.

use super::{Key, Members};
use crate::{
    canonical_json::{self, JsonError, scan},
    room_version::{Redaction, Rules},
};

/// What redaction leaves of any JSON object, which need not have the format of an event, as canonical JSON.
pub fn redact(json: &[u8], rules: &Rules) -> Result<Vec<u8>, JsonError> {
    let json = canonical_json::canonicalize_object(json, rules.integers)?;
    let json = String::from_utf8(json).map_err(|_| JsonError::Utf8)?;
    let mut redacted = Vec::with_capacity(json.len());
    write_redacted(&json, &Members::of(&json), rules, true, &mut redacted);
    Ok(redacted)
}

/// The members that stay in every version, and those that stay to version 10, in canonical order.
const KEPT: [(Key, bool); 15] = [
    (Key::AuthEvents, false),
    (Key::Content, false),
    (Key::Depth, false),
    (Key::EventId, false),
    (Key::Hashes, false),
    (Key::Membership, true),
    (Key::Origin, true),
    (Key::OriginServerTs, false),
    (Key::PrevEvents, false),
    (Key::PrevState, true),
    (Key::RoomId, false),
    (Key::Sender, false),
    (Key::Signatures, false),
    (Key::StateKey, false),
    (Key::Type, false),
];

/// Writes what redaction leaves of a canonical object, with or without its `signatures`.
pub(super) fn write_redacted(json: &str, members: &Members, rules: &Rules, signatures: bool, out: &mut Vec<u8>) {
    let kind = members.value(json, Key::Type).unwrap_or_default();
    out.push(b'{');
    let mut first = true;
    for (key, legacy) in KEPT {
        if (legacy && !rules.redaction.keeps_legacy_members) || (key == Key::Signatures && !signatures) {
            continue;
        }
        let Some(member) = members.member(json, key) else { continue };
        if !first {
            out.push(b',');
        }
        first = false;
        if key == Key::Content {
            out.extend_from_slice(b"\"content\":");
            write_content(members.value(json, key).unwrap_or_default(), kind, rules.redaction, out);
        } else {
            out.extend_from_slice(member.as_bytes());
        }
    }
    out.push(b'}');
}

/// `kind`: the type as it stands in the JSON, in quotes.
fn write_content(content: &str, kind: &str, redaction: Redaction, out: &mut Vec<u8>) {
    if kind == "\"m.room.create\"" && redaction.keeps_more_content {
        out.extend_from_slice(content.as_bytes());
        return;
    }
    out.push(b'{');
    let mut first = true;
    for member in scan::members(content) {
        let invite = kind == "\"m.room.member\"" && member.key == "third_party_invite" && redaction.keeps_more_content;
        let signed = if invite { scan::members(member.value).find(|member| member.key == "signed") } else { None };
        if !invite && !keeps(kind, member.key, redaction) {
            continue;
        }
        // Of the invite its `signed` stays; when it has none, nothing does.
        if invite && !member.value.starts_with('{') {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        if invite {
            out.extend_from_slice(b"\"third_party_invite\":{");
            if let Some(signed) = signed {
                out.extend_from_slice(b"\"signed\":");
                out.extend_from_slice(signed.value.as_bytes());
            }
            out.push(b'}');
        } else {
            out.extend_from_slice(content.get(member.start..member.end).unwrap_or_default().as_bytes());
        }
    }
    out.push(b'}');
}

fn keeps(kind: &str, key: &str, redaction: Redaction) -> bool {
    match kind {
        "\"m.room.member\"" => {
            key == "membership" || (key == "join_authorised_via_users_server" && redaction.keeps_join_authoriser)
        }
        "\"m.room.create\"" => key == "creator",
        "\"m.room.join_rules\"" => key == "join_rule" || (key == "allow" && redaction.keeps_join_rules_allow),
        "\"m.room.power_levels\"" => {
            matches!(
                key,
                "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users" | "users_default"
            ) || (key == "invite" && redaction.keeps_more_content)
        }
        "\"m.room.aliases\"" => key == "aliases" && redaction.keeps_aliases,
        "\"m.room.history_visibility\"" => key == "history_visibility",
        "\"m.room.redaction\"" => key == "redacts" && redaction.keeps_more_content,
        _ => false,
    }
}
