//! Room state as its readers ask for it. Everything that knows how the state of another moment is found stands here.

use std::{collections::HashMap, sync::Arc};

use roost_matrix::{
    event::ClientForm,
    ids::{RoomId, UserId},
};
use roost_store::{Read, RoomNo, UserNo, memberships, state};

use crate::{Error, Rendered, Room, Rooms, Sight, Stored, Vision, history::Asker, visibility};

impl Rooms {
    /// What a user may see of a room.
    pub fn vision(&self, read: &Read<'_>, room: &Room, user: &UserId, user_no: UserNo) -> Result<Vision, Error> {
        let forgotten = memberships::one(read, user_no, room.no)?.is_some_and(|row| row.forgotten);
        let all = [room.no];
        let remembered = if forgotten { &[][..] } else { &all[..] };
        Ok(visibility::visions(read, &all, remembered, user)?.remove(&room.no).unwrap_or_default())
    }

    /// What a user may see of rooms that they have not forgotten.
    pub fn visions(&self, read: &Read<'_>, rooms: &[RoomNo], user: &UserId) -> Result<HashMap<RoomNo, Vision>, Error> {
        let mut visions = HashMap::with_capacity(rooms.len());
        for piece in rooms.chunks(1000) {
            visions.extend(visibility::visions(read, piece, piece, user)?);
        }
        Ok(visions)
    }

    /// The whole state at the head.
    pub fn current_state(&self, read: &Read<'_>, room: &Room) -> Result<Vec<Arc<Stored>>, Error> {
        self.stored(read, room, &state::current_all(read, room.no)?)
    }

    /// The whole state at a boundary: as the events before it have made it.
    pub fn state_at(&self, read: &Read<'_>, room: &Room, boundary: i64) -> Result<Vec<Arc<Stored>>, Error> {
        self.stored(read, room, &state::all_at(read, room.no, boundary.saturating_sub(1))?)
    }

    /// The state at a boundary without member events, and with those of the named users.
    pub fn state_at_for(
        &self,
        read: &Read<'_>,
        room: &Room,
        boundary: i64,
        members: &[&str],
    ) -> Result<Vec<Arc<Stored>>, Error> {
        let idx = boundary.saturating_sub(1);
        let mut nos = state::all_at_except(read, room.no, "m.room.member", idx)?;
        if !members.is_empty() {
            nos.extend(state::keys_at(read, room.no, "m.room.member", members, idx)?.into_iter().map(|(_, no)| no));
        }
        self.stored(read, room, &nos)
    }

    /// What the state at boundary `to` has that the state at boundary `from` had not, in the order of history.
    pub fn state_delta(&self, read: &Read<'_>, room: &Room, from: i64, to: i64) -> Result<Vec<Arc<Stored>>, Error> {
        self.stored(read, room, &state::delta(read, room.no, from.saturating_sub(1), to.saturating_sub(1))?)
    }

    /// One key of the state at the head, redacted if it is.
    pub fn current(
        &self,
        read: &Read<'_>,
        room: &Room,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<Arc<Stored>>, Error> {
        let found = state::current_keys(read, room.no, kind, &[state_key])?;
        Ok(self.stored(read, room, &found.into_iter().map(|(_, no)| no).collect::<Vec<_>>())?.pop())
    }

    /// One key of the state as a user sees it.
    fn seen(
        &self,
        read: &Read<'_>,
        room: &Room,
        sight: Sight,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<Arc<Stored>>, Error> {
        match sight {
            Sight::Now => self.current(read, room, kind, state_key),
            Sight::At(idx) => {
                let no = state::one_at(read, room.no, kind, state_key, idx)?;
                Ok(self.stored(read, room, &no.into_iter().collect::<Vec<_>>())?.pop())
            }
            Sight::Nothing => Ok(None),
        }
    }

    /// `GET /rooms/{roomId}/state`: the state that the user may see, as of now or as of when they left.
    pub async fn state(&self, room: &RoomId, user: &UserId) -> Result<Vec<Rendered>, Error> {
        let (rooms, room, asker) = (self.clone(), room.to_owned(), self.asker(user, None).await?);
        self.0
            .store
            .read(move |read| {
                let (room, vision, sight) = rooms.sighted(read, &room, &asker)?;
                let stored = match sight {
                    Sight::At(idx) => rooms.state_at(read, &room, idx + 1)?,
                    Sight::Now | Sight::Nothing => rooms.current_state(read, &room)?,
                };
                rooms.render(read, &room, &asker.reader(), &vision, &stored, ClientForm::WithRoomId)
            })
            .await
    }

    /// `GET /rooms/{roomId}/state/{eventType}/{stateKey}`: one key of that state.
    pub async fn state_event(
        &self,
        room: &RoomId,
        user: &UserId,
        kind: &str,
        state_key: &str,
    ) -> Result<Rendered, Error> {
        let (rooms, room, asker) = (self.clone(), room.to_owned(), self.asker(user, None).await?);
        let (kind, state_key) = (kind.to_owned(), state_key.to_owned());
        self.0
            .store
            .read(move |read| {
                let (room, vision, sight) = rooms.sighted(read, &room, &asker)?;
                let stored = rooms.seen(read, &room, sight, &kind, &state_key)?.ok_or(Error::NotFound("State"))?;
                let mut rendered =
                    rooms.render(read, &room, &asker.reader(), &vision, &[stored], ClientForm::WithRoomId)?;
                rendered.pop().ok_or(Error::NotFound("State"))
            })
            .await
    }

    /// The content of one key of that state.
    pub async fn state_content(
        &self,
        room: &RoomId,
        user: &UserId,
        kind: &str,
        state_key: &str,
    ) -> Result<String, Error> {
        let (rooms, room, asker) = (self.clone(), room.to_owned(), self.asker(user, None).await?);
        let (kind, state_key) = (kind.to_owned(), state_key.to_owned());
        self.0
            .store
            .read(move |read| {
                let (room, _, sight) = rooms.sighted(read, &room, &asker)?;
                let stored = rooms.seen(read, &room, sight, &kind, &state_key)?.ok_or(Error::NotFound("State"))?;
                Ok(rooms.effective(read, &stored)?.content().to_owned())
            })
            .await
    }

    pub(crate) fn sighted(
        &self,
        read: &Read<'_>,
        room: &RoomId,
        asker: &Asker,
    ) -> Result<(Arc<Room>, Vision, Sight), Error> {
        // Who asks about a room that does not exist learns no more than who asks about one that is closed to them.
        let room = self.room_in(read, room).map_err(|error| match error {
            Error::UnknownRoom => Error::forbidden("You are not in this room and never were"),
            other => other,
        })?;
        let vision = self.vision(read, &room, &asker.user, asker.user_no)?;
        match vision.sight() {
            Sight::Nothing => Err(Error::forbidden("You are not in this room and never were")),
            sight => Ok((room, vision, sight)),
        }
    }
}
