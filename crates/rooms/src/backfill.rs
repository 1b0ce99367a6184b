//! Filling the gaps of a room's history: what lies before an event and is not here is asked of other servers when somebody
//! pages to it.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events>

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use roost_matrix::{
    event::Pdu,
    ids::{EventId, OwnedEventId},
};
use roost_store::{missing_events, timeline};

use crate::{Error, Outcome, Peers, Room, Rooms};

/// What lies before a place of the history and is not here.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    /// The place of the event before which events are missing.
    pub(crate) idx: i64,
    /// That event, from which to look back.
    pub(crate) from: Vec<OwnedEventId>,
    missing: Vec<String>,
    tries: i64,
}

/// Events that are asked for at once.
const AT_ONCE: usize = 100;
/// How long nobody is asked again for what could not be had, and how long at most.
const PAUSE_MS: i64 = 60_000;
const LONGEST_PAUSE_MS: i64 = 24 * 60 * 60 * 1000;

impl Rooms {
    /// The nearest gap at or before a place that is worth an attempt now.
    pub(crate) async fn gap_at(&self, room: &Arc<Room>, idx: i64) -> Result<Option<Gap>, Error> {
        let (rooms, room, now) = (self.clone(), room.clone(), self.now());
        self.0
            .store
            .read(move |read| {
                let missing = missing_events::below(read, room.no, idx)?;
                let Some(idx) = missing.first().and_then(|missing| missing.idx) else { return Ok(None) };
                if missing.iter().any(|missing| missing.next_try > now) {
                    return Ok(None);
                }
                let nos: BTreeSet<_> = missing.iter().map(|missing| missing.cited_by).collect();
                let from = rooms.stored(read, &room, &nos.into_iter().collect::<Vec<_>>())?;
                Ok(Some(Gap {
                    idx,
                    from: from.iter().map(|stored| stored.pdu.event_id().to_owned()).collect(),
                    tries: missing.iter().map(|missing| missing.tries).max().unwrap_or(0),
                    missing: missing.into_iter().map(|missing| missing.event_id).collect(),
                }))
            })
            .await
    }

    /// Fills a gap, as far as other servers have what is missing, and answers how many events came.
    pub(crate) async fn fill(&self, room: &Arc<Room>, gap: &Gap, peers: &dyn Peers) -> Result<usize, Error> {
        let found = peers.backfill(room, &gap.from, AT_ONCE).await;
        let mut events: BTreeMap<OwnedEventId, Pdu> = BTreeMap::new();
        for pdu in found.into_iter().take(2 * AT_ONCE) {
            if pdu.room_id() == room.id {
                events.insert(pdu.event_id().to_owned(), pdu);
            }
        }
        // What does not lead up to the gap is not what was asked for.
        let wanted = connected(&events, &gap.missing);
        events.retain(|id, _| wanted.contains(id));
        let came = if events.is_empty() {
            0
        } else {
            let bundle = self.gather_history(room, gap, events, peers).await?;
            let outcomes = self.enqueue_received(room, Arc::new(bundle)).await?;
            outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(_))).count()
        };
        if came == 0 {
            let pause = PAUSE_MS.saturating_mul(1 << gap.tries.clamp(0, 16)).min(LONGEST_PAUSE_MS);
            let (no, missing, next) = (room.no, gap.missing.clone(), self.now().saturating_add(pause));
            self.0
                .store
                .write(move |tx| {
                    let ids: Vec<&str> = missing.iter().map(String::as_str).collect();
                    missing_events::tried(tx, no, &ids, next)
                })
                .await?;
        }
        metrics::counter!("roost_room_backfilled_events").increment(came as u64);
        Ok(came)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.0.world.now_ms()).unwrap_or(i64::MAX)
    }

    /// How many places are free before a gap.
    pub(crate) async fn room_before(&self, room: &Arc<Room>, idx: i64) -> Result<i64, Error> {
        let no = room.no;
        let last = self.0.store.read(move |read| timeline::last_below(read, no, idx)).await?;
        Ok(last.map_or(i64::MAX, |last| idx - last - 1))
    }
}

/// Those of the events that lead, along `prev_events`, to one of the missing ones.
fn connected(events: &BTreeMap<OwnedEventId, Pdu>, missing: &[String]) -> BTreeSet<OwnedEventId> {
    let mut wanted = BTreeSet::new();
    let mut open: Vec<OwnedEventId> = missing.iter().filter_map(|id| EventId::parse(id).ok()).collect();
    while let Some(id) = open.pop() {
        if let Some(pdu) = events.get(&id)
            && wanted.insert(id)
        {
            open.extend(pdu.prev_events().iter().cloned());
        }
    }
    wanted
}
