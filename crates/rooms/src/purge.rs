//! Purging history: the events before a place go, and the room goes on as it is.
//!
//! What stays: the tips of the graph; and of the state events those that somebody may still need, as outliers, namely what the
//! snapshots around the kept events name, what the line of current states from there on names, and what these and the kept events
//! cite. Of the changes of the current state before the place the last of each key stays, where it was, so that the state at every kept
//! place is what it was, and of each user the last joining.
//!
//! Kept events that followed purged ones follow something that is not here, as after a gap. It is fetched again only when somebody sends
//! events that build on it: paging back does not ask other servers, or what was purged would come back.
//!
//! It is done in pieces, oldest first, each of which leaves a sound room: at first all purged state events become outliers, and
//! in the end those go that nobody needs. An interruption leaves a few too many.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use roost_matrix::ids::{EventId, OwnedEventId};
use roost_store::{
    EventNo, Read, RoomNo, SnapshotNo,
    events::{self, EventRow},
    purge::{self, Piece},
    rooms,
    state_map::{Live, Reclaimer},
};

use crate::{Error, Room, Rooms, Stored};

/// What a purge has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Events that lost their place or their part in the graph.
    pub events: usize,
    /// Those of them, and older ones, that are kept since somebody may need them.
    pub kept: usize,
}

/// Events that are worked out at once, which bounds the memory.
const AT_ONCE: i64 = 20_000;
/// Events that one write changes.
const BATCH: usize = 250;
/// Events that are read at once.
const PAGE: usize = 1000;
/// How often others may move the head in a row before a purge gives up.
const TRIES: usize = 100;

/// An event that goes.
struct Going {
    no: EventNo,
    id: OwnedEventId,
    place: Option<i64>,
    /// Whether it may be needed later on.
    is_needed: bool,
}

/// Edges to events that go, as of one revision of the room.
struct Edges {
    revision: i64,
    /// The events of the graph that were looked at.
    known: HashSet<EventNo>,
    /// By what is followed: who follows it.
    citing: HashMap<OwnedEventId, Vec<(EventNo, Option<i64>)>>,
    /// Events that are no state events and are cited in `auth_events` all the same.
    cited: HashSet<OwnedEventId>,
}

impl Rooms {
    /// Purges the history of a room before a place, but never its last event. Rooms of which members are missing are refused.
    pub async fn purge_history(&self, room: &Arc<Room>, before: i64) -> Result<Purged, Error> {
        let mut done = Purged::default();
        loop {
            let going = self.going(room, before).await?;
            if going.is_empty() {
                break;
            }
            done.events += going.len();
            self.purge_some(room, going).await?;
        }
        self.prune(room.no, before).await?;
        done.kept = self.forget_outliers(room).await?;
        self.forget_room(room.no);
        metrics::counter!("roost_room_purged_events_total").increment(done.events as u64);
        Ok(done)
    }

    /// The next events that go.
    async fn going(&self, room: &Arc<Room>, before: i64) -> Result<Vec<Going>, Error> {
        let (no, rules) = (room.no, room.rules);
        let nos = self
            .0
            .store
            .read(move |read| {
                let row = rooms::by_no(read, no)?.ok_or(Error::UnknownRoom)?;
                if row.head.partial {
                    return Err(Error::BadState("Members are still missing from the state of this room".to_owned()));
                }
                let before = before.min(row.head.idx);
                let limit = AT_ONCE.saturating_add(i64::try_from(row.head.tips.len()).unwrap_or(0));
                let mut nos: Vec<_> = purge::placed(read, no, before, limit)?.into_iter().map(|(no, _)| no).collect();
                nos.retain(|no| !row.head.tips.contains(no));
                nos.extend(purge::aside(read, no, before, AT_ONCE)?);
                Ok(nos)
            })
            .await?;
        let mut going = Vec::with_capacity(nos.len());
        self.look_at(nos, |row| {
            let (no, place) = (row.event, row.place.idx);
            let pdu = Stored::from_row(row, rules)?.pdu;
            going.push(Going { no, id: pdu.event_id().to_owned(), place, is_needed: pdu.state_key().is_some() });
            Ok(())
        })
        .await?;
        going.sort_unstable_by_key(|event| (event.place.unwrap_or(i64::MIN), event.no));
        Ok(going)
    }

    /// Shows events as they are stored, a page in each snapshot of the database.
    async fn look_at(
        &self,
        nos: Vec<EventNo>,
        mut each: impl FnMut(EventRow) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for page in nos.chunks(PAGE) {
            let page = page.to_vec();
            for row in self.0.store.read(move |read| events::many(read, &page)).await? {
                each(row)?;
            }
        }
        Ok(())
    }

    /// The events of the graph that were not looked at yet, and the revision.
    async fn graph_beyond(
        &self,
        room: RoomNo,
        known: HashSet<EventNo>,
    ) -> Result<(i64, HashSet<EventNo>, Vec<EventNo>), Error> {
        self.0
            .store
            .read(move |read| {
                let row = rooms::by_no(read, room)?.ok_or(Error::UnknownRoom)?;
                let outliers: HashSet<EventNo> = purge::outliers(read, room)?.into_iter().collect();
                let mut new = events::of_room(read, room)?;
                new.retain(|no| !known.contains(no) && !outliers.contains(no));
                Ok((row.revision, known, new))
            })
            .await
    }

    /// Looks at what has come to the graph since.
    async fn catch_up(&self, room: &Room, edges: &mut Edges, going: &HashSet<OwnedEventId>) -> Result<(), Error> {
        let known = std::mem::take(&mut edges.known);
        let (revision, known, new) = self.graph_beyond(room.no, known).await?;
        (edges.revision, edges.known) = (revision, known);
        let (known, citing, cited) = (&mut edges.known, &mut edges.citing, &mut edges.cited);
        self.look_at(new, |row| {
            let (no, place) = (row.event, row.place.idx);
            known.insert(no);
            let pdu = Stored::from_row(row, room.rules)?.pdu;
            for prev in pdu.prev_events().iter().filter(|prev| going.contains(*prev)) {
                citing.entry(prev.clone()).or_default().push((no, place));
            }
            cited.extend(pdu.auth_events().iter().filter(|id| going.contains(*id)).cloned());
            Ok(())
        })
        .await
    }

    async fn purge_some(&self, room: &Arc<Room>, going: Vec<Going>) -> Result<(), Error> {
        let ids: HashSet<OwnedEventId> = going.iter().map(|event| event.id.clone()).collect();
        let mut edges = Edges { revision: 0, known: HashSet::new(), citing: HashMap::new(), cited: HashSet::new() };
        self.catch_up(room, &mut edges, &ids).await?;
        let mut gone: HashSet<EventNo> = HashSet::new();
        for batch in going.chunks(BATCH) {
            let mut tries = 0;
            while !self.purge_batch(room, batch, &edges, &gone).await? {
                tries += 1;
                if tries == TRIES {
                    return Err(Error::Contended);
                }
                self.catch_up(room, &mut edges, &ids).await?;
            }
            edges.revision += 1;
            gone.extend(batch.iter().map(|event| event.no));
        }
        Ok(())
    }

    /// `false` when others have moved the head.
    async fn purge_batch(
        &self,
        room: &Room,
        batch: &[Going],
        edges: &Edges,
        gone: &HashSet<EventNo>,
    ) -> Result<bool, Error> {
        let own: HashSet<EventNo> = batch.iter().map(|event| event.no).collect();
        let mut piece = Piece::default();
        for event in batch {
            let list = if event.is_needed || edges.cited.contains(&event.id) {
                &mut piece.outside
            } else {
                &mut piece.forgotten
            };
            list.push(event.no);
            piece.places.extend(event.place);
            for (child, place) in edges.citing.get(&event.id).into_iter().flatten() {
                if !own.contains(child) && !gone.contains(child) {
                    piece.edges.push((event.id.to_string(), *child, *place));
                }
            }
        }
        // Tips stay where they are, and what is before them goes: all that is known there is the state before them.
        let last = piece.places.last().copied();
        let (no, revision) = (room.no, edges.revision);
        let work = Arc::new(piece);
        let done = self
            .0
            .store
            .write(move |tx| {
                let row = rooms::by_no(tx, no)?.ok_or(Error::UnknownRoom)?;
                let mut piece = Piece::clone(&work);
                for tip in &row.head.tips {
                    let place = events::by_no(tx, *tip)?.and_then(|tip| tip.place.idx);
                    piece.lone.extend(place.filter(|place| last.is_some_and(|last| *place < last)));
                }
                Ok::<_, Error>(purge::purge(tx, no, revision, &piece)?)
            })
            .await?;
        if done {
            self.0.events.forget_room(room.no);
        }
        Ok(done)
    }

    /// Forgets changes of the current state, and transaction ids, that have no use any more.
    async fn prune(&self, no: RoomNo, before: i64) -> Result<(), Error> {
        let size = i64::try_from(BATCH).unwrap_or(i64::MAX);
        loop {
            let last = self.0.store.read(move |read| Ok::<_, Error>(rooms::by_no(read, no)?.map(|row| row.head.idx)));
            let before = before.min(last.await?.ok_or(Error::UnknownRoom)?);
            let changes = self.0.store.read(move |read| purge::superseded(read, no, before, size)).await?;
            if changes.is_empty() {
                break;
            }
            self.0.store.write(move |tx| purge::forget_changes(tx, no, &changes)).await?;
        }
        loop {
            let sent = self.0.store.read(move |read| purge::stale_transactions(read, no, size)).await?;
            if sent.is_empty() {
                return Ok(());
            }
            self.0.store.write(move |tx| purge::forget_transactions(tx, no, &sent)).await?;
        }
    }

    /// Forgets the outliers that nobody needs, and answers how many are left.
    async fn forget_outliers(&self, room: &Arc<Room>) -> Result<usize, Error> {
        let (mut known, mut cited) = (HashSet::new(), HashSet::new());
        for _ in 0..TRIES {
            let (revision, seen, new) = self.graph_beyond(room.no, known).await?;
            known = seen;
            self.look_at(new, |row| {
                known.insert(row.event);
                cited.extend(Stored::from_row(row, room.rules)?.pdu.auth_events().iter().cloned());
                Ok(())
            })
            .await?;
            let (outliers, useless) = self.useless(room, &cited).await?;
            let (mut revision, mut left) = (revision, outliers);
            let mut is_done = true;
            for batch in useless.chunks(BATCH) {
                let (no, batch, count) = (room.no, batch.to_vec(), batch.len());
                if !self.0.store.write(move |tx| purge::forget_outliers(tx, no, revision, &batch)).await? {
                    is_done = false;
                    break;
                }
                (revision, left) = (revision + 1, left - count);
            }
            if is_done {
                return Ok(left);
            }
        }
        Err(Error::Contended)
    }

    /// How many outliers there are, and those that nobody needs, each before what it cites.
    async fn useless(
        &self,
        room: &Arc<Room>,
        named_by: &HashSet<OwnedEventId>,
    ) -> Result<(usize, Vec<EventNo>), Error> {
        let (engine, no) = (self.clone(), room.no);
        let (outliers, named) = self
            .0
            .store
            .read(move |read| {
                let mut named = engine.0.states.named(read, no, &live(read, no)?)?;
                named.extend(purge::named(read, no)?);
                Ok::<_, Error>((purge::outliers(read, no)?, named))
            })
            .await?;
        let (count, mut cites) = (outliers.len(), HashMap::with_capacity(outliers.len()));
        self.look_at(outliers, |row| {
            let no = row.event;
            let pdu = Stored::from_row(row, room.rules)?.pdu;
            cites.insert(pdu.event_id().to_owned(), (no, pdu.auth_events().to_vec()));
            Ok(())
        })
        .await?;
        let mut needed: HashSet<&EventId> = HashSet::new();
        let roots = cites.iter().filter(|(id, (no, _))| named.contains(no) || named_by.contains(*id));
        let mut open: Vec<&EventId> = roots.map(|(id, _)| &**id).collect();
        while let Some(id) = open.pop() {
            if needed.insert(id)
                && let Some((_, auth)) = cites.get(id)
            {
                open.extend(auth.iter().map(|id| &**id));
            }
        }
        // Who is cited waits for all that cite them.
        let useless = || cites.iter().filter(|(id, _)| !needed.contains(&***id));
        let mut waiting: HashMap<&EventId, usize> = useless().map(|(id, _)| (&**id, 0)).collect();
        for (_, (_, auth)) in useless() {
            for id in auth.iter().collect::<BTreeSet<_>>() {
                if let Some(count) = waiting.get_mut(&**id) {
                    *count += 1;
                }
            }
        }
        let mut ready: Vec<&EventId> = waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(id) = ready.pop() {
            let Some((no, auth)) = cites.get(id) else { continue };
            order.push(*no);
            for id in auth.iter().collect::<BTreeSet<_>>() {
                if let Some((id, count)) = waiting.get_key_value(&**id).map(|(id, count)| (*id, *count)) {
                    waiting.insert(id, count - 1);
                    if count == 1 {
                        ready.push(id);
                    }
                }
            }
        }
        Ok((count, order))
    }

    /// What reclaims the snapshots of room states that nothing refers to any more: neither an event nor the head of a room.
    #[must_use]
    pub fn reclaimer(&self) -> Reclaimer {
        let is_live: Live = Arc::new(live);
        Reclaimer::new(self.0.states.clone(), is_live)
    }

    /// The place of an event in the history of a room.
    pub async fn place_of(&self, room: &Arc<Room>, event: &EventId) -> Result<Option<i64>, Error> {
        let (no, id) = (room.no, event.to_owned());
        self.0
            .store
            .read(move |read| {
                let found = events::places(read, &[id.as_str()])?;
                Ok(found.into_iter().find(|(_, of, _, _)| *of == no).and_then(|(_, _, _, place)| place.idx))
            })
            .await
    }

    /// The place of the first event of the history that has a timestamp at or after a moment, in milliseconds since the epoch.
    pub async fn place_at(&self, room: &Arc<Room>, moment: u64) -> Result<i64, Error> {
        let (no, rules) = (room.no, room.rules);
        let mut after = i64::MIN;
        loop {
            let page =
                self.0.store.read(move |read| roost_store::timeline::forwards(read, no, after, i64::MAX, 1000)).await?;
            let Some(last) = page.last() else { return Ok(after.saturating_add(1)) };
            after = last.idx;
            let mut first = None;
            self.look_at(page.iter().map(|entry| entry.event).collect(), |row| {
                let place = row.place.idx;
                if Stored::from_row(row, rules)?.pdu.origin_server_ts() >= moment {
                    first = first.into_iter().chain(place).min();
                }
                Ok(())
            })
            .await?;
            if let Some(first) = first {
                return Ok(first);
            }
        }
    }
}

/// The snapshots that something refers to: events, and the head of the room.
fn live(read: &Read<'_>, room: RoomNo) -> Result<HashSet<SnapshotNo>, roost_store::Error> {
    let mut live = events::snapshots(read, room)?;
    live.extend(rooms::by_no(read, room)?.map(|row| row.head.state));
    Ok(live)
}

#[cfg(test)]
mod tests;
