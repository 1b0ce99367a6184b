//! Forgetting transaction ids that no client repeats any more.
//!
//! A client repeats a request until it has the answer, which the specification ties to the transaction id alone and gives no
//! end. A month is longer than any client has kept a message that it could not send; after it, the id may be used again.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers>

use std::time::Duration;

use roost_world::{Stop, World};

use crate::{Error, EventNo, RoomNo, Store, Tx, params, statements, values};

statements! {
    LAST_MARK = "SELECT MAX(taken_at) FROM event_marks";
    NEWEST = "SELECT MAX(event_no) FROM events";
    SET_MARK = "INSERT INTO event_marks (taken_at, event_no) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    OLD_MARK = "SELECT taken_at, event_no FROM event_marks WHERE taken_at <= $1 ORDER BY taken_at DESC LIMIT 1";
    DROP_MARKS = "DELETE FROM event_marks WHERE taken_at < $1";
    PAGE = "SELECT room_no, digest, event_no FROM transactions WHERE (room_no, digest, event_no) > ($1, $2, $3) \
        ORDER BY room_no, digest, event_no LIMIT $4";
    FORGET = "DELETE FROM transactions WHERE room_no = $1 AND digest = $2 AND event_no = $3";
}

/// How old they get, at least.
const AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often it is looked for old ones.
const ROUND: Duration = Duration::from_secs(24 * 60 * 60);
/// How many are looked at once, and the pause after that: nobody waits for this to be done.
const PAGE_ROWS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(100);

/// Where in the table a page begins: after this.
type Place = (RoomNo, i64, EventNo);

const START: Place = (RoomNo(i64::MIN), i64::MIN, EventNo(i64::MIN));

/// Notes how far the events have got, if that was not noted within the last round. Returns the largest number that is old
/// enough to be forgotten.
fn mark(tx: &Tx<'_>, now_ms: u64) -> Result<Option<EventNo>, Error> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let last = tx.one(LAST_MARK, params![], |row| row.get::<Option<u64>>(0))?.flatten();
    let old = tx.one(OLD_MARK, params![now_ms.saturating_sub(millis(AGE))], |row| {
        Ok((row.get::<u64>(0)?, row.get::<EventNo>(1)?))
    })?;
    if last.is_none_or(|last| now_ms.saturating_sub(last) >= millis(ROUND)) {
        let newest = tx.one(NEWEST, params![], |row| row.get::<Option<EventNo>>(0))?.flatten();
        tx.execute(SET_MARK, params![now_ms, newest.unwrap_or(EventNo(0))])?;
    }
    if let Some((taken_at, _)) = old {
        tx.execute(DROP_MARKS, params![taken_at])?;
    }
    Ok(old.map(|(_, event)| event))
}

impl Store {
    /// Forgets transaction ids a month after they were used. Runs until told to stop.
    pub async fn forget_transactions(self, world: World, mut stop: Stop) {
        loop {
            if let Err(error) = self.forget_old_transactions(&world, &mut stop).await {
                tracing::warn!(%error, "old transaction ids could not be forgotten");
            }
            tokio::select! {
                () = stop.wait() => return,
                () = world.clock.sleep(ROUND) => (),
            }
        }
    }

    /// One round over the whole table, page by page.
    async fn forget_old_transactions(&self, world: &World, stop: &mut Stop) -> Result<(), Error> {
        let now = world.now_ms();
        let Some(until) = self.write(move |tx| mark(tx, now)).await? else { return Ok(()) };
        let mut place = Some(START);
        while let Some(from) = place {
            place = self.forget_page(from, until).await?;
            tokio::select! {
                () = stop.wait() => return Ok(()),
                () = world.clock.sleep(PAUSE) => (),
            }
        }
        Ok(())
    }

    /// Forgets those of a page whose events are not above `until`. Returns where the next page begins, if there is one.
    async fn forget_page(&self, from: Place, until: EventNo) -> Result<Option<Place>, Error> {
        let page = self.read(move |read| {
            let (room, digest, event) = from;
            read.all(PAGE, params![room, digest, event, PAGE_ROWS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        });
        let page: Vec<Place> = page.await?;
        let next = page.last().copied().filter(|_| page.len() >= PAGE_ROWS as usize);
        let old: Vec<Place> = page.into_iter().filter(|(_, _, event)| *event <= until).collect();
        if !old.is_empty() {
            let write = self.write(move |tx| {
                let rows: Vec<_> = old.iter().map(|(room, digest, event)| values![*room, *digest, *event]).collect();
                tx.execute_many(FORGET, &rows)
            });
            write.await?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
