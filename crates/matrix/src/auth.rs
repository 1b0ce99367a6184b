//! The authorisation rules of every room version.
//!
//! What differs between versions is data ([`AuthRules`](crate::room_version::AuthRules)); the rules themselves are
//! written once, in the order and with the words of the specification:
//! [server-server API](https://spec.matrix.org/v1.19/server-server-api/#authorisation-rules) and the page of each
//! [room version](https://spec.matrix.org/v1.19/rooms/).
//!
//! * [`check`] answers whether an event is allowed by a state of its room. It is used three times for an event that
//!   arrives from elsewhere (the state its auth events make, the state before it, the current state) and by state
//!   resolution.
//! * [`check_auth_events`] holds the event's own choice of auth events against the rules; once for each event.
//! * [`auth_types`] is the choice itself.
//! * [`PowerLevels`](power::PowerLevels) reads the levels of a room.
//!
//! Signatures on events are not looked at here: who calls has verified them, those of the server of
//! `join_authorised_via_users_server` included. The one exception is the `signed` block of third-party invites, whose keys
//! stand in the room.

mod content;
mod create;
mod denied;
mod levels;
mod member;
pub mod power;
mod selection;
mod third_party;

use std::sync::Arc;

use self::{
    create::Creation,
    power::{Level, Levels, Named, PowerLevels},
};
use crate::{event::Pdu, ids::OwnedEventId, room_version::Rules};

pub(crate) use self::member::Membership;
pub(crate) use self::{content::Raw, selection::each_auth_type};
pub use self::{
    denied::Denied,
    selection::{Cited, auth_types, check_auth_events},
};

/// Room state as the rules see it.
pub trait StateView {
    /// The event of this type and state key, if the state has one.
    fn get(&self, kind: &str, state_key: &str) -> Option<Pdu>;
}

impl<F: Fn(&str, &str) -> Option<Pdu>> StateView for F {
    fn get(&self, kind: &str, state_key: &str) -> Option<Pdu> {
        self(kind, state_key)
    }
}

/// Whether the rules of the event's room version allow it in a room with this state.
///
/// For an `m.room.create` event the state is not asked.
pub fn check(pdu: &Pdu, state: &dyn StateView) -> Result<(), Denied> {
    Checker::default().check(pdu, state)
}

/// Checks many events of one room, keeping what it has read of the create event and the power levels as long as the
/// state answers with the same events.
#[derive(Debug, Default)]
pub struct Checker {
    create: Option<(OwnedEventId, Arc<Creation>)>,
    levels: Option<(OwnedEventId, Arc<Levels>)>,
}

impl Checker {
    /// As the function [`check`].
    pub fn check(&mut self, pdu: &Pdu, state: &dyn StateView) -> Result<(), Denied> {
        // 1. If type is m.room.create …
        if pdu.kind() == "m.room.create" {
            return create::check(pdu);
        }

        let mut room = Room::of(pdu, state, self)?;
        let rules = pdu.rules();

        // If `m.federate` is false in the create event and the sender is of another server than its sender, reject.
        if !room.creation.federate && pdu.sender().server_name() != room.create.sender().server_name() {
            return Err(Denied::NotFederated);
        }

        // If type is m.room.aliases … (versions 1 to 5)
        if rules.auth.aliases_rule && pdu.kind() == "m.room.aliases" {
            return match pdu.state_key() {
                Some(key) if key == pdu.sender().server_name().as_str() => Ok(()),
                _ => Err(Denied::AliasesOfAnotherServer),
            };
        }

        // If type is m.room.member …
        if pdu.kind() == "m.room.member" {
            return member::check(pdu, &mut room);
        }

        // If the sender's current membership state is not join, reject.
        if room.membership(pdu.sender().as_str()) != Membership::Join {
            return Err(Denied::SenderNotJoined);
        }

        let power = room.power();
        let sender_level = power.user(pdu.sender().as_str())?;

        // If type is m.room.third_party_invite …
        if pdu.kind() == "m.room.third_party_invite" {
            return if sender_level >= power.named(Named::Invite)? { Ok(()) } else { Err(Denied::InviteLevel) };
        }

        // If the event type's required power level is greater than the sender's, reject.
        if power.event(pdu.kind(), pdu.state_key().is_some())? > sender_level {
            return Err(Denied::RequiredLevel);
        }

        // If the state key starts with an @ and is not the sender, reject.
        if pdu.state_key().is_some_and(|key| key.starts_with('@') && key != pdu.sender().as_str()) {
            return Err(Denied::StateOfAnotherUser);
        }

        match pdu.kind() {
            "m.room.power_levels" => levels::check(pdu, &mut room, sender_level),
            "m.room.redaction" if rules.auth.redaction_rule => redaction(pdu, &power, sender_level),
            _ => Ok(()),
        }
    }
}

/// The state of a room together with what has been read of it.
struct Room<'a> {
    state: &'a dyn StateView,
    checker: &'a mut Checker,
    rules: &'static Rules,
    create: Pdu,
    creation: Arc<Creation>,
}

impl<'a> Room<'a> {
    fn of(pdu: &Pdu, state: &'a dyn StateView, checker: &'a mut Checker) -> Result<Self, Denied> {
        let create = state.get("m.room.create", "").ok_or(Denied::NoCreateEvent)?;
        // The room id of version 12 names the create event; before, an auth event of another room is refused as well.
        if create.room_id() != pdu.room_id() {
            return Err(Denied::AnotherRoom);
        }
        let creation = match &checker.create {
            Some((id, creation)) if **id == *create.event_id() => Arc::clone(creation),
            _ => {
                let creation = Arc::new(Creation::read(&create));
                checker.create = Some((create.event_id().to_owned(), Arc::clone(&creation)));
                creation
            }
        };
        Ok(Self { state, checker, rules: pdu.rules(), create, creation })
    }

    fn membership(&self, user: &str) -> Membership {
        self.state.get("m.room.member", user).map_or(Membership::None, |member| Membership::of(&member))
    }

    fn power(&mut self) -> PowerLevels {
        let levels = self.state.get("m.room.power_levels", "").map(|event| match &self.checker.levels {
            Some((id, levels)) if **id == *event.event_id() => Arc::clone(levels),
            _ => {
                let levels = Arc::new(Levels::read(event.content(), self.rules));
                self.checker.levels = Some((event.event_id().to_owned(), Arc::clone(&levels)));
                levels
            }
        });
        PowerLevels::new(levels, Arc::clone(&self.creation))
    }
}

/// The rule of versions 1 and 2 on `m.room.redaction`.
fn redaction(pdu: &Pdu, power: &PowerLevels, sender_level: Level) -> Result<(), Denied> {
    if sender_level >= power.named(Named::Redact)? {
        return Ok(());
    }
    let redacted = pdu.redacts().and_then(|id| id.server_name());
    match (redacted, pdu.event_id().server_name()) {
        (Some(theirs), Some(ours)) if theirs == ours => Ok(()),
        _ => Err(Denied::RedactLevel),
    }
}
