//! How one pepper replaces another without a lookup failing in between.
//!
//! A new pepper comes into being *filling*: from then on every bind hashes with it, too, while the associations that are there
//! are hashed page by page. Once all are, it is handed out, and the one before is accepted for a while longer, so that a client
//! that has just asked for it can still use it. Then its hashes go, page by page.

use std::time::Duration;

use roost_store::{
    identity_associations,
    identity_peppers::{self, Pepper, Phase},
};
use roost_world::Stop;

use crate::{Error, Identity, lookup::hash};

/// How often a pepper's age is looked at.
const TICK: Duration = Duration::from_secs(10);

/// Associations that are hashed in one write, and hashes that are removed in one.
const PAGE: i64 = 500;

/// The longest time without another pepper that a failure may cause, before it is tried again.
const RETRY: Duration = Duration::from_secs(30);

impl Identity {
    pub(crate) async fn turn_peppers(self, mut stop: Stop) {
        loop {
            let wait = match self.advance_peppers().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => TICK,
                Err(error) => {
                    tracing::warn!(%error, "the pepper of lookups could not be changed");
                    RETRY
                }
            };
            tokio::select! {
                biased;
                () = stop.wait() => return,
                () = self.0.world.clock.sleep(wait) => {}
            }
        }
    }

    /// Does the next step of a change of peppers, if there is one; whether there may be another one right after it.
    pub async fn advance_peppers(&self) -> Result<bool, Error> {
        let now = self.0.world.now_ms();
        let peppers = self.0.store.read(|read| Ok::<_, Error>(identity_peppers::list(read)?)).await?;
        let in_phase = |phase| peppers.iter().find(|pepper| pepper.phase == phase);
        let age = |pepper: &Pepper| Duration::from_millis(now.saturating_sub(pepper.since));
        if let Some(filling) = in_phase(Phase::Filling) {
            return self.fill(filling.number).await;
        }
        if let Some(leaving) = in_phase(Phase::Leaving) {
            return self.clear(leaving.number).await;
        }
        let over = in_phase(Phase::Previous).filter(|pepper| age(pepper) >= self.0.options.pepper_grace);
        if let Some(previous) = over {
            self.turn(previous.number, Phase::Previous, Phase::Leaving).await?;
            return Ok(true);
        }
        let current = in_phase(Phase::Current);
        let old = current.is_some_and(|pepper| age(pepper) >= self.0.options.pepper_lifetime);
        // One change at a time: as long as the one before is accepted, no third one is begun.
        if old && in_phase(Phase::Previous).is_none() {
            self.begin_pepper().await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Begins a change of peppers now, whatever the age of the one in use; `false` when one is under way.
    pub async fn begin_pepper(&self) -> Result<bool, Error> {
        let (pepper, now) = (self.new_pepper(), self.0.world.now_ms());
        let write = self.0.store.write(move |tx| {
            if identity_peppers::list(tx)?.iter().any(|pepper| pepper.phase != Phase::Current) {
                return Ok(false);
            }
            identity_peppers::lock(tx)?;
            let all = identity_peppers::list(tx)?;
            // Looked at again under the lock: another node may have begun.
            if all.iter().any(|pepper| pepper.phase != Phase::Current) {
                return Ok(false);
            }
            let number = all.last().map_or(1, |pepper| pepper.number + 1);
            identity_peppers::insert(tx, number, &pepper, Phase::Filling, now)?;
            Ok::<_, Error>(true)
        });
        write.await
    }

    pub(crate) fn new_pepper(&self) -> String {
        self.0.world.random_text(32)
    }

    /// Hashes another page with the new pepper, or hands it out when there are none left.
    async fn fill(&self, number: i64) -> Result<bool, Error> {
        let now = self.0.world.now_ms();
        let write = self.0.store.write(move |tx| {
            identity_peppers::lock(tx)?;
            let all = identity_peppers::list(tx)?;
            let filling = all.iter().find(|pepper| pepper.number == number && pepper.phase == Phase::Filling);
            // Another node has finished it.
            let Some(filling) = filling else { return Ok(true) };
            let page = identity_associations::after(tx, &filling.filled.0, &filling.filled.1, PAGE)?;
            if let Some(last) = page.last() {
                identity_associations::put_hashes(tx, &page, std::slice::from_ref(filling), hash)?;
                identity_peppers::filled(tx, number, &last.medium, &last.address)?;
                return Ok(true);
            }
            for current in all.iter().filter(|pepper| pepper.phase == Phase::Current) {
                identity_peppers::turn(tx, current.number, Phase::Previous, now)?;
            }
            identity_peppers::turn(tx, number, Phase::Current, now)?;
            tracing::info!("lookups have a new pepper");
            Ok::<_, Error>(false)
        });
        write.await
    }

    async fn turn(&self, number: i64, from: Phase, to: Phase) -> Result<(), Error> {
        let now = self.0.world.now_ms();
        let write = self.0.store.write(move |tx| {
            identity_peppers::lock(tx)?;
            if identity_peppers::list(tx)?.iter().any(|pepper| pepper.number == number && pepper.phase == from) {
                identity_peppers::turn(tx, number, to, now)?;
            }
            Ok::<_, Error>(())
        });
        write.await
    }

    /// Removes another page of an old pepper's hashes, and in the end the pepper. Nobody reads or writes them any more.
    async fn clear(&self, number: i64) -> Result<bool, Error> {
        let write = self.0.store.write(move |tx| {
            if !identity_associations::delete_hashes(tx, number, PAGE)? {
                identity_peppers::delete(tx, number)?;
            }
            Ok::<_, Error>(true)
        });
        write.await
    }
}
