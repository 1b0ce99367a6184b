//! Room aliases of this server.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

use roost_matrix::{
    auth::power::PowerLevels,
    ids::{OwnedRoomId, RoomAliasId, RoomId, UserId},
};
use roost_store::{Membership, aliases, memberships};
use serde_json::{Map, Value};

use crate::{Error, NewEvent, Rooms, send::raw};

impl Rooms {
    /// The room that an alias stands for. Only this server's aliases are known.
    pub async fn resolve(&self, alias: &RoomAliasId) -> Result<Option<OwnedRoomId>, Error> {
        let alias = alias.to_string();
        let found = self.0.store.read(move |read| aliases::resolve(read, &alias).map_err(Error::from)).await?;
        found.map(|found| RoomId::parse(&found.room_id).map_err(|error| Error::Damaged(error.to_string()))).transpose()
    }

    /// Makes an alias for a room, for one of its members.
    pub async fn create_alias(&self, alias: &RoomAliasId, room: &RoomId, user: &UserId) -> Result<(), Error> {
        if alias.server_name() != self.0.identity.server_name {
            return Err(Error::InvalidParam(format!("{alias} is not an alias of this server")));
        }
        let room = self.room(room).await?;
        let (no, now) = (self.0.store.user_no(user).await?, i64::try_from(self.0.world.now_ms()).unwrap_or(i64::MAX));
        let alias = alias.to_string();
        self.0
            .store
            .write(move |tx| {
                if memberships::one(tx, no, room.no)?.is_none_or(|row| row.membership != Membership::Join) {
                    return Err(Error::forbidden("You are not in this room"));
                }
                if aliases::insert(tx, &alias, room.no, no, now)? {
                    Ok(())
                } else {
                    Err(Error::AliasTaken(alias.clone()))
                }
            })
            .await
    }

    /// Removes an alias, for who made it and for those who may set the room's canonical alias. Takes it out of
    /// `m.room.canonical_alias` too, where the user may.
    pub async fn delete_alias(&self, alias: &RoomAliasId, user: &UserId) -> Result<(), Error> {
        let (rooms, no, asker, name) =
            (self.clone(), self.0.store.user_no(user).await?, user.to_owned(), alias.to_string());
        let (room, found, may) = self
            .0
            .store
            .read(move |read| {
                let found = aliases::resolve(read, &name)?.ok_or(Error::NotFound("The alias"))?;
                let room = rooms.rooms_in(read, &[found.room])?.pop().ok_or(Error::UnknownRoom)?;
                let view = |kind: &str, state_key: &str| {
                    rooms.current(read, &room, kind, state_key).ok().flatten().map(|stored| stored.pdu.clone())
                };
                let power = PowerLevels::of(&view);
                let joined = memberships::one(read, no, room.no)?.is_some_and(|row| row.membership == Membership::Join);
                let may = joined && power.for_user(&asker) >= power.for_event("m.room.canonical_alias", true);
                // What was redacted must not come back.
                let canonical = match rooms.current(read, &room, "m.room.canonical_alias", "")? {
                    Some(stored) => Some(rooms.effective(read, &stored)?),
                    None => None,
                };
                Ok::<_, Error>((room, (found.creator, canonical), may))
            })
            .await?;
        let (creator, canonical) = found;
        if creator != no && !may {
            return Err(Error::forbidden("Only who made the alias, or who may set the room's aliases, may remove it"));
        }
        let name = alias.to_string();
        self.0
            .store
            .write(move |tx| if aliases::delete(tx, &name)? { Ok(()) } else { Err(Error::NotFound("The alias")) })
            .await?;

        if let Some(canonical) = canonical.filter(|_| may)
            && let Ok(content) = serde_json::from_str::<Map<String, Value>>(canonical.content())
            && let Some(content) = without(&content, alias)
        {
            let event = NewEvent::state(user, "m.room.canonical_alias", "", raw(&Value::Object(content))?);
            match self.append(&room.id, event).await {
                // The alias is gone in any case; the event was a courtesy.
                Ok(_) | Err(Error::Forbidden(_) | Error::BadAlias(_) | Error::InvalidParam(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The aliases that this server has for a room, for its members, or for everybody if it is readable by the world.
    pub async fn aliases(&self, room: &RoomId, user: &UserId) -> Result<Vec<String>, Error> {
        let (rooms, room, no) = (self.clone(), room.to_owned(), self.0.store.user_no(user).await?);
        self.0
            .store
            .read(move |read| {
                let outside = || Error::forbidden("You are not in this room");
                let room = rooms.room_in(read, &room).map_err(|error| match error {
                    Error::UnknownRoom => outside(),
                    other => other,
                })?;
                let joined = memberships::one(read, no, room.no)?.is_some_and(|row| row.membership == Membership::Join);
                if !joined && !rooms.is_world_readable(read, &room)? {
                    return Err(outside());
                }
                Ok(aliases::of_room(read, room.no)?)
            })
            .await
    }
}

/// The content of `m.room.canonical_alias` without an alias; `None` if it is not there.
fn without(content: &Map<String, Value>, alias: &RoomAliasId) -> Option<Map<String, Value>> {
    let mut rest = content.clone();
    if content.get("alias").and_then(Value::as_str) == Some(alias.as_str()) {
        rest.remove("alias");
    }
    if let Some(Value::Array(aliases)) = rest.get_mut("alt_aliases") {
        aliases.retain(|other| other.as_str() != Some(alias.as_str()));
    }
    (rest != *content).then_some(rest)
}
