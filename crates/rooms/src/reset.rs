//! State that a resolution loses without a reason: a *state reset*.
//!
//! Where branches meet, a newer value may rightly give way to an older one: its sender had lost the power to set it. Then an event
//! that took that power is part of the conflict, too, and wins. When there is none, the room has forgotten something that
//! nobody took back. That is what people complain of, so it is counted, logged and kept for `roost room inspect`.

use roost_matrix::state_res::Resolved;
use roost_store::{EventNo, Read};
use serde_json::{Value, json};

use crate::{Error, Room, Rooms, resolve::Split};

/// State that was lost.
#[derive(Clone, Debug)]
pub(crate) struct Reset {
    /// What there is to know about it.
    pub(crate) evidence: Value,
}

/// Whether people notice when it is lost.
fn matters(kind: &str) -> bool {
    matches!(kind, "m.room.member" | "m.room.power_levels" | "m.room.join_rules" | "m.room.server_acl")
}

/// How far back a replaced event is looked for.
const MAX_STEPS: usize = 100;
/// Keys that the evidence has at most, so that it stays readable.
const MAX_KEYS: usize = 50;

impl Rooms {
    /// Looks for state that a resolution has dropped, or put back to what an event in the conflict had replaced.
    pub(crate) fn find_reset(
        &self,
        read: &Read<'_>,
        room: &Room,
        splits: &[Split],
        resolved: &[Resolved<EventNo>],
    ) -> Result<Option<Reset>, Error> {
        let mut lost = Vec::new();
        for (split, resolved) in splits.iter().zip(resolved).filter(|(split, _)| matters(&split.kind)) {
            let mut losers: Vec<_> =
                split.values.iter().copied().flatten().filter(|no| Some(*no) != resolved.event).collect();
            losers.sort_unstable();
            losers.dedup();
            for loser in losers {
                if self.was_lost(read, room, loser, resolved.event)? {
                    lost.push((split, loser, resolved.event));
                }
            }
        }
        if lost.is_empty() {
            return Ok(None);
        }
        // What can take power away, and won: then the loss has a reason.
        let winners: Vec<_> = resolved.iter().filter_map(|resolved| resolved.event).collect();
        let stored = self.stored_map(read, room, &winners)?;
        let has_reason = |split: &Split| {
            splits.iter().zip(resolved).any(|(other, resolved)| {
                let Some(event) = resolved.event.and_then(|no| stored.get(&no)) else { return false };
                let is_news = other.values.iter().any(|value| *value != resolved.event);
                let takes = match other.kind.as_str() {
                    "m.room.power_levels" | "m.room.join_rules" => true,
                    "m.room.member" => event.pdu.state_key() != Some(event.pdu.sender().as_str()),
                    _ => false,
                };
                is_news && takes && other.no != split.no
            })
        };
        lost.retain(|(split, _, _)| !has_reason(split));
        if lost.is_empty() {
            return Ok(None);
        }

        let mut named: Vec<_> = splits.iter().flat_map(|split| split.values.iter().copied().flatten()).collect();
        named.extend(&winners);
        named.sort_unstable();
        named.dedup();
        let stored = self.stored_map(read, room, &named)?;
        let id =
            |no: Option<EventNo>| no.and_then(|no| stored.get(&no)).map(|stored| stored.pdu.event_id().to_string());
        let evidence = json!({
            "lost": lost.iter().take(MAX_KEYS).map(|(split, loser, winner)| json!({
                "type": split.kind,
                "state_key": split.state_key,
                "event": id(Some(*loser)),
                "now": id(*winner),
            })).collect::<Vec<_>>(),
            "conflicted": splits.iter().zip(resolved).take(MAX_KEYS).map(|(split, resolved)| json!({
                "type": split.kind,
                "state_key": split.state_key,
                "states": split.values.iter().map(|value| id(*value)).collect::<Vec<_>>(),
                "resolved": id(resolved.event),
            })).collect::<Vec<_>>(),
            "keys": splits.len(),
        });
        Ok(Some(Reset { evidence }))
    }

    /// Whether what came out is nothing, or what `loser` had replaced.
    fn was_lost(&self, read: &Read<'_>, room: &Room, loser: EventNo, winner: Option<EventNo>) -> Result<bool, Error> {
        let Some(winner) = winner else { return Ok(true) };
        let mut at = loser;
        for _ in 0..MAX_STEPS {
            let Some(replaced) = self.stored(read, room, &[at])?.first().and_then(|stored| stored.replaces) else {
                return Ok(false);
            };
            if replaced == winner {
                return Ok(true);
            }
            at = replaced;
        }
        Ok(false)
    }

    /// Logs, counts and keeps a reset.
    pub(crate) async fn note_reset(&self, room: &Room, reset: Reset) -> Result<(), Error> {
        metrics::counter!("roost_room_state_resets_total").increment(1);
        tracing::warn!(room = %room.id, evidence = %reset.evidence, "a state resolution lost state without a reason");
        let (no, now) = (room.no, i64::try_from(self.0.world.now_ms()).unwrap_or(i64::MAX));
        let evidence = reset.evidence.to_string();
        let id = self.0.store.take_numbers(roost_store::Sequence::Other, 1).await?;
        self.0
            .store
            .write(move |tx| roost_store::state_resets::insert(tx, id, no, now, &evidence))
            .await
            .map_err(Error::from)
    }
}
