//! The *reverse topological power ordering*.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use super::{
    Source,
    graph::{At, Graph},
};
use crate::{
    auth::power::{Level, PowerLevels},
    event::Pdu,
    room_version::Rules,
};

/// An event that could come next; the smallest does.
#[derive(PartialEq, Eq)]
struct Candidate {
    level: Level,
    pdu: Pdu,
    at: At,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |it: &Self| (Reverse(it.level), it.pdu.origin_server_ts());
        key(self).cmp(&key(other)).then_with(|| self.pdu.event_id().cmp(other.pdu.event_id()))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Sorts events, earliest first: none before one of the set that it cites, and otherwise by the sender's power as the event's
/// own auth events give it, the time, and the event id.
pub(super) fn power_ordering<S: Source>(
    graph: &mut Graph<'_, S>,
    rules: &'static Rules,
    events: &BTreeSet<At>,
) -> Result<Vec<At>, S::Error> {
    let mut levels = SenderLevels::default();
    let mut waiting = BTreeMap::<At, usize>::new();
    let mut cited_by = BTreeMap::<At, Vec<At>>::new();
    let mut ready = BinaryHeap::new();
    for at in events {
        let cites: BTreeSet<At> = graph.auth_events(*at)?.filter(|auth| events.contains(auth)).collect();
        for auth in &cites {
            cited_by.entry(*auth).or_default().push(*at);
        }
        if cites.is_empty() {
            ready.push(Reverse(levels.candidate(graph, rules, *at)?));
        } else {
            waiting.insert(*at, cites.len());
        }
    }

    let mut sorted = Vec::with_capacity(events.len());
    while let Some(Reverse(next)) = ready.pop() {
        sorted.push(next.at);
        for citing in cited_by.remove(&next.at).unwrap_or_default() {
            if let Some(count) = waiting.get_mut(&citing) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(levels.candidate(graph, rules, citing)?));
                }
            }
        }
    }
    Ok(sorted)
}

/// The power levels of senders, by the create event and the power levels event that their events cite.
#[derive(Default)]
struct SenderLevels(BTreeMap<(Option<At>, Option<At>), PowerLevels>);

impl SenderLevels {
    fn candidate<S: Source>(
        &mut self,
        graph: &mut Graph<'_, S>,
        rules: &'static Rules,
        at: At,
    ) -> Result<Candidate, S::Error> {
        let create = if graph.is(at, "m.room.create", "") {
            Some(at)
        } else if rules.auth.create_is_auth_event {
            graph.auth_event(at, "m.room.create", "")?
        } else {
            match graph.source.create()? {
                Some(create) => graph.at(create)?,
                None => None,
            }
        };
        let power_levels = graph.auth_event(at, "m.room.power_levels", "")?;
        let levels = self.0.entry((create, power_levels)).or_insert_with(|| {
            PowerLevels::of(&|kind: &str, _: &str| match kind {
                "m.room.create" => create.map(|at| graph.pdu(at).clone()),
                "m.room.power_levels" => power_levels.map(|at| graph.pdu(at).clone()),
                _ => None,
            })
        });
        let pdu = graph.pdu(at).clone();
        Ok(Candidate { level: levels.for_sender(pdu.sender()), pdu, at })
    }
}
