//! The published room directory.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>

use std::sync::Arc;

use roost_matrix::{
    auth::power::PowerLevels,
    event::Pdu,
    ids::{RoomId, UserId},
};
use roost_store::{Membership, Read, RoomNo, memberships, rooms};
use serde::Serialize;
use serde_json::Value;

use crate::{Error, HistoryVisibility, Room, Rooms, summary::text_of};

/// A page of the directory that is wanted.
#[derive(Clone, Debug, Default)]
pub struct DirectoryQuery {
    /// How many rooms at most.
    pub limit: usize,
    /// The `next_batch` or `prev_batch` of another page.
    pub since: Option<String>,
    /// Text that must be in the name, the topic or the canonical alias.
    pub search: Option<String>,
    /// Room types wanted, `None` for rooms without one; no list for all.
    pub room_types: Option<Vec<Option<String>>>,
}

/// A page of the directory.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DirectoryPage {
    /// The rooms, largest first.
    pub chunk: Vec<PublicRoom>,
    /// For the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
    /// For the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
    /// How many rooms there are in all.
    pub total_room_count_estimate: u64,
}

/// A room as it is shown to those who are not in it: `PublishedRoomsChunk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicRoom {
    /// Its id.
    pub room_id: String,
    /// Its canonical alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its avatar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// How many are in it.
    pub num_joined_members: u64,
    /// Whether it may be read without joining.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// Its join rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<String>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
}

const KINDS: [&str; 8] = [
    "m.room.create",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
];

/// How many published rooms one search looks at before it lets the client ask again.
const MAX_LOOK: usize = 2000;

/// A place in the directory, which is ordered by size.
#[derive(Clone, Copy, Debug)]
struct Place {
    forwards: bool,
    joined: i64,
    room: RoomNo,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (forwards, rest) = match text.split_at_checked(1)? {
            ("n", rest) => (true, rest),
            ("p", rest) => (false, rest),
            _ => return None,
        };
        let (joined, room) = rest.split_once('_')?;
        Some(Self { forwards, joined: joined.parse().ok()?, room: RoomNo(room.parse().ok()?) })
    }

    fn token(self) -> String {
        format!("{}{}_{}", if self.forwards { 'n' } else { 'p' }, self.joined, self.room)
    }
}

impl Rooms {
    /// A page of the directory.
    pub async fn directory(&self, query: DirectoryQuery) -> Result<DirectoryPage, Error> {
        let rooms = self.clone();
        let query = DirectoryQuery { search: query.search.map(|search| search.to_lowercase()), ..query };
        let place = match &query.since {
            Some(since) => {
                Some(Place::parse(since).ok_or_else(|| Error::InvalidParam("`since` is not a token".to_owned()))?)
            }
            None => None,
        };
        self.0.store.read(move |read| rooms.directory_in(read, &query, place)).await
    }

    fn directory_in(
        &self,
        read: &Read<'_>,
        query: &DirectoryQuery,
        since: Option<Place>,
    ) -> Result<DirectoryPage, Error> {
        let mut place = since.unwrap_or(Place { forwards: true, joined: i64::MAX, room: RoomNo(i64::MAX) });
        let forwards = place.forwards;
        let mut found: Vec<(Place, PublicRoom)> = Vec::new();
        let (mut looked_at, mut more) = (0, false);
        'pages: loop {
            let page = (query.limit + 1).min(200);
            let limit = i64::try_from(page).unwrap_or(i64::MAX);
            let rows = if forwards {
                rooms::published_from(read, place.joined, place.room, limit)?
            } else {
                rooms::published_before(read, place.joined, place.room, limit)?
            };
            let mut known = Vec::with_capacity(rows.len());
            for row in &rows {
                known.push(self.remember(row)?);
            }
            for ((row, room), state) in rows.iter().zip(&known).zip(self.described(read, &known, &KINDS)?) {
                let public = public_room(room, row.head.members.so_far().joined, &state);
                if !query.wants(&public) {
                    place = Place { forwards, joined: row.head.members.so_far().joined, room: row.room };
                    continue;
                }
                if found.len() == query.limit {
                    more = true;
                    break 'pages;
                }
                place = Place { forwards, joined: row.head.members.so_far().joined, room: row.room };
                found.push((place, public));
            }
            looked_at += rows.len();
            if rows.len() < page {
                break;
            }
            if looked_at >= MAX_LOOK {
                more = true;
                break;
            }
        }
        let (mut next, mut prev) = (more.then_some(place), since.and(found.first()).map(|(first, _)| *first));
        if !forwards {
            found.reverse();
            (next, prev) = (prev, next);
        }
        Ok(DirectoryPage {
            chunk: found.into_iter().map(|(_, room)| room).collect(),
            next_batch: next.map(|place| Place { forwards: true, ..place }.token()),
            prev_batch: prev.map(|place| Place { forwards: false, ..place }.token()),
            total_room_count_estimate: u64::try_from(rooms::published_count(read)?).unwrap_or(0),
        })
    }

    /// Whether the directory shows a room.
    pub async fn is_published(&self, room: &RoomId) -> Result<bool, Error> {
        let room = room.to_string();
        self.0.store.read(move |read| Ok(rooms::by_id(read, &room)?.ok_or(Error::UnknownRoom)?.published)).await
    }

    /// Shows a room in the directory or hides it, for members who may set its canonical alias.
    pub async fn publish(&self, room: &RoomId, user: &UserId, published: bool) -> Result<(), Error> {
        let room = self.room(room).await?;
        let (rooms, no, user) = (self.clone(), self.0.store.user_no(user).await?, user.to_owned());
        self.0
            .store
            .write(move |tx| {
                let joined = memberships::one(tx, no, room.no)?.is_some_and(|row| row.membership == Membership::Join);
                let view = |kind: &str, state_key: &str| {
                    rooms.current(tx, &room, kind, state_key).ok().flatten().map(|stored| stored.pdu.clone())
                };
                let power = PowerLevels::of(&view);
                if !joined || power.for_user(&user) < power.for_event("m.room.canonical_alias", true) {
                    return Err(Error::forbidden("Only members who may set the room's aliases may publish it"));
                }
                Ok(rooms::publish(tx, room.no, published)?)
            })
            .await
    }

    pub(crate) fn is_world_readable(&self, read: &Read<'_>, room: &Room) -> Result<bool, Error> {
        Ok(match self.current(read, room, "m.room.history_visibility", "")? {
            Some(stored) => is_world_readable(&stored.pdu),
            None => false,
        })
    }

    /// A room as it is shown to those who are not in it.
    pub fn public_room(&self, read: &Read<'_>, room: &Arc<Room>) -> Result<PublicRoom, Error> {
        let row = rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?;
        let state = self.described(read, std::slice::from_ref(room), &KINDS)?.pop().unwrap_or_default();
        Ok(public_room(room, row.head.members.so_far().joined, &state))
    }
}

/// A room as `/room_summary` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct RoomSummary {
    /// What everybody is shown.
    #[serde(flatten)]
    pub room: PublicRoom,
    /// The version.
    pub room_version: &'static str,
    /// The algorithm of `m.room.encryption`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Rooms whose members may join, where the join rule says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_room_ids: Vec<String>,
    /// What the asker is to the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<&'static str>,
}

impl Rooms {
    /// `/room_summary`: for those who are in the room or invited, and for all who could join it, knock on it or read it.
    pub async fn room_summary(&self, room: &RoomId, user: &UserId) -> Result<RoomSummary, Error> {
        let (rooms, room, no) = (self.clone(), room.to_owned(), self.0.store.user_no(user).await?);
        self.0
            .store
            .read(move |read| {
                let room = rooms.room_in(read, &room)?;
                let membership = memberships::one(read, no, room.no)?.map(|row| row.membership);
                let public = rooms.public_room(read, &room)?;
                let rules = rooms.current(read, &room, "m.room.join_rules", "")?;
                let allowed_room_ids: Vec<String> = rules
                    .and_then(|stored| serde_json::from_str::<Value>(stored.pdu.content()).ok())
                    .filter(|_| matches!(public.join_rule.as_deref(), Some("restricted" | "knock_restricted")))
                    .and_then(|content| content.get("allow")?.as_array().cloned())
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|allow| allow.get("room_id")?.as_str().map(str::to_owned))
                    .collect();
                let is_inside = matches!(membership, Some(Membership::Join | Membership::Invite | Membership::Knock));
                let is_open = matches!(public.join_rule.as_deref(), Some("public" | "knock" | "knock_restricted"));
                if !is_inside && !is_open && !public.world_readable {
                    let mut nos = Vec::new();
                    for id in allowed_room_ids.iter().take(200) {
                        if let Ok(id) = RoomId::parse(id)
                            && let Ok(allowed) = rooms.room_in(read, &id)
                        {
                            nos.push(allowed.no);
                        }
                    }
                    if nos.is_empty() || memberships::joined_in(read, no, &nos)?.is_empty() {
                        // Who could not get in is not told that there is such a room.
                        return Err(Error::UnknownRoom);
                    }
                }
                let encryption = match rooms.current(read, &room, "m.room.encryption", "")? {
                    Some(stored) => text_of(&stored.pdu, "algorithm"),
                    None => None,
                };
                Ok(RoomSummary {
                    room: public,
                    room_version: room.rules.version.as_str(),
                    encryption,
                    allowed_room_ids,
                    membership: membership.map(Membership::as_str),
                })
            })
            .await
    }
}

impl DirectoryQuery {
    fn wants(&self, room: &PublicRoom) -> bool {
        let is_found = self.search.as_ref().is_none_or(|search| {
            [&room.name, &room.topic, &room.canonical_alias]
                .into_iter()
                .flatten()
                .any(|text| text.to_lowercase().contains(search))
        });
        is_found && self.room_types.as_ref().is_none_or(|types| types.contains(&room.room_type))
    }
}

fn is_world_readable(pdu: &Pdu) -> bool {
    HistoryVisibility::of(text_of(pdu, "history_visibility").as_deref()) == HistoryVisibility::WorldReadable
}

fn public_room(room: &Room, joined: i64, state: &[Pdu]) -> PublicRoom {
    let event = |kind: &str| state.iter().find(|pdu| pdu.kind() == kind);
    let text = |kind: &str, key: &str| event(kind).and_then(|pdu| text_of(pdu, key)).filter(|text| !text.is_empty());
    PublicRoom {
        room_id: room.id.to_string(),
        canonical_alias: text("m.room.canonical_alias", "alias"),
        name: text("m.room.name", "name"),
        topic: event("m.room.topic").and_then(plain_topic),
        avatar_url: text("m.room.avatar", "url"),
        num_joined_members: u64::try_from(joined).unwrap_or(0),
        world_readable: event("m.room.history_visibility").is_some_and(is_world_readable),
        guest_can_join: text("m.room.guest_access", "guest_access").as_deref() == Some("can_join"),
        join_rule: text("m.room.join_rules", "join_rule"),
        room_type: text("m.room.create", "type"),
    }
}

/// The topic as plain text: the `text/plain` representation of `m.topic`, or `topic`.
fn plain_topic(pdu: &Pdu) -> Option<String> {
    let content: Value = serde_json::from_str(pdu.content()).ok()?;
    let plain = content.pointer("/m.topic/m.text").and_then(Value::as_array).and_then(|texts| {
        texts
            .iter()
            .find(|text| text.get("mimetype").is_none_or(|kind| kind.as_str() == Some("text/plain")))?
            .get("body")?
            .as_str()
    });
    plain.or_else(|| content.get("topic")?.as_str()).filter(|topic| !topic.is_empty()).map(str::to_owned)
}
