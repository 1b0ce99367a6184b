//! Events as they are stored, and the cache of them. What an event says never changes, so the cache is never wrong about it;
//! redactions are not part of it, and when what one hides is erased, the cache drops the event. Where an event stands changes when an
//! outlier becomes part of the graph, or what is before it is purged: who needs to know that reads the row.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use quick_cache::{Weighter, sync::Cache};
use roost_matrix::{event::Pdu, ids::EventId, room_version::Rules};
use roost_store::{
    EventNo, Read, RoomNo,
    events::{self, Place, Standing},
};

use crate::{Error, Room, Rooms};

/// The place of events that have none in the history: outliers, rejected and soft-failed events.
pub const OUTSIDE: i64 = i64::MIN;

/// An event with its place in the room's history.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its number.
    pub no: EventNo,
    /// Its room.
    pub room: RoomNo,
    /// Its place in the history, or [`OUTSIDE`].
    pub idx: i64,
    /// How it stands to the room's graph.
    pub standing: Standing,
    /// The state event that it replaced.
    pub replaces: Option<EventNo>,
    /// How it was sent, if with a transaction id.
    pub sent: Option<Sent>,
    /// The event, as it was accepted.
    pub pdu: Pdu,
}

/// How an event was sent by a user of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// From which device.
    pub device: Box<str>,
    /// With which transaction id.
    pub txn_id: Box<str>,
}

impl Stored {
    /// Whether this is where the event stands, which changes once when an outlier becomes part of the graph.
    fn is_at(&self, place: &Place) -> bool {
        self.standing == place.standing && self.idx == place.idx.unwrap_or(OUTSIDE)
    }

    pub(crate) fn from_row(row: events::EventRow, rules: &'static Rules) -> Result<Self, Error> {
        let damaged = |what: &str| Error::Damaged(format!("event {}: {what}", row.event_id));
        let event_id = EventId::parse(&row.event_id).map_err(|_| damaged("its id"))?;
        let pdu = Pdu::from_stored(row.json, event_id, rules).map_err(|error| damaged(&error.to_string()))?;
        let sent = row.device.zip(row.txn_id).map(|(device, txn_id)| Sent { device, txn_id });
        Ok(Self {
            no: row.event,
            room: row.room,
            idx: row.place.idx.unwrap_or(OUTSIDE),
            standing: row.place.standing,
            replaces: row.place.replaces,
            sent,
            pdu,
        })
    }
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<EventNo, Arc<Stored>> for ByBytes {
    fn weight(&self, _: &EventNo, stored: &Arc<Stored>) -> u64 {
        // What the spans, the ids and the bookkeeping take beside the bytes, measured roughly.
        stored.pdu.json().len() as u64 + 512
    }
}

/// Events that were read or written lately, by number, within a budget of bytes.
#[derive(Debug)]
pub(crate) struct EventCache {
    cache: Cache<EventNo, Arc<Stored>, ByBytes>,
    erased: Mutex<Erased>,
}

/// What was erased lately: a reader may still have a snapshot in which it was not.
#[derive(Debug, Default)]
struct Erased {
    order: VecDeque<EventNo>,
    nos: HashSet<EventNo>,
}

/// How many erased events are remembered: more than are erased while a read closure runs.
const ERASED: usize = 10_000;

impl EventCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / 1024).unwrap_or(usize::MAX);
        Self { cache: Cache::with_weighter(items, bytes, ByBytes), erased: Mutex::default() }
    }

    fn get(&self, no: EventNo) -> Option<Arc<Stored>> {
        self.cache.get(&no)
    }

    pub(crate) fn put(&self, stored: Arc<Stored>) {
        let erased = self.erased.lock().unwrap_or_else(PoisonError::into_inner);
        if erased.nos.contains(&stored.no) && stored.pdu.redacted().json() != stored.pdu.json() {
            return;
        }
        // Under the lock, so that nothing is erased in between.
        self.cache.insert(stored.no, stored);
    }

    /// The event's bytes were erased: those from before are neither here nor taken in any more.
    pub(crate) fn erased(&self, no: EventNo) {
        let mut erased = self.erased.lock().unwrap_or_else(PoisonError::into_inner);
        self.cache.remove(&no);
        if erased.nos.insert(no) {
            erased.order.push_back(no);
        }
        while erased.order.len() > ERASED {
            if let Some(oldest) = erased.order.pop_front() {
                erased.nos.remove(&oldest);
            }
        }
    }

    pub(crate) fn forget_room(&self, room: RoomNo) {
        self.cache.retain(|_, stored| stored.room != room);
    }

    pub(crate) fn clear(&self) {
        self.cache.clear();
    }
}

impl Rooms {
    /// Events of one room by number. Numbers that do not exist are left out.
    pub fn stored_map(
        &self,
        read: &Read<'_>,
        room: &Room,
        nos: &[EventNo],
    ) -> Result<HashMap<EventNo, Arc<Stored>>, Error> {
        let mut found = HashMap::with_capacity(nos.len());
        let mut missing = Vec::new();
        for no in nos {
            match self.0.events.get(*no) {
                Some(stored) => drop(found.insert(*no, stored)),
                None => missing.push(*no),
            }
        }
        // A set of every member of a large room is read in pieces, so that no statement is too large.
        for piece in missing.chunks(1000) {
            for row in events::many(read, piece)? {
                let stored = Arc::new(Stored::from_row(row, room.rules)?);
                self.0.events.put(stored.clone());
                found.insert(stored.no, stored);
            }
        }
        Ok(found)
    }

    /// Events of one room by number, in the order asked for.
    pub fn stored(&self, read: &Read<'_>, room: &Room, nos: &[EventNo]) -> Result<Vec<Arc<Stored>>, Error> {
        let mut found = self.stored_map(read, room, nos)?;
        Ok(nos.iter().filter_map(|no| found.remove(no)).collect())
    }

    /// One event of a room by its id, whoever may see it.
    pub fn stored_by_id(&self, read: &Read<'_>, room: &Room, event_id: &EventId) -> Result<Option<Arc<Stored>>, Error> {
        let Some(row) = events::by_id(read, event_id.as_str())? else { return Ok(None) };
        if row.room != room.no {
            return Ok(None);
        }
        if let Some(stored) = self.0.events.get(row.event)
            && stored.is_at(&row.place)
        {
            return Ok(Some(stored));
        }
        let stored = Arc::new(Stored::from_row(row, room.rules)?);
        self.0.events.put(stored.clone());
        Ok(Some(stored))
    }
}
