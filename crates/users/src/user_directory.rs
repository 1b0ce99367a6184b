//! The user directory: finding people by id or display name.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#user-directory>
//!
//! Only those are found whom the reader could meet anyway: who shares a room with them, or is in a room that anybody can
//! join or read.

use std::collections::{HashMap, HashSet};

use roost_matrix::ids::OwnedUserId;
use roost_rooms::Rooms;
use roost_store::{Read, RoomNo, UserNo, profiles, user_directory, users_no};
use serde_json::Value;

use crate::{Error, Users};

/// How many users that match are looked at, of each kind: who shares a room with the reader, who is in a published room,
/// everybody else.
const MAX_CANDIDATES: u32 = 500;

/// How many members of the reader's rooms, and of published rooms, are searched.
const MAX_MEMBERS: u64 = 50_000;

/// How many published rooms are looked into.
const MAX_PUBLISHED: u32 = 100;

/// The longest term, in bytes: longer than any user id or display name.
const MAX_TERM_BYTES: usize = 2048;

/// How many rooms are looked into to see whether they are public.
const MAX_ROOMS: usize = 1000;

/// A user who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who.
    pub user_id: OwnedUserId,
    /// Their display name.
    pub displayname: Option<String>,
    /// Their avatar.
    pub avatar_url: Option<String>,
}

impl Found {
    /// Where this belongs among the results: what is meant exactly, then what begins so, then what holds it.
    fn rank(&self, term: &str) -> (u8, bool) {
        let name = self.displayname.as_deref().unwrap_or_default().to_lowercase();
        let words = [self.user_id.as_str(), self.user_id.localpart(), &name];
        let rank = if words.contains(&term) {
            0
        } else if words.iter().any(|word| word.starts_with(term)) {
            1
        } else {
            2
        };
        (rank, self.displayname.is_none() && self.avatar_url.is_none())
    }
}

impl Users {
    /// The people whom `reader` may find by `term`, best first, and whether there are more than `limit`.
    pub async fn search(&self, reader: UserNo, term: &str, limit: usize) -> Result<(Vec<Found>, bool), Error> {
        let term = term.trim().to_lowercase();
        // Nothing that is searched is so long, and a database refuses to search for it.
        if term.is_empty() || term.len() > MAX_TERM_BYTES {
            return Ok((Vec::new(), false));
        }
        let rooms = self.0.rooms.clone();
        let read = self.0.store.read(move |read| {
            let visible = matching(&rooms, read, reader, &term)?;
            let mut names: HashMap<_, _> = profiles::names_of(read, &visible)?.into_iter().collect();
            let mut found: Vec<Found> = users_no::names(read, &visible)?
                .into_iter()
                .map(|(user, user_id)| {
                    let names = names.remove(&user).unwrap_or_default();
                    Found { user_id, displayname: names.displayname, avatar_url: names.avatar_url }
                })
                .collect();
            found.sort_by(|a, b| a.rank(&term).cmp(&b.rank(&term)).then_with(|| a.user_id.cmp(&b.user_id)));
            Ok::<_, Error>(found)
        });
        let mut found = read.await?;
        let limited = found.len() > limit;
        found.truncate(limit);
        Ok((found, limited))
    }
}

/// Whom the reader could meet of those who match. A common letter matches more people than can be looked at one by one, so
/// those are searched first who are near: who shares a room with the reader, the smaller rooms first, then who is in a public
/// room of the list.
fn matching(rooms: &Rooms, read: &Read<'_>, reader: UserNo, term: &str) -> Result<Vec<UserNo>, Error> {
    let own = few(user_directory::own_rooms(read, reader)?);
    let mut found: HashSet<UserNo> =
        user_directory::search_in(read, reader, &own, term, MAX_CANDIDATES)?.into_iter().collect();
    let mut public = Vec::new();
    for room in few(user_directory::published_rooms(read, MAX_PUBLISHED)?) {
        if is_public(rooms, read, room)? {
            public.push(room);
        }
    }
    found.extend(user_directory::search_in(read, reader, &public, term, MAX_CANDIDATES)?);
    let mut others = user_directory::search(read, reader, term, MAX_CANDIDATES)?;
    others.retain(|user| !found.contains(user));
    found.extend(visible(rooms, read, &others, reader)?);
    Ok(found.into_iter().collect())
}

/// The first of the rooms, as many as have not too many members together.
fn few(rooms: Vec<(RoomNo, u64)>) -> Vec<RoomNo> {
    let mut left = MAX_MEMBERS;
    let fits = |(_, members): &(RoomNo, u64)| match left.checked_sub(*members) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    rooms.into_iter().filter(fits).map(|(room, _)| room).collect()
}

/// Those of the candidates whom the reader could meet.
fn visible(rooms: &Rooms, read: &Read<'_>, candidates: &[UserNo], reader: UserNo) -> Result<Vec<UserNo>, Error> {
    let mut visible: HashSet<UserNo> = user_directory::sharing(read, candidates, reader)?.into_iter().collect();
    let others: Vec<UserNo> = candidates.iter().filter(|user| !visible.contains(user)).copied().collect();
    let mut public: HashMap<RoomNo, bool> = HashMap::new();
    for (user, room) in user_directory::rooms_of(read, &others)? {
        if visible.contains(&user) {
            continue;
        }
        let is_public = match public.get(&room) {
            Some(known) => *known,
            None if public.len() >= MAX_ROOMS => break,
            None => {
                let is_public = is_public(rooms, read, room)?;
                public.insert(room, is_public);
                is_public
            }
        };
        if is_public {
            visible.insert(user);
        }
    }
    Ok(visible.into_iter().collect())
}

/// Whether anybody can join the room, or read in it.
fn is_public(rooms: &Rooms, read: &Read<'_>, room: RoomNo) -> Result<bool, Error> {
    let Some(room) = rooms.rooms_in(read, &[room])?.pop() else { return Ok(false) };
    for (kind, key, wanted) in [
        ("m.room.join_rules", "join_rule", "public"),
        ("m.room.history_visibility", "history_visibility", "world_readable"),
    ] {
        let Some(stored) = rooms.current(read, &room, kind, "")? else { continue };
        let content: Value = serde_json::from_str(stored.pdu.content()).unwrap_or_default();
        if content.get(key).and_then(Value::as_str) == Some(wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}
