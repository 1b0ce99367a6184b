//! Receipts and read markers: how far a user has read.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#receipts>, <https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers>

use std::time::Duration;

use roost_matrix::ids::{EventId, OwnedEventId, RoomId, UserId};
use roost_rooms::Rooms;
use roost_store::{
    Membership, Read, RoomNo, UserNo, account_data, events, memberships,
    receipts::{self, NewReceipt},
};
use serde::Deserialize;

use crate::{Error, Users, account_data::room_no, typing};

/// The thread of what is in no thread.
const MAIN: &str = "main";

/// The longest name of a thread, in bytes: an event id's.
const MAX_THREAD_BYTES: usize = 255;

/// How many relations are followed from an event towards a thread.
const MAX_HOPS: usize = 3;

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptKind {
    /// `m.read`: everybody in the room may know.
    Public,
    /// `m.read.private`: only the user's own devices.
    Private,
    /// `m.fully_read`: everything up to here is done with.
    FullyRead,
}

impl ReceiptKind {
    /// From the specification's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "m.read" => Some(Self::Public),
            "m.read.private" => Some(Self::Private),
            "m.fully_read" => Some(Self::FullyRead),
            _ => None,
        }
    }
}

/// Where a user's markers in a room move to.
#[derive(Clone, Debug, Default)]
pub struct Markers {
    /// `m.fully_read`
    pub fully_read: Option<OwnedEventId>,
    /// `m.read`
    pub read: Option<OwnedEventId>,
    /// `m.read.private`
    pub read_private: Option<OwnedEventId>,
    /// The thread that the receipts are for: `main` or the event id of its root; `None` for the whole room.
    pub thread: Option<String>,
}

impl Markers {
    /// One receipt.
    pub fn one(kind: ReceiptKind, event_id: OwnedEventId, thread: Option<String>) -> Result<Self, Error> {
        if thread.as_deref() == Some("") {
            return Err(Error::Thread("thread_id must not be empty"));
        }
        // It is kept as a key. What an event says it relates to may be as long as the event.
        if thread.as_ref().is_some_and(|thread| thread.len() > MAX_THREAD_BYTES) {
            return Err(Error::Thread("thread_id has at most 255 bytes"));
        }
        let mut markers = Self { thread, ..Self::default() };
        match kind {
            ReceiptKind::Public => markers.read = Some(event_id),
            ReceiptKind::Private => markers.read_private = Some(event_id),
            ReceiptKind::FullyRead if markers.thread.is_some() => {
                return Err(Error::Thread("m.fully_read knows no threads"));
            }
            ReceiptKind::FullyRead => markers.fully_read = Some(event_id),
        }
        Ok(markers)
    }
}

/// The part of an event that says what it relates to.
#[derive(Deserialize)]
struct Related {
    content: RelatedContent,
}

#[derive(Deserialize)]
struct RelatedContent {
    #[serde(rename = "m.relates_to")]
    relates_to: Option<Relation>,
}

#[derive(Clone, Deserialize)]
struct Relation {
    rel_type: Option<String>,
    event_id: Option<String>,
}

/// What an event of the room relates to.
fn relation(read: &Read<'_>, room: RoomNo, event_id: &str) -> Result<Option<Relation>, Error> {
    let Some(event) = events::by_id(read, event_id)? else { return Ok(None) };
    if event.room != room {
        return Ok(None);
    }
    // A relation of another shape is none.
    let related: Option<Related> = serde_json::from_slice(&event.json).ok();
    Ok(related.and_then(|related| related.content.relates_to))
}

/// The thread that an event is in, and the events between it and the thread.
fn thread_of(read: &Read<'_>, room: RoomNo, event_id: &str) -> Result<(Option<String>, Vec<String>), Error> {
    let mut passed = vec![event_id.to_owned()];
    for _ in 0..MAX_HOPS {
        let Some(last) = passed.last() else { break };
        match relation(read, room, last)? {
            Some(Relation { rel_type: Some(kind), event_id: Some(thread) }) if kind == "m.thread" => {
                return Ok((Some(thread), passed));
            }
            Some(Relation { event_id: Some(parent), .. }) if !passed.contains(&parent) => passed.push(parent),
            _ => break,
        }
    }
    Ok((None, passed))
}

/// Refuses a thread that has nothing to do with the event. A root counts as part of its own thread, and so does what
/// relates to the root otherwise, although both are in the main timeline.
fn check_thread(read: &Read<'_>, room: RoomNo, event_id: &EventId, thread: &str) -> Result<(), Error> {
    let (found, passed) = thread_of(read, room, event_id.as_str())?;
    let related = match found {
        Some(found) => found == thread,
        None => thread == MAIN || passed.iter().any(|event_id| event_id == thread),
    };
    if related { Ok(()) } else { Err(Error::Thread("the event has nothing to do with that thread")) }
}

fn check_event(read: &Read<'_>, room: RoomNo, event_id: &EventId) -> Result<(), Error> {
    match events::by_id(read, event_id.as_str())? {
        Some(event) if event.room == room => Ok(()),
        _ => Err(Error::UnknownEvent),
    }
}

/// A room that the user is joined to. Whether there are others is not theirs to know.
fn joined_room(rooms: &Rooms, read: &Read<'_>, user: UserNo, room_id: &RoomId) -> Result<RoomNo, Error> {
    let room = match room_no(rooms, read, room_id) {
        Err(Error::UnknownRoom) => return Err(Error::NotJoined),
        room => room?,
    };
    match memberships::one(read, user, room)? {
        Some(row) if row.membership == Membership::Join => Ok(room),
        _ => Err(Error::NotJoined),
    }
}

impl Users {
    /// Moves a user's markers in a room. Where they were before does not matter: the latest wins.
    pub async fn set_markers(&self, user: UserNo, room_id: &RoomId, markers: Markers) -> Result<(), Error> {
        let (room_id, wanted) = (room_id.to_owned(), markers.clone());
        // Checked on a snapshot: events do not vanish, and membership may change a moment later as well.
        let rooms = self.0.rooms.clone();
        let read = self.0.store.read(move |read| {
            let room = joined_room(&rooms, read, user, &room_id)?;
            for event_id in [&wanted.fully_read, &wanted.read, &wanted.read_private].into_iter().flatten() {
                check_event(read, room, event_id)?;
            }
            for event_id in [&wanted.read, &wanted.read_private].into_iter().flatten() {
                if let Some(thread) = &wanted.thread {
                    check_thread(read, room, event_id, thread)?;
                }
            }
            Ok::<_, Error>(room)
        });
        let room = read.await?;
        let now = self.0.world.now_ms();
        let write = self.0.store.write(move |tx| {
            if let Some(event_id) = &markers.fully_read {
                let content = serde_json::json!({ "event_id": event_id }).to_string();
                account_data::set(tx, user, Some(room), "m.fully_read", &content)?;
            }
            for (private, event_id) in [(false, &markers.read), (true, &markers.read_private)] {
                if let Some(event_id) = event_id {
                    let thread = markers.thread.as_deref();
                    receipts::set(tx, &NewReceipt { room, user, private, thread, event_id: event_id.as_str() }, now);
                }
            }
            Ok::<_, Error>(())
        });
        write.await
    }

    /// The user types in the room for `timeout` from now (at most [`MAX_TYPING_TIMEOUT`](crate::MAX_TYPING_TIMEOUT)), or
    /// no longer (`None`).
    pub async fn set_typing(
        &self,
        user: UserNo,
        user_id: &UserId,
        room_id: &RoomId,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        let room_id = room_id.to_owned();
        let rooms = self.0.rooms.clone();
        let read = self.0.store.read(move |read| {
            let room = joined_room(&rooms, read, user, &room_id)?;
            Ok::<_, Error>(room)
        });
        let room = read.await?;
        self.typing().set(room, user_id, timeout.map(|timeout| timeout.min(typing::MAX_TIMEOUT)));
        Ok(())
    }
}
