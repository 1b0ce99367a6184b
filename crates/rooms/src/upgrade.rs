//! Room upgrades: a replacement room, and a tombstone in the old one.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade>

use std::sync::Arc;

use roost_matrix::{
    auth::power::PowerLevels,
    ids::{OwnedRoomId, OwnedUserId, RoomId, UserId},
    room_version::{RoomVersion, Rules},
};
use roost_store::{Membership, Read, aliases, memberships, rooms};
use serde_json::{Map, Value, json};

use crate::{Error, MemberProfile, NewEvent, Room, Rooms, create::Founding, members::member_content, send::raw};

/// The state that a replacement room takes over.
const TRANSFERRED: [&str; 8] = [
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
];

/// What the old room gives to the new one.
struct Legacy {
    create: Map<String, Value>,
    levels: Map<String, Value>,
    state: Vec<(String, Map<String, Value>)>,
    bans: Vec<(OwnedUserId, Map<String, Value>)>,
    last: String,
    published: bool,
}

impl Rooms {
    /// Replaces a room by one of another version and answers its id.
    pub async fn upgrade(
        &self,
        room: &RoomId,
        user: &UserId,
        profile: &MemberProfile,
        version: &str,
        additional_creators: &[OwnedUserId],
    ) -> Result<OwnedRoomId, Error> {
        let version: RoomVersion = version.parse().map_err(|_| Error::UnsupportedVersion(version.to_owned()))?;
        let old = self.room(room).await?;
        let (rooms, at, asker, no) = (self.clone(), old.clone(), user.to_owned(), self.0.store.user_no(user).await?);
        let legacy = self
            .0
            .store
            .read(move |read| {
                let joined = memberships::one(read, no, at.no)?.is_some_and(|row| row.membership == Membership::Join);
                let view = |kind: &str, state_key: &str| {
                    rooms.current(read, &at, kind, state_key).ok().flatten().map(|stored| stored.pdu.clone())
                };
                let power = PowerLevels::of(&view);
                if !joined || power.for_user(&asker) < power.for_event("m.room.tombstone", true) {
                    return Err(Error::forbidden("You may not upgrade this room"));
                }
                rooms.legacy(read, &at)
            })
            .await?;

        let founding = founding(&old, user, profile, version.rules(), additional_creators, &legacy)?;
        let (rooms, user) = (self.clone(), user.to_owned());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let replace = async move {
            // A receiver that has gone away no longer wants the answer.
            drop(sender.send(rooms.replace(&old, &user, founding, &legacy).await));
        };
        // The client may go away meanwhile; a room that is half replaced is of no use to anybody.
        self.0.world.executor.spawn("room upgrade", Box::pin(replace));
        receiver.await.unwrap_or(Err(Error::Stopping))
    }

    /// The steps of an upgrade that change something.
    async fn replace(
        &self,
        old: &Arc<Room>,
        user: &UserId,
        founding: Founding,
        legacy: &Legacy,
    ) -> Result<OwnedRoomId, Error> {
        let new = self.found(founding).await?;
        let (from, to) = (old.no, new.no);
        // First the tombstone: should the process end here, it leads everybody on, from the aliases too.
        let tombstone = raw(&json!({ "body": "This room has been replaced", "replacement_room": new.id }))?;
        self.append(&old.id, NewEvent::state(user, "m.room.tombstone", "", tombstone)).await?;
        self.0
            .store
            .write(move |tx| {
                aliases::move_all(tx, from, to)?;
                Ok::<_, Error>(rooms::publish(tx, from, false)?)
            })
            .await?;
        self.close_down(old, user, &legacy.levels).await?;
        Ok(new.id.clone())
    }

    fn legacy(&self, read: &Read<'_>, room: &Arc<Room>) -> Result<Legacy, Error> {
        let row = rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?;
        let last = self.stored(read, room, &row.head.tips)?.pop().ok_or(Error::UnknownRoom)?;
        let content = |kind: &str| -> Result<Option<Map<String, Value>>, Error> {
            match self.current(read, room, kind, "")? {
                Some(stored) => Ok(serde_json::from_str(self.effective(read, &stored)?.content()).ok()),
                None => Ok(None),
            }
        };
        let mut kept = Vec::new();
        for kind in TRANSFERRED {
            if let Some(content) = content(kind)? {
                kept.push((kind.to_owned(), content));
            }
        }
        let banned: Vec<_> =
            memberships::of_room_as(read, room.no, Membership::Ban, 1000)?.iter().map(|row| row.event).collect();
        let bans = self
            .effective_all(read, &self.stored(read, room, &banned)?)?
            .iter()
            .filter_map(|pdu| {
                let user = UserId::parse(pdu.state_key()?).ok()?;
                Some((user, serde_json::from_str(pdu.content()).ok()?))
            })
            .collect();
        Ok(Legacy {
            create: content("m.room.create")?.unwrap_or_default(),
            levels: content("m.room.power_levels")?.unwrap_or_default(),
            state: kept,
            bans,
            last: last.pdu.event_id().to_string(),
            published: row.published,
        })
    }

    /// Keeps people from going on in the old room, where the user may do that.
    async fn close_down(&self, room: &Room, user: &UserId, levels: &Map<String, Value>) -> Result<(), Error> {
        let level = |key: &str| levels.get(key).and_then(Value::as_i64).unwrap_or(0);
        let closed = level("users_default").saturating_add(1).max(50);
        let mut content = levels.clone();
        for key in ["events_default", "invite"] {
            content.insert(key.to_owned(), closed.max(level(key)).into());
        }
        let event = NewEvent::state(user, "m.room.power_levels", "", raw(&Value::Object(content))?);
        match self.append(&room.id, event).await {
            Ok(_) | Err(Error::Forbidden(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn founding(
    old: &Room,
    user: &UserId,
    profile: &MemberProfile,
    rules: &'static Rules,
    additional_creators: &[OwnedUserId],
    legacy: &Legacy,
) -> Result<Founding, Error> {
    let state = |kind: &str, state_key: &str, content: Map<String, Value>| {
        Ok::<_, Error>(NewEvent::state(user, kind, state_key, raw(&Value::Object(content))?))
    };
    let mut create = legacy.create.clone();
    create.remove("creator");
    create.remove("additional_creators");
    create.insert("room_version".to_owned(), rules.version.as_str().into());
    create.insert("predecessor".to_owned(), json!({ "room_id": old.id, "event_id": legacy.last }));
    if rules.auth.creator_in_content {
        create.insert("creator".to_owned(), user.as_str().into());
    }
    if rules.auth.privileged_creators && !additional_creators.is_empty() {
        create.insert("additional_creators".to_owned(), json!(additional_creators));
    }

    // Who builds the room needs the power to; what it has in the end follows.
    let mut users = match legacy.levels.get("users") {
        Some(Value::Object(users)) => users.clone(),
        _ => Map::new(),
    };
    let mut levels = legacy.levels.clone();
    if rules.auth.privileged_creators {
        users.remove(user.as_str());
        for creator in additional_creators {
            users.remove(creator.as_str());
        }
        let default = levels.get("state_default").and_then(Value::as_i64).unwrap_or(50);
        let events = levels.entry("events").or_insert_with(|| json!({}));
        if let Value::Object(events) = events {
            let tombstone = events.get("m.room.tombstone").and_then(Value::as_i64).unwrap_or(0);
            events.insert("m.room.tombstone".to_owned(), tombstone.max(default.saturating_add(100)).into());
        }
    } else if !users.contains_key(user.as_str()) {
        users.insert(user.to_string(), 100.into());
    }
    levels.insert("users".to_owned(), Value::Object(users));

    let mut events = vec![
        state("m.room.create", "", create)?,
        NewEvent::state(user, "m.room.member", user.as_str(), member_content(Membership::Join, profile, false)?),
    ];
    let mut building = levels.clone();
    if !rules.auth.privileged_creators
        && let Some(Value::Object(users)) = building.get_mut("users")
    {
        let needed = levels
            .get("users")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(_, level)| level.as_i64());
        let needed = needed.max().unwrap_or(100).max(100);
        users.insert(user.to_string(), needed.into());
    }
    events.push(state("m.room.power_levels", "", building.clone())?);
    for (kind, content) in &legacy.state {
        events.push(state(kind, "", content.clone())?);
    }
    for (banned, content) in &legacy.bans {
        events.push(state("m.room.member", banned.as_str(), content.clone())?);
    }
    if building != levels {
        events.push(state("m.room.power_levels", "", levels)?);
    }
    Ok(Founding { rules, creator: user.to_owned(), events, published: legacy.published, alias: None })
}
