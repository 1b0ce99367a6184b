//! The rules for `m.room.member`.

use serde::Deserialize;

use super::{Denied, Raw, Room, power::Named, third_party};
use crate::{event::Pdu, ids::is_user_id};

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow, default)]
    membership: Raw<'a>,
    #[serde(borrow, default)]
    third_party_invite: Raw<'a>,
    #[serde(borrow, default)]
    join_authorised_via_users_server: Raw<'a>,
}

/// A user's membership in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    Join,
    Invite,
    Leave,
    Ban,
    Knock,
    /// Something that the specification does not know.
    Other,
    /// There is no membership event.
    None,
}

impl Membership {
    /// The membership that an `m.room.member` event gives.
    pub(crate) fn of(member: &Pdu) -> Self {
        #[derive(Deserialize)]
        struct Content<'a> {
            #[serde(borrow, default)]
            membership: Raw<'a>,
        }
        serde_json::from_str::<Content<'_>>(member.content())
            .map_or(Self::Other, |content| Self::read(content.membership))
    }

    fn read(raw: Raw<'_>) -> Self {
        match raw.string().as_deref() {
            Some("join") => Self::Join,
            Some("invite") => Self::Invite,
            Some("leave") => Self::Leave,
            Some("ban") => Self::Ban,
            Some("knock") => Self::Knock,
            _ => Self::Other,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JoinRule {
    Public,
    Invite,
    Knock,
    Restricted,
    KnockRestricted,
    Other,
}

/// The join rule of the room, as far as its version knows it. A room without one is open to those invited.
fn join_rule(room: &Room<'_>) -> JoinRule {
    #[derive(Deserialize, Default)]
    struct Content<'a> {
        #[serde(borrow, default)]
        join_rule: Raw<'a>,
    }
    let Some(event) = room.state.get("m.room.join_rules", "") else { return JoinRule::Invite };
    let content = serde_json::from_str::<Content<'_>>(event.content()).unwrap_or_default();
    if !content.join_rule.is_present() {
        return JoinRule::Invite;
    }
    let auth = &room.rules.auth;
    match content.join_rule.string().as_deref() {
        Some("public") => JoinRule::Public,
        Some("invite") => JoinRule::Invite,
        Some("knock") if auth.knock => JoinRule::Knock,
        Some("restricted") if auth.restricted => JoinRule::Restricted,
        Some("knock_restricted") if auth.knock_restricted => JoinRule::KnockRestricted,
        _ => JoinRule::Other,
    }
}

/// Rule "if type is `m.room.member`".
pub(super) fn check(pdu: &Pdu, room: &mut Room<'_>) -> Result<(), Denied> {
    let content = serde_json::from_str::<Content<'_>>(pdu.content()).unwrap_or_default();
    let target = pdu.state_key().filter(|key| is_user_id(key)).ok_or(Denied::BadMember)?;
    if !content.membership.is_present() {
        return Err(Denied::BadMember);
    }

    // Version 8: the event is signed by the authorising user's server. Who calls has verified that; a value that names no
    // server can not have been.
    let authoriser = content.join_authorised_via_users_server;
    if room.rules.auth.restricted
        && authoriser.is_present()
        && authoriser.string().is_none_or(|user| !is_user_id(&user))
    {
        return Err(Denied::BadAuthorisingUser);
    }

    match Membership::read(content.membership) {
        Membership::Join => join(pdu, target, authoriser, room),
        Membership::Invite => invite(pdu, target, content.third_party_invite, room),
        Membership::Leave => leave(pdu, target, room),
        Membership::Ban => ban(pdu, target, room),
        Membership::Knock if room.rules.auth.knock => knock(pdu, target, room),
        Membership::Knock | Membership::Other | Membership::None => Err(Denied::UnknownMembership),
    }
}

fn join(pdu: &Pdu, target: &str, authoriser: Raw<'_>, room: &mut Room<'_>) -> Result<(), Denied> {
    if let [only] = pdu.prev_events()
        && **only == *room.create.event_id()
        && room.creation.creator.as_deref() == Some(target)
    {
        return Ok(());
    }
    if pdu.sender().as_str() != target {
        return Err(Denied::JoinForAnother);
    }
    let membership = room.membership(target);
    if membership == Membership::Ban {
        return Err(Denied::Banned);
    }
    let is_expected = matches!(membership, Membership::Join | Membership::Invite);
    match join_rule(room) {
        JoinRule::Public => Ok(()),
        JoinRule::Invite | JoinRule::Knock | JoinRule::Restricted | JoinRule::KnockRestricted if is_expected => Ok(()),
        JoinRule::Invite | JoinRule::Knock => Err(Denied::NotInvited),
        JoinRule::Restricted | JoinRule::KnockRestricted => {
            let user = authoriser.string().ok_or(Denied::NotAuthorisedByMember)?;
            let power = room.power();
            if room.membership(&user) == Membership::Join && power.user(&user)? >= power.named(Named::Invite)? {
                Ok(())
            } else {
                Err(Denied::NotAuthorisedByMember)
            }
        }
        JoinRule::Other => Err(Denied::JoinRule),
    }
}

fn invite(pdu: &Pdu, target: &str, third_party_invite: Raw<'_>, room: &mut Room<'_>) -> Result<(), Denied> {
    if third_party_invite.is_present() {
        if room.membership(target) == Membership::Ban {
            return Err(Denied::Banned);
        }
        return third_party::check(pdu, target, third_party_invite, room.state);
    }
    if room.membership(pdu.sender().as_str()) != Membership::Join {
        return Err(Denied::SenderNotJoined);
    }
    match room.membership(target) {
        Membership::Join => return Err(Denied::AlreadyJoined),
        Membership::Ban => return Err(Denied::Banned),
        _ => {}
    }
    let power = room.power();
    if power.user(pdu.sender().as_str())? >= power.named(Named::Invite)? { Ok(()) } else { Err(Denied::InviteLevel) }
}

fn leave(pdu: &Pdu, target: &str, room: &mut Room<'_>) -> Result<(), Denied> {
    let sender = pdu.sender().as_str();
    if sender == target {
        return match room.membership(target) {
            Membership::Invite | Membership::Join => Ok(()),
            Membership::Knock if room.rules.auth.knock => Ok(()),
            _ => Err(Denied::NothingToLeave),
        };
    }
    if room.membership(sender) != Membership::Join {
        return Err(Denied::SenderNotJoined);
    }
    let power = room.power();
    let level = power.user(sender)?;
    if room.membership(target) == Membership::Ban && level < power.named(Named::Ban)? {
        return Err(Denied::UnbanLevel);
    }
    if level >= power.named(Named::Kick)? && power.user(target)? < level { Ok(()) } else { Err(Denied::KickLevel) }
}

fn ban(pdu: &Pdu, target: &str, room: &mut Room<'_>) -> Result<(), Denied> {
    let sender = pdu.sender().as_str();
    if room.membership(sender) != Membership::Join {
        return Err(Denied::SenderNotJoined);
    }
    let power = room.power();
    let level = power.user(sender)?;
    if level >= power.named(Named::Ban)? && power.user(target)? < level { Ok(()) } else { Err(Denied::BanLevel) }
}

fn knock(pdu: &Pdu, target: &str, room: &Room<'_>) -> Result<(), Denied> {
    if !matches!(join_rule(room), JoinRule::Knock | JoinRule::KnockRestricted) {
        return Err(Denied::KnockRule);
    }
    if pdu.sender().as_str() != target {
        return Err(Denied::JoinForAnother);
    }
    match room.membership(target) {
        Membership::Ban | Membership::Invite | Membership::Join => Err(Denied::KnockWhileKnown),
        _ => Ok(()),
    }
}
