//! Membership: who is in a room, and the requests that change it.
//!
//! The authorisation rules of the room's version decide; what the endpoints ask beyond them (who is not in the room can
//! not be kicked) is checked by the appender on the same state, so that nothing changes in between.

use std::sync::Arc;

use roost_matrix::{
    auth::power::PowerLevels,
    event::{ClientForm, Pdu},
    ids::{OwnedRoomId, OwnedUserId, RoomId, UserId},
};
use roost_store::{Change, EventNo, Membership, Position, Read, RoomNo, UserNo, memberships, profiles, state};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    Appended, Error, NewEvent, Rendered, Room, Rooms, Sight, Stored,
    head::{Expect, membership_of},
    send::{AUTHORISER, PATIENCE, raw},
};

/// What a member event says about a user beside the membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberProfile {
    /// `displayname`.
    pub displayname: Option<String>,
    /// `avatar_url`.
    pub avatar_url: Option<String>,
}

/// How a user stands to a room, as `/sync` needs it.
#[derive(Clone, Debug)]
pub struct MembershipEntry {
    /// The room.
    pub room: Arc<Room>,
    /// How.
    pub membership: Membership,
    /// The latest member event.
    pub event: EventNo,
    /// Index at which this membership began.
    pub idx: i64,
    /// Who sent the latest member event.
    pub sender: UserNo,
    /// Position of the log at which this membership began.
    pub position: Position,
    /// Whether the user has forgotten the room.
    pub forgotten: bool,
}

fn member(membership: Membership, profile: &MemberProfile, reason: Option<&str>) -> Map<String, Value> {
    let mut content = Map::new();
    content.insert("membership".to_owned(), membership.as_str().into());
    for (key, value) in [
        ("displayname", profile.displayname.as_deref()),
        ("avatar_url", profile.avatar_url.as_deref()),
        ("reason", reason),
    ] {
        if let Some(value) = value {
            content.insert(key.to_owned(), value.into());
        }
    }
    content
}

/// The content of a member event.
pub(crate) fn member_content(
    membership: Membership,
    profile: &MemberProfile,
    is_direct: bool,
) -> Result<Box<RawValue>, Error> {
    let mut content = member(membership, profile, None);
    if is_direct {
        content.insert("is_direct".to_owned(), true.into());
    }
    raw(&Value::Object(content))
}

#[derive(Deserialize)]
struct JoinRules {
    join_rule: String,
    #[serde(default)]
    allow: Vec<Value>,
}

impl Rooms {
    /// What member events repeat of a user's profile; nothing for users of other servers.
    pub async fn profile(&self, user: &UserId) -> Result<MemberProfile, Error> {
        if !self.is_local(user) {
            return Ok(MemberProfile::default());
        }
        let no = self.0.store.user_no(user).await?;
        let names = self.0.store.read(move |read| profiles::names(read, no).map_err(Error::from)).await?;
        Ok(MemberProfile { displayname: names.displayname, avatar_url: names.avatar_url })
    }

    /// Joins a room. Who is in it already stays as they are.
    pub async fn join(
        &self,
        room: &RoomId,
        user: &UserId,
        profile: &MemberProfile,
        reason: Option<&str>,
    ) -> Result<Appended, Error> {
        let room = self.room(room).await?;
        let mut content = member(Membership::Join, profile, reason);
        if let Some(authoriser) = self.authoriser(&room, user).await? {
            content.insert(AUTHORISER.to_owned(), authoriser.as_str().into());
        }
        let event = NewEvent::state(user, "m.room.member", user.as_str(), raw(&Value::Object(content))?);
        let expect = Expect {
            of: user.to_owned(),
            done: &[Membership::Join],
            any_of: &[Membership::Invite, Membership::Knock, Membership::Leave, Membership::Ban],
            otherwise: Error::forbidden("You can not join this room"),
        };
        self.append_if(&room.id, event, Some(expect)).await
    }

    /// For a join that only the `restricted` rule can allow: a local member in whose name this server vouches for it, once
    /// it has seen that the user is in one of the rooms that open this one.
    /// <https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms>
    pub(crate) async fn authoriser(&self, room: &Arc<Room>, user: &UserId) -> Result<Option<OwnedUserId>, Error> {
        if !room.rules.auth.restricted {
            return Ok(None);
        }
        let (rooms, room, user, no) = (self.clone(), room.clone(), user.to_owned(), self.0.store.user_no(user).await?);
        self.0
            .store
            .read(move |read| {
                let rules = match rooms.current(read, &room, "m.room.join_rules", "")? {
                    Some(stored) => serde_json::from_str::<JoinRules>(stored.pdu.content()).ok(),
                    None => None,
                };
                let Some(rules) =
                    rules.filter(|rules| matches!(rules.join_rule.as_str(), "restricted" | "knock_restricted"))
                else {
                    return Ok(None);
                };
                let present = memberships::one(read, no, room.no)?.map(|row| row.membership);
                if matches!(present, Some(Membership::Invite | Membership::Join | Membership::Ban)) {
                    return Ok(None);
                }
                if !rooms.satisfies(read, &rules.allow, no)? {
                    return Err(Error::forbidden(format!("{user} is in none of the rooms that open this one")));
                }
                rooms.inviter(read, &room)
            })
            .await
    }

    /// Whether a user is joined to one of the rooms that a `restricted` join rule names.
    fn satisfies(&self, read: &Read<'_>, allow: &[Value], user: UserNo) -> Result<bool, Error> {
        let mut nos = Vec::new();
        // A rule may name very many rooms; a reader's patience ends somewhere.
        for condition in allow.iter().take(200) {
            if condition.get("type").and_then(Value::as_str) != Some("m.room_membership") {
                continue;
            }
            let Some(id) = condition.get("room_id").and_then(Value::as_str) else { continue };
            let Ok(id) = RoomId::parse(id) else { continue };
            match self.room_in(read, &id) {
                Ok(room) => nos.push(room.no),
                Err(Error::UnknownRoom) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(!nos.is_empty() && !memberships::joined_in(read, user, &nos)?.is_empty())
    }

    /// A joined local member who may invite.
    fn inviter(&self, read: &Read<'_>, room: &Room) -> Result<Option<OwnedUserId>, Error> {
        let view = |kind: &str, state_key: &str| {
            self.current(read, room, kind, state_key).ok().flatten().map(|stored| stored.pdu.clone())
        };
        let power = PowerLevels::of(&view);
        let needed = power.invite();
        // Those who are named in the power levels or created the room, then whoever else is there.
        let mut candidates: Vec<OwnedUserId> = Vec::new();
        if let Some(create) = view("m.room.create", "") {
            candidates.push(create.sender().to_owned());
            candidates.extend(ids_in(&create, "additional_creators"));
        }
        if let Some(levels) = view("m.room.power_levels", "")
            && let Ok(Value::Object(content)) = serde_json::from_str(levels.content())
            && let Some(Value::Object(users)) = content.get("users")
        {
            candidates.extend(users.keys().filter_map(|user| UserId::parse(user).ok()));
        }
        candidates.retain(|user| self.is_local(user) && power.for_user(user) >= needed);
        for candidate in candidates {
            let joined = self
                .current(read, room, "m.room.member", candidate.as_str())?
                .is_some_and(|stored| membership_of(&stored.pdu) == Some(Membership::Join));
            if joined {
                return Ok(Some(candidate));
            }
        }
        Ok(self.local_members(read, room, 100)?.into_iter().find(|user| power.for_user(user) >= needed))
    }

    /// Whether a user of this server is joined to the room, so that it is known here as it is now.
    pub async fn is_resident(&self, room: &RoomId) -> Result<bool, Error> {
        let (rooms, room) = (self.clone(), room.to_owned());
        self.0
            .store
            .read(move |read| match rooms.room_in(read, &room) {
                Ok(room) => Ok(!rooms.local_members(read, &room, 1)?.is_empty()),
                Err(Error::UnknownRoom) => Ok(false),
                Err(error) => Err(error),
            })
            .await
    }

    /// Joined users of this server, at most `limit`, among those who have been there for the longest.
    pub(crate) fn local_members(&self, read: &Read<'_>, room: &Room, limit: usize) -> Result<Vec<OwnedUserId>, Error> {
        let (server, limit) = (&self.0.identity.server_name, i64::try_from(limit).unwrap_or(i64::MAX));
        let mut found = memberships::of_server(read, room.no, Membership::Join, server, limit)?;
        found.retain(|user| self.is_local(user));
        Ok(found)
    }

    /// Leaves a room, declines an invitation, or takes back a knock. Who has left already stays as they are.
    pub async fn leave(&self, room: &RoomId, user: &UserId, reason: Option<&str>) -> Result<Appended, Error> {
        let content = member(Membership::Leave, &MemberProfile::default(), reason);
        let expect = Expect {
            of: user.to_owned(),
            done: &[Membership::Leave],
            any_of: &[Membership::Join, Membership::Invite, Membership::Knock],
            otherwise: Error::forbidden("You are not in this room"),
        };
        let event = NewEvent::state(user, "m.room.member", user.as_str(), raw(&Value::Object(content))?);
        self.append_if(room, event, Some(expect)).await
    }

    /// Invites a user.
    pub async fn invite(
        &self,
        room: &RoomId,
        sender: &UserId,
        target: &UserId,
        profile: &MemberProfile,
        reason: Option<&str>,
    ) -> Result<Appended, Error> {
        if !self.is_local(target) {
            // Until federation comes, nobody could tell them.
            return Err(Error::forbidden(format!("{target} is on another server, which can not be reached")));
        }
        let content = raw(&Value::Object(member(Membership::Invite, profile, reason)))?;
        self.append(room, NewEvent::state(sender, "m.room.member", target.as_str(), content)).await
    }

    /// Removes a user who is in the room, is invited to it or knocks.
    pub async fn kick(
        &self,
        room: &RoomId,
        sender: &UserId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<Appended, Error> {
        let content = raw(&Value::Object(member(Membership::Leave, &MemberProfile::default(), reason)))?;
        let expect = Expect {
            of: target.to_owned(),
            done: &[],
            any_of: &[Membership::Join, Membership::Invite, Membership::Knock],
            otherwise: Error::forbidden(format!("{target} is not in this room")),
        };
        self.append_if(room, NewEvent::state(sender, "m.room.member", target.as_str(), content), Some(expect)).await
    }

    /// Bans a user.
    pub async fn ban(
        &self,
        room: &RoomId,
        sender: &UserId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<Appended, Error> {
        let content = raw(&Value::Object(member(Membership::Ban, &MemberProfile::default(), reason)))?;
        self.append(room, NewEvent::state(sender, "m.room.member", target.as_str(), content)).await
    }

    /// Lifts a ban.
    pub async fn unban(
        &self,
        room: &RoomId,
        sender: &UserId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<Appended, Error> {
        let content = raw(&Value::Object(member(Membership::Leave, &MemberProfile::default(), reason)))?;
        let expect = Expect {
            of: target.to_owned(),
            done: &[],
            any_of: &[Membership::Ban],
            otherwise: Error::BadState(format!("{target} is not banned from this room")),
        };
        self.append_if(room, NewEvent::state(sender, "m.room.member", target.as_str(), content), Some(expect)).await
    }

    /// Asks to be let into a room.
    pub async fn knock(
        &self,
        room: &RoomId,
        user: &UserId,
        profile: &MemberProfile,
        reason: Option<&str>,
    ) -> Result<Appended, Error> {
        self.room(room).await?;
        let content = raw(&Value::Object(member(Membership::Knock, profile, reason)))?;
        self.append(room, NewEvent::state(user, "m.room.member", user.as_str(), content)).await
    }

    /// Puts a new display name or avatar into a member event, in a room that the user is joined to. Does nothing where they
    /// are not, or no longer.
    pub async fn update_profile(&self, room: &RoomId, user: &UserId, profile: &MemberProfile) -> Result<(), Error> {
        let room = self.room(room).await?;
        let (rooms, at, of) = (self.clone(), room.clone(), user.to_owned());
        let current = self.0.store.read(move |read| rooms.current(read, &at, "m.room.member", of.as_str())).await?;
        let Some(current) = current.filter(|stored| membership_of(&stored.pdu) == Some(Membership::Join)) else {
            return Ok(());
        };
        // What else the event says stays, but for what was about that one change.
        let mut content: Map<String, Value> =
            serde_json::from_str(current.pdu.content()).map_err(|error| Error::Damaged(error.to_string()))?;
        for key in ["displayname", "avatar_url", "reason", AUTHORISER, "third_party_invite"] {
            content.remove(key);
        }
        content.extend(member(Membership::Join, profile, None));
        let event = NewEvent::state(user, "m.room.member", user.as_str(), raw(&Value::Object(content))?);
        let expect = Expect {
            of: user.to_owned(),
            done: &[Membership::Leave, Membership::Invite, Membership::Knock, Membership::Ban],
            any_of: &[Membership::Join],
            otherwise: Error::forbidden("You are not in this room"),
        };
        self.append_if(&room.id, event, Some(expect)).await.map(drop)
    }

    /// Forgets a room that the user has left.
    pub async fn forget(&self, room: &RoomId, user: &UserId) -> Result<(), Error> {
        let room = self.room(room).await?;
        let no = self.0.store.user_no(user).await?;
        self.0
            .store
            .write(move |tx| {
                let row = memberships::one(tx, no, room.no)?.ok_or(Error::UnknownRoom)?;
                if !matches!(row.membership, Membership::Leave | Membership::Ban) {
                    return Err(Error::NotLeft);
                }
                if !row.forgotten {
                    memberships::forget(tx, no, room.no)?;
                    let _ = tx.log(Change::Forgotten { room: room.no, user: no });
                }
                Ok(())
            })
            .await
    }

    /// The rooms that a user is joined to.
    pub async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>, Error> {
        let (rooms, no) = (self.clone(), self.0.store.user_no(user).await?);
        self.0
            .store
            .read(move |read| {
                let rows = memberships::of_user_as(read, no, Membership::Join)?;
                let nos: Vec<_> = rows.iter().map(|row| row.room).collect();
                Ok(rooms.rooms_in(read, &nos)?.iter().map(|room| room.id.clone()).collect())
            })
            .await
    }

    /// Every membership that a user has or had, forgotten ones included.
    pub fn memberships(&self, read: &Read<'_>, user: UserNo) -> Result<Vec<MembershipEntry>, Error> {
        self.entries(read, memberships::of_user(read, user)?)
    }

    /// How a user stands to one room; `None` when they never had anything to do with it.
    pub fn membership(&self, read: &Read<'_>, user: UserNo, room: RoomNo) -> Result<Option<MembershipEntry>, Error> {
        Ok(self.entries(read, memberships::one(read, user, room)?.into_iter().collect())?.pop())
    }

    fn entries(&self, read: &Read<'_>, rows: Vec<memberships::MembershipRow>) -> Result<Vec<MembershipEntry>, Error> {
        let nos: Vec<_> = rows.iter().map(|row| row.room).collect();
        let rooms: std::collections::HashMap<_, _> =
            self.rooms_in(read, &nos)?.into_iter().map(|room| (room.no, room)).collect();
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                Some(MembershipEntry {
                    room: rooms.get(&row.room)?.clone(),
                    membership: row.membership,
                    event: row.event,
                    idx: row.idx,
                    sender: row.sender,
                    position: row.position,
                    forgotten: row.forgotten,
                })
            })
            .collect())
    }

    /// Waits until all members of a room are known. What is wrong about the room is for who asks next to say.
    async fn wait_for_members(&self, room: &RoomId) -> Result<(), Error> {
        match self.room(room).await {
            Ok(room) => self.wait_until_whole(&room, PATIENCE).await,
            Err(Error::UnknownRoom) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// `/members`: member events as the user may see them, at a boundary or at the head, that `wants` wants.
    pub async fn members(
        &self,
        room: &RoomId,
        user: &UserId,
        at: Option<roost_store::token::Token>,
        wants: impl Fn(Membership) -> bool + Send + 'static,
    ) -> Result<Vec<Rendered>, Error> {
        self.wait_for_members(room).await?;
        let (rooms, room, asker) = (self.clone(), room.to_owned(), self.asker(user, None).await?);
        self.0
            .store
            .read(move |read| {
                let (room, vision, sight) = rooms.sighted(read, &room, &asker)?;
                let wanted = match &at {
                    Some(token) => Some(rooms.boundary_of(read, &room, token)?.saturating_sub(1)),
                    None => None,
                };
                let idx = match (sight, wanted) {
                    (Sight::At(left), Some(wanted)) => Some(wanted.min(left)),
                    (Sight::At(left), None) => Some(left),
                    (_, wanted) => wanted,
                };
                let found = match idx {
                    Some(idx) => state::kind_at(read, room.no, "m.room.member", idx)?,
                    None => state::current_kind(read, room.no, "m.room.member")?,
                };
                let mut stored = rooms.stored(read, &room, &found.into_iter().map(|(_, no)| no).collect::<Vec<_>>())?;
                stored.retain(|stored| membership_of(&stored.pdu).is_some_and(&wants));
                rooms.render(read, &room, &asker.reader(), &vision, &stored, ClientForm::WithRoomId)
            })
            .await
    }

    /// `/joined_members`, for those who are joined themselves.
    pub async fn joined_members(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<Vec<(OwnedUserId, MemberProfile)>, Error> {
        self.wait_for_members(room).await?;
        let (rooms, room, no) = (self.clone(), room.to_owned(), self.0.store.user_no(user).await?);
        self.0
            .store
            .read(move |read| {
                let outside = || Error::forbidden("You are not in this room");
                let room = rooms.room_in(read, &room).map_err(|error| match error {
                    Error::UnknownRoom => outside(),
                    other => other,
                })?;
                if memberships::one(read, no, room.no)?.is_none_or(|row| row.membership != Membership::Join) {
                    return Err(outside());
                }
                let events: Vec<_> = memberships::of_room_as(read, room.no, Membership::Join, i64::MAX)?
                    .into_iter()
                    .map(|row| row.event)
                    .collect();
                let stored = rooms.stored(read, &room, &events)?;
                Ok(rooms.effective_all(read, &stored)?.iter().filter_map(profile_of).collect())
            })
            .await
    }

    /// Whether a user is joined to a room.
    pub async fn is_joined(&self, room: &RoomId, user: &UserId) -> Result<bool, Error> {
        let (rooms, room, no) = (self.clone(), room.to_owned(), self.0.store.user_no(user).await?);
        self.0
            .store
            .read(move |read| match rooms.room_in(read, &room) {
                Ok(room) => {
                    Ok(memberships::one(read, no, room.no)?.is_some_and(|row| row.membership == Membership::Join))
                }
                Err(Error::UnknownRoom) => Ok(false),
                Err(error) => Err(error),
            })
            .await
    }

    /// The profile in a stored member event, redacted if it is.
    pub fn member_profile(&self, read: &Read<'_>, stored: &Stored) -> Result<Option<MemberProfile>, Error> {
        Ok(profile_of(&self.effective(read, stored)?).map(|(_, profile)| profile))
    }
}

fn profile_of(pdu: &Pdu) -> Option<(OwnedUserId, MemberProfile)> {
    let user = UserId::parse(pdu.state_key()?).ok()?;
    let content: Value = serde_json::from_str(pdu.content()).unwrap_or_else(|_| json!({}));
    let text = |key: &str| content.get(key).and_then(Value::as_str).map(str::to_owned);
    Some((user, MemberProfile { displayname: text("displayname"), avatar_url: text("avatar_url") }))
}

fn ids_in(pdu: &Pdu, key: &str) -> Vec<OwnedUserId> {
    let content: Value = serde_json::from_str(pdu.content()).unwrap_or_else(|_| json!({}));
    let list = content.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(|id| UserId::parse(id.as_str()?).ok()).collect()
}
