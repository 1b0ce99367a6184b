//! What one needs to know of a room to list it: the summary of `/sync`, stripped state.

use std::sync::Arc;

use roost_matrix::{event::Pdu, ids::OwnedUserId};
use roost_store::{EventNo, Membership, Read, UserNo, memberships, rooms, state};

use crate::{Error, Room, Rooms};

/// `summary` of a joined room in `/sync`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Up to five members beside the reader.
    pub heroes: Vec<OwnedUserId>,
    /// `m.joined_member_count`.
    pub joined: u64,
    /// `m.invited_member_count`.
    pub invited: u64,
    /// Whether the room has a name or a canonical alias, so that it needs no heroes.
    pub is_named: bool,
}

const HEROES: usize = 5;

/// The parts of the state that an invitation or a knock shows.
/// <https://spec.matrix.org/v1.19/client-server-api/#stripped-state>
const STRIPPED: [&str; 7] = [
    "m.room.create",
    "m.room.join_rules",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.canonical_alias",
    "m.room.encryption",
];

impl Rooms {
    /// The summary of a room for one of its members, at the head. Reads a handful of members, however many there are.
    pub fn summary(&self, read: &Read<'_>, room: &Room, user: UserNo) -> Result<Summary, Error> {
        let row = rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?;
        let limit = i64::try_from(HEROES + 1).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for (together, kinds) in
            [(true, [Membership::Join, Membership::Invite]), (false, [Membership::Leave, Membership::Ban])]
        {
            if !together && !found.is_empty() {
                break;
            }
            for kind in kinds {
                found.extend(memberships::of_room_as(read, room.no, kind, limit)?);
            }
            found.retain(|member| member.user != user);
        }
        found.sort_by_key(|member| member.idx);
        found.truncate(HEROES);
        let events: Vec<EventNo> = found.iter().map(|member| member.event).collect();
        let heroes = self
            .stored(read, room, &events)?
            .iter()
            .filter_map(|stored| stored.pdu.state_key()?.try_into().ok())
            .collect();
        let named: Vec<_> = state::current_rooms(read, &[room.no], &["m.room.name", "m.room.canonical_alias"])?
            .into_iter()
            .map(|(_, no)| no)
            .collect();
        let mut is_named = false;
        for stored in self.stored(read, room, &named)? {
            let pdu = self.effective(read, &stored)?;
            let key = if pdu.kind() == "m.room.name" { "name" } else { "alias" };
            is_named |= text_of(&pdu, key).is_some_and(|text| !text.is_empty());
        }
        Ok(Summary {
            heroes,
            joined: u64::try_from(row.head.members.so_far().joined).unwrap_or(0),
            invited: u64::try_from(row.head.members.so_far().invited).unwrap_or(0),
            is_named,
        })
    }

    /// Stripped state for someone who was invited or knocks: what identifies the room, and their own member event last.
    pub fn stripped(&self, read: &Read<'_>, room: &Room, member: EventNo) -> Result<Vec<Vec<u8>>, Error> {
        let mut nos: Vec<_> =
            state::current_rooms(read, &[room.no], &STRIPPED)?.into_iter().map(|(_, no)| no).collect();
        nos.push(member);
        let stored = self.stored(read, room, &nos)?;
        let written = |pdu: &Pdu| {
            let mut json = Vec::with_capacity(256);
            pdu.write_stripped(&mut json);
            json
        };
        let mut stripped: Vec<_> = self.effective_all(read, &stored)?.iter().map(written).collect();
        // Who invited is of interest, too: their display name and avatar.
        if let Some(member) = stored.last()
            && member.pdu.state_key() != Some(member.pdu.sender().as_str())
            && let Some(sender) = self.current(read, room, "m.room.member", member.pdu.sender().as_str())?
        {
            stripped.insert(stripped.len() - 1, written(&self.effective(read, &sender)?));
        }
        Ok(stripped)
    }

    /// Some parts of the state with empty state keys, of many rooms, redactions applied: one list for each room asked for.
    pub(crate) fn described(
        &self,
        read: &Read<'_>,
        rooms: &[Arc<Room>],
        kinds: &[&str],
    ) -> Result<Vec<Vec<Pdu>>, Error> {
        let nos: Vec<_> = rooms.iter().map(|room| room.no).collect();
        let found = state::current_rooms(read, &nos, kinds)?;
        let mut all = Vec::with_capacity(rooms.len());
        for room in rooms {
            let nos: Vec<_> = found.iter().filter(|(no, _)| *no == room.no).map(|(_, event)| *event).collect();
            let stored = self.stored(read, room, &nos)?;
            all.push(self.effective_all(read, &stored)?);
        }
        Ok(all)
    }
}

/// A text in the content of an event; `None` when there is none, or something else.
pub(crate) fn text_of(pdu: &Pdu, key: &str) -> Option<String> {
    let content: serde_json::Map<String, serde_json::Value> = serde_json::from_str(pdu.content()).ok()?;
    content.get(key)?.as_str().map(str::to_owned)
}
