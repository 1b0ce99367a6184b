//! What lies between events.

use std::collections::HashMap;

use super::{
    events,
    place::{Place, Stretch},
    reach::{Graph, Reach},
};
use crate::{Error, EventNo};

/// What goes back to some events, within what they go back to themselves.
#[derive(Default)]
struct Above {
    /// Of each chain, the links to it: target and origin, in order.
    citing: HashMap<u32, Vec<(u16, Place)>>,
    /// Where the part of a chain begins that goes back to one of the events.
    first: HashMap<u32, u16>,
    /// From here on a chain's links have been followed upwards.
    done: HashMap<u32, u16>,
}

impl Above {
    /// Follows what cites this place or a later one of its chain.
    fn climb(&mut self, from: Place) {
        let mut open = vec![from];
        while let Some(from) = open.pop() {
            let done = self.done.get(&from.chain).copied();
            if done.is_some_and(|done| done <= from.seq) {
                continue;
            }
            self.done.insert(from.chain, from.seq);
            let links = self.citing.get(&from.chain).map(Vec::as_slice).unwrap_or_default();
            let start = links.partition_point(|(target, _)| *target < from.seq);
            let end = done.map_or(links.len(), |done| links.partition_point(|(target, _)| *target < done));
            for (_, origin) in links.get(start..end).unwrap_or_default() {
                let first = self.first.entry(origin.chain).or_insert(origin.seq);
                *first = origin.seq.min(*first);
                open.push(*origin);
            }
        }
    }
}

pub(super) fn subgraph(graph: &Graph<'_>, set: &[EventNo]) -> Result<Vec<EventNo>, Error> {
    let places = graph.places(set)?;
    let below = Reach::before(graph, &places)?;
    // How far the chains go that have anything to do with it.
    let mut upto: HashMap<u32, u16> = below.iter().collect();
    for end in &places {
        let upto = upto.entry(end.chain).or_default();
        *upto = end.seq.max(*upto);
    }
    let mut above = Above::default();
    for (chain, upto) in &upto {
        graph.each_link(*chain, 0, *upto, |origin, target| {
            let origin = Place { chain: *chain, seq: origin };
            above.citing.entry(target.chain).or_default().push((target.seq, origin));
        });
    }
    above.citing.values_mut().for_each(|links| links.sort_unstable());
    for end in &places {
        if let Some(next) = end.next() {
            let first = above.first.entry(end.chain).or_insert(next.seq);
            *first = next.seq.min(*first);
        }
        above.climb(*end);
    }
    // Beneath one of the events and above one: two different ones, or it would go back to itself.
    let between = above.first.iter().filter_map(|(chain, low)| {
        let high = below.upto(*chain);
        (*low <= high).then_some(Stretch { chain: *chain, low: *low, high })
    });
    let between = events(graph, &between.collect::<Vec<_>>())?;
    let mut found: Vec<(Place, EventNo)> = between.into_iter().map(|(place, event, _)| (place, event)).collect();
    // Of the events themselves those that have another one above or beneath.
    let is_above = |end: &Place| above.first.get(&end.chain).is_some_and(|first| *first <= end.seq);
    let ends = places.into_iter().zip(set.iter().copied());
    found.extend(ends.filter(|(end, _)| below.contains(*end) || is_above(end)));
    found.sort_unstable();
    found.dedup();
    Ok(found.into_iter().map(|(_, event)| event).collect())
}
