//! Putting events in the order in which they build on each other.

use std::collections::{BTreeSet, HashMap};

use roost_matrix::{event::Pdu, ids::OwnedEventId};

/// Each event after those among them that it cites; between those that say nothing about each other the lower depth first, then the
/// earlier time, then the lesser id. Events in a circle, which only the event ids of room versions 1 and 2 allow, are left out, and so are those
/// that build on them.
pub(crate) fn by(events: &[Pdu], cited: impl Fn(&Pdu) -> &[OwnedEventId]) -> Vec<Pdu> {
    let at: HashMap<OwnedEventId, usize> =
        events.iter().enumerate().map(|(at, pdu)| (pdu.event_id().to_owned(), at)).collect();
    let mut waiting_for = vec![0_usize; events.len()];
    let mut citing: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    for (place, pdu) in events.iter().enumerate() {
        let ids: BTreeSet<&OwnedEventId> = cited(pdu).iter().collect();
        for before in ids.into_iter().filter_map(|id| at.get(id)) {
            if let (Some(count), Some(list)) = (waiting_for.get_mut(place), citing.get_mut(*before)) {
                *count += 1;
                list.push(place);
            }
        }
    }
    let key = |place: usize| events.get(place).map(|pdu| (pdu.depth(), pdu.origin_server_ts(), pdu.event_id(), place));
    let mut ready: BTreeSet<_> =
        (0..events.len()).filter(|place| waiting_for.get(*place) == Some(&0)).filter_map(key).collect();
    let mut sorted = Vec::with_capacity(events.len());
    while let Some((_, _, _, place)) = ready.pop_first() {
        sorted.extend(events.get(place).cloned());
        for next in citing.get(place).into_iter().flatten() {
            if let Some(count) = waiting_for.get_mut(*next) {
                *count -= 1;
                if *count == 0 {
                    ready.extend(key(*next));
                }
            }
        }
    }
    sorted
}
