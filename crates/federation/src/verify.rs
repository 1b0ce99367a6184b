//! [Signatures of events](https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events).

#[cfg(test)]
mod tests;

use futures_util::{StreamExt as _, stream};
use roost_matrix::{
    event::Pdu,
    signing::{Verified, VerifyEventError, required_signatures, verify_event},
};
use roost_world::World;

use crate::{
    Error, Federation,
    keys::{Known, Want},
};

/// How many events one core verifies at a stretch: a few milliseconds.
const STRETCH: usize = 64;

/// How many stretches are under way at a time. The pool is not ours alone.
const AT_ONCE: usize = 8;

/// Of how many keys of one server on one event the ring is asked.
const MAX_KEYS: usize = 4;

/// What was found out about an event.
pub type Verdict = Result<Verified, VerifyEventError>;

impl Federation {
    /// Verifies events of other servers, one by one, on all cores; the verdicts are in the order of the events. Keys that are
    /// missing are fetched first, all at once. An event whose keys nobody has counts as not signed.
    pub async fn verify(&self, pdus: Vec<Pdu>) -> Result<Vec<Verdict>, Error> {
        let wants: Vec<_> = pdus.iter().flat_map(wants).collect();
        let known = self.keys.keys(&wants).await?;
        let now = self.world.now_ms();
        if pdus.len() <= 1 {
            // The way to another thread and back takes longer than the work.
            return Ok(pdus.iter().map(|pdu| verify_event(pdu, &known, now)).collect());
        }
        let known = std::sync::Arc::new(known);
        let mut pdus = pdus.into_iter().peekable();
        let stretches = std::iter::from_fn(|| {
            let stretch: Vec<_> = pdus.by_ref().take(STRETCH).collect();
            (!stretch.is_empty()).then_some(stretch)
        });
        let stretches: Vec<_> =
            stretches.map(|stretch| verify_stretch(self.world.clone(), stretch, known.clone(), now)).collect();
        Ok(stream::iter(stretches).buffered(AT_ONCE).concat().await)
    }
}

async fn verify_stretch(world: World, pdus: Vec<Pdu>, known: std::sync::Arc<Known>, now: u64) -> Vec<Verdict> {
    let verify = move |pdus: &[Pdu], known: &Known| pdus.iter().map(|pdu| verify_event(pdu, known, now)).collect();
    let (events, keys) = (pdus.clone(), std::sync::Arc::clone(&known));
    match world.cpu(move || verify(&events, &keys)).await {
        Some(verdicts) => verdicts,
        // The pool is full; this thread can do it as well.
        None => verify(&pdus, &known),
    }
}

/// The keys that an event needs.
fn wants(pdu: &Pdu) -> impl Iterator<Item = Want> {
    let valid_at = if pdu.rules().enforces_key_validity { pdu.origin_server_ts() } else { 0 };
    required_signatures(pdu).into_iter().flat_map(move |(server, keys)| {
        let keys = keys.into_iter().filter(|key| key.starts_with("ed25519:")).take(MAX_KEYS);
        keys.map(move |key_id| Want { server: server.clone(), key_id, valid_at })
    })
}
