//! Account data, and tags, which are a kind of it.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#client-config>, <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>

use std::collections::BTreeMap;

use roost_matrix::ids::{OwnedRoomId, RoomId};
use roost_rooms::Rooms;
use roost_store::{Read, RoomNo, UserNo, account_data};
use serde_json::value::RawValue;

use crate::{Error, Users};

/// How many tags a user can put on one room.
pub const MAX_TAGS: usize = 100;

/// How many pieces of account data a user can have. Clients need dozens, and a few for each room.
const MAX_PIECES: u64 = 100_000;

/// How long one piece can be, and all of a user's together, in bytes: a first /sync holds them all at once.
pub(crate) const MAX_PIECE_BYTES: usize = 1 << 20;
const MAX_BYTES: u64 = 32 << 20;

/// Pieces of this length are held by their number alone.
const SMALL_BYTES: usize = 1 << 10;

/// The longest description of a tag, in bytes.
const MAX_TAG_BYTES: usize = 4 << 10;

/// The longest name of a type or tag, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The type of the account data that holds tags.
const TAG: &str = "m.tag";

/// Types that have endpoints of their own.
const SERVER_CONTROLLED: [&str; 2] = ["m.fully_read", "m.push_rules"];

/// JSON objects with their members as they were written.
type Members = BTreeMap<String, Box<RawValue>>;

/// The content of `m.tag`. Members that are not known are kept.
#[derive(Default)]
struct Tags {
    tags: Members,
    others: Members,
}

impl Tags {
    /// Content that a client has put there in another shape counts as having no tags.
    fn parse(content: &str) -> Self {
        let mut others: Members = serde_json::from_str(content).unwrap_or_default();
        let tags = others.remove("tags").and_then(|tags| serde_json::from_str(tags.get()).ok());
        Self { tags: tags.unwrap_or_default(), others }
    }

    fn load(read: &Read<'_>, user: UserNo, room: RoomNo) -> Result<(Self, Option<String>), roost_store::Error> {
        let content = account_data::get(read, user, Some(room), TAG)?;
        Ok((content.as_deref().map(Self::parse).unwrap_or_default(), content))
    }

    fn json(mut self) -> Result<String, Error> {
        // Texts as keys, and values that are JSON already: that can be written.
        let broken = |_| Error::Store(roost_store::Error::Inconsistent("tags can not be written as JSON"));
        self.others.insert("tags".to_owned(), serde_json::value::to_raw_value(&self.tags).map_err(broken)?);
        serde_json::to_string(&self.others).map_err(broken)
    }
}

/// The number of a room that is known here.
pub(crate) fn room_no(rooms: &Rooms, read: &Read<'_>, room_id: &RoomId) -> Result<RoomNo, Error> {
    match rooms.room_in(read, room_id) {
        Ok(room) => Ok(room.no),
        Err(roost_rooms::Error::UnknownRoom) => Err(Error::UnknownRoom),
        Err(error) => Err(error.into()),
    }
}

fn room_of(rooms: &Rooms, read: &Read<'_>, room_id: Option<&RoomId>) -> Result<Option<RoomNo>, Error> {
    room_id.map(|room_id| room_no(rooms, read, room_id)).transpose()
}

/// The type, when it is one of the server's.
fn server_controlled(kind: &str) -> Option<&'static str> {
    SERVER_CONTROLLED.into_iter().find(|controlled| *controlled == kind)
}

impl Users {
    /// The content of a piece of account data, global or of a room, as JSON.
    pub async fn account_data(
        &self,
        user: UserNo,
        room_id: Option<&RoomId>,
        kind: &str,
    ) -> Result<Option<String>, Error> {
        let (room_id, kind) = (room_id.map(ToOwned::to_owned), kind.to_owned());
        let rooms = self.0.rooms.clone();
        let read = self.0.store.read(move |read| match room_of(&rooms, read, room_id.as_deref()) {
            Ok(room) => Ok(account_data::get(read, user, room, &kind)?),
            // Nothing can have been kept for it.
            Err(Error::UnknownRoom) => Ok(None),
            Err(error) => Err(error),
        });
        read.await
    }

    /// Sets a piece of account data to a JSON object, on behalf of a client.
    pub async fn set_account_data(
        &self,
        user: UserNo,
        room_id: Option<&RoomId>,
        kind: &str,
        content: String,
    ) -> Result<(), Error> {
        if let Some(kind) = server_controlled(kind) {
            return Err(Error::ServerControlled(kind));
        }
        self.put_account_data(user, room_id, kind, content).await
    }

    /// Sets a piece of account data of any type: for the endpoints that stand before `m.push_rules` and its like.
    pub async fn put_account_data(
        &self,
        user: UserNo,
        room_id: Option<&RoomId>,
        kind: &str,
        content: String,
    ) -> Result<(), Error> {
        if kind.is_empty() || kind.len() > MAX_NAME_BYTES {
            return Err(Error::AccountDataType);
        }
        let (room_id, kind) = (room_id.map(ToOwned::to_owned), kind.to_owned());
        let rooms = self.0.rooms.clone();
        // Counted before the write, which has others waiting behind it: two at once may go a little beyond.
        self.check_room_for(user, room_id.clone(), kind.clone(), content.len()).await?;
        let write = self.0.store.write(move |tx| {
            let room = room_of(&rooms, tx, room_id.as_deref())?;
            Ok(account_data::set(tx, user, room, &kind, &content)?)
        });
        write.await
    }

    /// Refuses a piece that is too long, makes all of them together too long, or is one too many.
    async fn check_room_for(
        &self,
        user: UserNo,
        room_id: Option<OwnedRoomId>,
        kind: String,
        length: usize,
    ) -> Result<(), Error> {
        if length > MAX_PIECE_BYTES {
            return Err(Error::TooMuchAccountData);
        }
        let rooms = self.0.rooms.clone();
        let read = self.0.store.read(move |read| {
            let room = room_of(&rooms, read, room_id.as_deref())?;
            let before = account_data::get(read, user, room, &kind)?;
            if before.is_none() && account_data::count(read, user)? >= MAX_PIECES {
                return Err(Error::TooMuchAccountData);
            }
            if length <= SMALL_BYTES {
                return Ok(());
            }
            let before = before.map_or(0, |content| content.len());
            let grows = u64::try_from(length.saturating_sub(before)).unwrap_or(u64::MAX);
            // What does not grow may always be set: it is a way out.
            if grows > 0 && account_data::length(read, user)?.saturating_add(grows) > MAX_BYTES {
                return Err(Error::TooMuchAccountData);
            }
            Ok(())
        });
        read.await
    }

    /// The tags that a user has put on a room.
    pub async fn tags(&self, user: UserNo, room_id: &RoomId) -> Result<BTreeMap<String, Box<RawValue>>, Error> {
        let room_id = room_id.to_owned();
        let rooms = self.0.rooms.clone();
        let read = self.0.store.read(move |read| match room_no(&rooms, read, &room_id) {
            Ok(room) => Ok(Tags::load(read, user, room)?.0.tags),
            Err(Error::UnknownRoom) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        });
        read.await
    }

    /// Puts a tag on a room; `info` is a JSON object.
    pub async fn set_tag(&self, user: UserNo, room_id: &RoomId, tag: &str, info: Box<RawValue>) -> Result<(), Error> {
        if tag.is_empty() || tag.len() > MAX_NAME_BYTES {
            return Err(Error::TagName);
        }
        if info.get().len() > MAX_TAG_BYTES {
            return Err(Error::TooMuchAccountData);
        }
        let tag = tag.to_owned();
        let change = move |tags: &mut Members| {
            if tags.len() >= MAX_TAGS && !tags.contains_key(&tag) {
                return Err(Error::TooManyTags);
            }
            tags.insert(tag.clone(), info.clone());
            Ok(true)
        };
        self.change_tags(user, room_id, change).await
    }

    /// Takes a tag off a room, if it is there.
    pub async fn delete_tag(&self, user: UserNo, room_id: &RoomId, tag: &str) -> Result<(), Error> {
        let tag = tag.to_owned();
        match self.change_tags(user, room_id, move |tags| Ok(tags.remove(&tag).is_some())).await {
            Err(Error::UnknownRoom) => Ok(()),
            result => result,
        }
    }

    /// Changes a room's tags; `change` says whether it did.
    async fn change_tags(
        &self,
        user: UserNo,
        room_id: &RoomId,
        change: impl Fn(&mut Members) -> Result<bool, Error> + Clone + Send + 'static,
    ) -> Result<(), Error> {
        loop {
            let (rooms, room_id, change) = (self.0.rooms.clone(), room_id.to_owned(), change.clone());
            let write = self.0.store.write(move |tx| {
                let room = room_no(&rooms, tx, &room_id)?;
                let (mut content, before) = Tags::load(tx, user, room)?;
                if !change(&mut content.tags)? {
                    return Ok(true);
                }
                Ok::<_, Error>(account_data::swap(tx, user, Some(room), TAG, before.as_deref(), &content.json()?)?)
            });
            // Another node may have changed them in between; then on what it wrote.
            if write.await? {
                return Ok(());
            }
        }
    }
}
