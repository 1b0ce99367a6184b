//! Profiles: display names, avatars and whatever else users say about themselves.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use roost_matrix::ids::{MxcUri, OwnedRoomId, UserId};
use roost_rooms::MemberProfile;
use roost_store::{
    Membership, RoomNo, UserNo, accounts, memberships,
    profiles::{self, Names},
};
use serde_json::value::RawValue;

use crate::{Error, Users};

/// A profile stays below this many bytes of JSON.
pub const MAX_PROFILE_BYTES: usize = 64 * 1024;

/// The longest name of a field, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// The longest display name, in characters: it is repeated in the member event of every room.
const MAX_DISPLAYNAME_CHARS: usize = 256;

/// The longest avatar URI, in bytes; it is repeated likewise.
const MAX_AVATAR_URL_BYTES: usize = 1000;

/// How many rooms hear of a new name at the same time.
const ROOMS_AT_ONCE: usize = 32;

/// The name of a profile field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `displayname`
    DisplayName,
    /// `avatar_url`
    AvatarUrl,
    /// Any other, such as `m.tz`.
    Other(String),
}

impl Field {
    /// Checks the name of a field. Names are `displayname`, `avatar_url`, or of the [Common Namespaced Identifier
    /// Grammar][grammar] with at least one dot.
    ///
    /// [grammar]: https://spec.matrix.org/v1.19/appendices/#common-namespaced-identifier-grammar
    pub fn parse(key: &str) -> Result<Self, Error> {
        match key {
            "displayname" => return Ok(Self::DisplayName),
            "avatar_url" => return Ok(Self::AvatarUrl),
            _ => {}
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(Error::ProfileKeyTooLarge);
        }
        let fits = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_lowercase())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-')
        };
        if !key.contains('.') || !key.split('.').all(fits) {
            return Err(Error::InvalidProfileKey);
        }
        Ok(Self::Other(key.to_owned()))
    }

    /// The field's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::DisplayName => "displayname",
            Self::AvatarUrl => "avatar_url",
            Self::Other(key) => key,
        }
    }

    /// Whether member events repeat it.
    fn is_in_rooms(&self) -> bool {
        matches!(self, Self::DisplayName | Self::AvatarUrl)
    }

    /// What is stored for a value; `None` when the value stands for having none.
    fn check(&self, value: &RawValue) -> Result<Option<String>, Error> {
        let text = || serde_json::from_str::<String>(value.get());
        match self {
            Self::DisplayName => {
                checked_displayname(&text().map_err(|_| Error::ProfileValue("displayname must be a string"))?)
            }
            Self::AvatarUrl => {
                let url = text().map_err(|_| Error::ProfileValue("avatar_url must be a string"))?;
                // Clients say so when their user removes the picture.
                if url.is_empty() {
                    return Ok(None);
                }
                if url.len() > MAX_AVATAR_URL_BYTES || !<&MxcUri>::from(url.as_str()).is_valid() {
                    return Err(Error::ProfileValue("avatar_url must be an mxc: URI of at most 1000 bytes"));
                }
                Ok(Some(json_string(&url)))
            }
            Self::Other(key) => {
                if key == "m.tz" && text().is_err() {
                    return Err(Error::ProfileValue("m.tz must be a string"));
                }
                Ok(Some(value.get().to_owned()))
            }
        }
    }
}

/// What is stored of a display name; `None` for an empty one.
pub(crate) fn checked_displayname(name: &str) -> Result<Option<String>, Error> {
    if name.chars().count() > MAX_DISPLAYNAME_CHARS {
        return Err(Error::ProfileValue("displayname can have at most 256 characters"));
    }
    Ok((!name.is_empty()).then(|| json_string(name)))
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A profile's size as a JSON object.
fn size<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    // Two quotes, colon and comma for each; the braces make up for the comma too many.
    fields.map(|(key, value)| key.len() + value.len() + 4).sum::<usize>() + 1
}

impl Users {
    /// The fields of a user's profile, by name; `None` when there is no such user or their profile was erased.
    pub async fn profile(&self, user_id: &UserId) -> Result<Option<BTreeMap<String, Box<RawValue>>>, Error> {
        let user_id = user_id.to_owned();
        let read = self.0.store.read(move |read| {
            let Some(user) = Self::find(read, &user_id)? else { return Ok(None) };
            let Some(account) = accounts::get(read, user)? else { return Ok(None) };
            let fields = profiles::all(read, user)?;
            Ok::<_, Error>((!account.erased || !fields.is_empty()).then_some(fields))
        });
        let Some(fields) = read.await? else { return Ok(None) };
        let parsed = fields.into_iter().map(|(key, value)| Ok((key, RawValue::from_string(value)?)));
        let parsed: Result<BTreeMap<_, _>, serde_json::Error> = parsed.collect();
        parsed.map(Some).map_err(|_| roost_store::Error::Inconsistent("a profile's value is not JSON").into())
    }

    /// Sets a field of a profile. A new display name or avatar has reached every joined room before this returns.
    pub async fn set_profile_field(
        &self,
        user: UserNo,
        user_id: &UserId,
        field: &Field,
        value: &RawValue,
    ) -> Result<(), Error> {
        let Some(value) = field.check(value)? else { return self.delete_profile_field(user, user_id, field).await };
        let key = field.as_str().to_owned();
        let changed = self.0.store.write(move |tx| {
            let before = profiles::all(tx, user)?;
            if before.iter().any(|(known, old)| *known == key && *old == value) {
                return Ok(false);
            }
            let others =
                before.iter().map(|(known, old)| (known.as_str(), old.as_str())).filter(|(known, _)| *known != key);
            if size(others.chain([(key.as_str(), value.as_str())])) >= MAX_PROFILE_BYTES {
                return Err(Error::ProfileTooLarge);
            }
            profiles::set(tx, user, &key, &value)?;
            Ok(true)
        });
        // Told again even when nothing changed: the last time may have been cut short.
        changed.await?;
        self.tell_rooms(user, user_id, field).await
    }

    /// Removes a field of a profile, if it is there.
    pub async fn delete_profile_field(&self, user: UserNo, user_id: &UserId, field: &Field) -> Result<(), Error> {
        let key = field.as_str().to_owned();
        self.0.store.write(move |tx| Ok::<_, Error>(profiles::delete(tx, user, &key)?)).await?;
        self.tell_rooms(user, user_id, field).await
    }

    /// Repeats a user's name and avatar in the member events of the rooms that they are in.
    async fn tell_rooms(&self, user: UserNo, user_id: &UserId, field: &Field) -> Result<(), Error> {
        if !field.is_in_rooms() {
            return Ok(());
        }
        let (users, user_id) = (self.clone(), user_id.to_owned());
        // The client may go away meanwhile; the rooms are told all the same.
        let telling = self.in_background("profile", async move {
            let mut told = None;
            loop {
                let (names, joined) = users.names_and_rooms(user).await?;
                if told.as_ref() == Some(&names) {
                    return Ok(());
                }
                let profile =
                    MemberProfile { displayname: names.displayname.clone(), avatar_url: names.avatar_url.clone() };
                stream::iter(joined)
                    .for_each_concurrent(ROOMS_AT_ONCE, |room| users.tell_room(&user_id, room, &profile))
                    .await;
                // A change that came meanwhile may have been overtaken in some rooms: then once more.
                told = Some(names);
            }
        });
        telling.await.unwrap_or(Ok(()))
    }

    async fn names_and_rooms(&self, user: UserNo) -> Result<(Names, Vec<OwnedRoomId>), Error> {
        let rooms = self.0.rooms.clone();
        let read = self.0.store.read(move |read| {
            let joined = memberships::of_user_as(read, user, Membership::Join)?;
            let joined: Vec<RoomNo> = joined.iter().map(|row| row.room).collect();
            let ids = rooms.rooms_in(read, &joined)?.iter().map(|room| room.id.clone()).collect();
            Ok::<_, Error>((profiles::names(read, user)?, ids))
        });
        read.await
    }

    async fn tell_room(&self, user_id: &UserId, room: OwnedRoomId, profile: &MemberProfile) {
        // A room may not let its members change anything; the profile itself is changed all the same.
        if let Err(error) = self.0.rooms.update_profile(&room, user_id, profile).await {
            tracing::info!(%error, %room, %user_id, "a room was not told of a new profile");
        }
    }
}

#[cfg(test)]
mod tests;
