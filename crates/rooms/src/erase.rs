//! Erasing the content of redacted events once it has been kept for long enough, and forgetting what was removed.
//!
//! Redactions are applied when events are read, so nothing changes for readers. What is kept in memory of an event that was
//! erased, or of a room that was purged or deleted, is dropped as the log tells of it, on every node ([`Rooms::follow_removals`]).

use std::{collections::HashMap, time::Duration};

use roost_store::{Change, EventNo, RoomNo, Step, erasure, events};
use roost_world::Stop;

use crate::{Error, Rooms, Stored};

/// Events that are erased by one write.
const BATCH: i64 = 200;
/// How often there is a look for what is due, at the most and at the least.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(60);

impl Rooms {
    /// Erases the bytes of events that were redacted `after` ago or before, a bounded number of them, and answers how many. The auth rules see
    /// the redacted event from then on, as they do on every other server.
    pub async fn erase_redacted(&self, after: Duration) -> Result<usize, Error> {
        let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        let until = i64::try_from(self.0.world.now_ms()).unwrap_or(i64::MAX).saturating_sub(after);
        let rooms = self.clone();
        let (erased, gone) = self
            .0
            .store
            .read(move |read| {
                let due = erasure::due(read, until, BATCH)?;
                let rows = events::many(read, &due)?;
                let mut nos: Vec<RoomNo> = rows.iter().map(|row| row.room).collect();
                nos.sort_unstable();
                nos.dedup();
                let rules: HashMap<_, _> =
                    rooms.rooms_in(read, &nos)?.into_iter().map(|room| (room.no, room.rules)).collect();
                let (mut erased, mut gone) = (Vec::with_capacity(rows.len()), due);
                for row in rows {
                    // Of a room that is being deleted nothing is left soon.
                    let Some(rules) = rules.get(&row.room) else { continue };
                    let (event, room) = (row.event, row.room);
                    gone.retain(|no| *no != event);
                    let json = Stored::from_row(row, rules)?.pdu.redacted().json().into();
                    erased.push(erasure::Erased { event, room, json });
                }
                Ok::<_, Error>((erased, gone))
            })
            .await?;
        let count = erased.len() + gone.len();
        if count == 0 {
            return Ok(0);
        }
        let nos: Vec<EventNo> = erased.iter().map(|erased| erased.event).collect();
        self.0.store.write(move |tx| erasure::erase(tx, &erased, &gone)).await?;
        for no in &nos {
            self.0.events.erased(*no);
        }
        metrics::counter!("roost_room_erased_events_total").increment(nos.len() as u64);
        Ok(count)
    }

    /// Erases what is due, again and again, until it is told to stop. Start it as a worker.
    pub async fn keep_erasing(self, after: Duration, mut stop: Stop) {
        let pause = after.clamp(OFTEN, SELDOM);
        loop {
            let more = match self.erase_redacted(after).await {
                Ok(count) => i64::try_from(count).is_ok_and(|count| count >= BATCH),
                Err(error) => {
                    tracing::warn!(%error, "redacted events could not be erased");
                    false
                }
            };
            tokio::select! {
                biased;
                () = stop.wait() => return,
                () = self.0.world.clock.sleep(if more { Duration::ZERO } else { pause }) => {}
            }
        }
    }

    /// Drops from memory what the log says was removed, by this node or another one, until it is told to stop. Start it as a worker.
    pub async fn follow_removals(self, mut stop: Stop) {
        let mut follower = self.0.store.follow(self.0.store.frontier());
        loop {
            let news = tokio::select! {
                biased;
                () = stop.wait() => return,
                news = follower.next() => news,
            };
            match news {
                None => return,
                Some(Step::Advanced { entries, .. }) => {
                    for entry in entries {
                        match entry.change {
                            Change::Removed { event: Some(event), .. } => self.0.events.erased(event),
                            Change::Removed { room, event: None } => self.forget_room(room),
                            _ => {}
                        }
                    }
                }
                Some(Step::Lost) => {
                    self.0.events.clear();
                    self.0.by_id.clear();
                    self.0.by_no.clear();
                    follower.seek(self.0.store.frontier());
                }
            }
        }
    }

    /// Drops what is in memory of a room and its events; it is read again as needed.
    pub(crate) fn forget_room(&self, no: RoomNo) {
        self.0.events.forget_room(no);
        if let Some((_, room)) = self.0.by_no.remove(&no) {
            self.0.by_id.remove(&room.id);
        }
    }
}

#[cfg(test)]
mod tests;
