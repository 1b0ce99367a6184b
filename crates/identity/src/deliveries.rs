//! Telling homeservers that their users have bound addresses for which invitations are waiting, until it has arrived.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind>

use std::time::Duration;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use roost_store::identity_invites::{self, Delivery};
use roost_world::Stop;
use tokio::sync::futures::Notified;

use crate::{Error, Identity};

/// How many deliveries are under way at once.
const AT_ONCE: i64 = 8;

/// How long a node has a delivery to itself: longer than a try may take. After a crash it is tried again then.
const CLAIM: u64 = 2 * 60 * 1000;

/// Waiting times between tries: the first, and the longest, in milliseconds.
const FIRST_WAIT: u64 = 10 * 1000;
const LONGEST_WAIT: u64 = 6 * 60 * 60 * 1000;

/// When a delivery is given up: nobody answers there any more.
const GIVE_UP: u64 = 60 * 24 * 60 * 60 * 1000;

/// The longest sleep, in case another node has queued something.
const TICK: Duration = Duration::from_secs(30);

/// The longest reason that is kept, in characters.
const MAX_PROBLEM: usize = 300;

impl Identity {
    pub(crate) async fn deliver_regularly(self, mut stop: Stop) {
        loop {
            // Made before anything is read, so that what is queued meanwhile is not slept over.
            let queued: Notified<'_> = self.0.parcels.notified();
            let wait = match self.deliver(&mut stop).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "deliveries to homeservers could not be read or written");
                    TICK
                }
            };
            tokio::select! {
                biased;
                () = stop.wait() => return,
                () = queued => {}
                () = self.0.world.clock.sleep(wait) => {}
            }
        }
    }

    /// Tries what is due; how long there is nothing more to do.
    async fn deliver(&self, stop: &mut Stop) -> Result<Duration, Error> {
        loop {
            let now = self.0.world.now_ms();
            let due = self.0.store.read(move |read| Ok::<_, Error>(identity_invites::due(read, now, AT_ONCE)?)).await?;
            if due.is_empty() {
                let next = self.0.store.read(|read| Ok::<_, Error>(identity_invites::next_try(read)?)).await?;
                let wait = next.map_or(TICK, |next| Duration::from_millis(next.saturating_sub(now)));
                return Ok(wait.min(TICK));
            }
            let until = now.saturating_add(CLAIM);
            let ids: Vec<String> = due.iter().map(|delivery| delivery.id.clone()).collect();
            let mut tries: FuturesUnordered<_> =
                due.into_iter().map(|delivery| self.clone().attempt(delivery, until)).collect();
            loop {
                tokio::select! {
                    biased;
                    () = stop.wait() => {
                        // First they end, so that none of them takes its delivery after it was given back.
                        drop(tries);
                        self.release(ids, until).await?;
                        return Ok(TICK);
                    }
                    next = tries.next() => match next {
                        None => break,
                        Some(result) => result?,
                    },
                }
            }
        }
    }

    /// What is cut short is tried again right after the next start, or by another node.
    async fn release(&self, ids: Vec<String>, until: u64) -> Result<(), Error> {
        let now = self.0.world.now_ms();
        let write = self.0.store.write(move |tx| {
            for id in &ids {
                identity_invites::release(tx, id, until, now)?;
            }
            Ok(())
        });
        write.await
    }

    async fn attempt(self, delivery: Delivery, until: u64) -> Result<(), Error> {
        let claimed = delivery.clone();
        let write = self.0.store.write(move |tx| Ok::<_, Error>(identity_invites::claim(tx, &claimed, until)?));
        if !write.await? {
            return Ok(());
        }
        let Delivery { id, server, body, created_at, tries, .. } = delivery;
        let result = self.0.homeservers.on_bind(&server, &body).await;
        let now = self.0.world.now_ms();
        let outcome = if result.is_ok() { "arrived" } else { "failed" };
        metrics::counter!("roost_identity_deliveries_total", "outcome" => outcome).increment(1);
        let problem = match result {
            Ok(()) => None,
            Err(problem) => Some(problem.chars().take(MAX_PROBLEM).collect::<String>()),
        };
        let given_up = now.saturating_sub(created_at) > GIVE_UP;
        if let Some(problem) = &problem {
            tracing::warn!(%server, problem, tries, given_up, "a homeserver could not be told of an invitation");
        }
        let write = self.0.store.write(move |tx| {
            match &problem {
                Some(problem) if !given_up => {
                    identity_invites::failed(tx, &id, now.saturating_add(wait(tries)), problem)?;
                }
                _ => identity_invites::done(tx, &id)?,
            }
            Ok(())
        });
        write.await
    }
}

/// How long to wait after so many tries in vain.
fn wait(tries: u64) -> u64 {
    let doubled = u32::try_from(tries).ok().and_then(|tries| FIRST_WAIT.checked_shl(tries.min(32)));
    doubled.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_up_to_its_limit() {
        assert_eq!(wait(0), 10_000);
        assert_eq!(wait(3), 80_000);
        for tries in [12, 31, 32, 64, u64::MAX] {
            assert_eq!(wait(tries), LONGEST_WAIT, "{tries}");
        }
    }
}
