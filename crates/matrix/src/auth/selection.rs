//! [Auth events selection](https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection), and the rule that
//! holds an event's `auth_events` against it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Denied, content::Raw};
use crate::{event::Pdu, ids::UserId, room_version::Rules};

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow, default)]
    membership: Raw<'a>,
    #[serde(borrow, default)]
    third_party_invite: Raw<'a>,
    #[serde(borrow, default)]
    join_authorised_via_users_server: Raw<'a>,
}

#[derive(Deserialize)]
struct ThirdPartyInvite<'a> {
    #[serde(borrow, default)]
    signed: Raw<'a>,
}

#[derive(Deserialize)]
struct Signed<'a> {
    #[serde(borrow, default)]
    token: Raw<'a>,
}

/// The types and state keys of the state events that an event of this shape cites as its `auth_events`, where the room
/// has them.
#[must_use]
pub fn auth_types(
    rules: &Rules,
    kind: &str,
    sender: &UserId,
    state_key: Option<&str>,
    content: &str,
) -> Vec<(String, String)> {
    let mut types = Vec::with_capacity(6);
    each_auth_type(rules, kind, sender, state_key, content, |kind, state_key| {
        types.push((kind.to_owned(), state_key.to_owned()));
    });
    types
}

/// As [`auth_types`], without making a list; each pair is named once.
pub(crate) fn each_auth_type(
    rules: &Rules,
    kind: &str,
    sender: &UserId,
    state_key: Option<&str>,
    content: &str,
    mut each: impl FnMut(&str, &str),
) {
    if kind == "m.room.create" {
        return;
    }
    if rules.auth.create_is_auth_event {
        each("m.room.create", "");
    }
    each("m.room.power_levels", "");
    each("m.room.member", sender.as_str());
    if kind != "m.room.member" {
        return;
    }

    let target = state_key.filter(|target| *target != sender.as_str());
    if let Some(target) = target {
        each("m.room.member", target);
    }
    let content = serde_json::from_str::<Content<'_>>(content).unwrap_or_default();
    let membership = content.membership.string();
    let membership = membership.as_deref().unwrap_or_default();
    if matches!(membership, "join" | "invite") || (membership == "knock" && rules.auth.knock) {
        each("m.room.join_rules", "");
    }
    if membership == "invite"
        && let Some(token) = content
            .third_party_invite
            .read::<ThirdPartyInvite<'_>>()
            .and_then(|invite| invite.signed.read::<Signed<'_>>())
            .and_then(|signed| signed.token.string())
    {
        each("m.room.third_party_invite", &token);
    }
    if membership == "join"
        && rules.auth.restricted
        && let Some(user) = content.join_authorised_via_users_server.string()
        && user != sender.as_str()
        && Some(&*user) != target
    {
        each("m.room.member", &user);
    }
}

/// An event named by another one's `auth_events`.
#[derive(Debug, Clone, Copy)]
pub struct Cited<'a> {
    /// The event.
    pub pdu: &'a Pdu,
    /// Whether it was rejected by the checks on receipt.
    pub rejected: bool,
}

/// The rule "considering the event's `auth_events`", and the one of version 12 before it.
///
/// `cited` are the events of the event's `auth_events`, all of them; `create` is the create event that the room id names,
/// which only version 12 asks for. This does not depend on the room's state, so once for each event is enough.
pub fn check_auth_events(pdu: &Pdu, cited: &[Cited<'_>], create: Option<Cited<'_>>) -> Result<(), Denied> {
    if pdu.kind() == "m.room.create" {
        return Ok(());
    }
    let rules = pdu.rules();

    if !rules.auth.create_is_auth_event {
        let create = create.filter(|create| create.pdu.kind() == "m.room.create").ok_or(Denied::NoCreateEvent)?;
        if create.rejected {
            return Err(Denied::RejectedAuthEvent);
        }
        if create.pdu.room_id() != pdu.room_id() {
            return Err(Denied::AnotherRoom);
        }
    }

    let mut seen = BTreeSet::new();
    for cited in cited {
        let state_key = cited.pdu.state_key().ok_or(Denied::UnexpectedAuthEvent)?;
        if !seen.insert((cited.pdu.kind(), state_key)) {
            return Err(Denied::DuplicateAuthEvent);
        }
    }
    let expected = auth_types(rules, pdu.kind(), pdu.sender(), pdu.state_key(), pdu.content());
    if seen.iter().any(|(kind, key)| !expected.iter().any(|(k, s)| k == kind && s == key)) {
        return Err(Denied::UnexpectedAuthEvent);
    }
    if cited.iter().any(|cited| cited.rejected) {
        return Err(Denied::RejectedAuthEvent);
    }
    if rules.auth.create_is_auth_event && !seen.contains(&("m.room.create", "")) {
        return Err(Denied::NoCreateEvent);
    }
    if cited.iter().any(|cited| cited.pdu.room_id() != pdu.room_id()) {
        return Err(Denied::AnotherRoom);
    }
    Ok(())
}
