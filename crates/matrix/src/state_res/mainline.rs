//! The *mainline ordering*.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Source,
    graph::{At, Graph},
};

/// The mainline of a power levels event, walked only as far as needed: most events go back to one of its latest entries.
pub(super) struct Mainline {
    positions: BTreeMap<At, usize>,
    /// The next entry, not yet in `positions`.
    next: Option<At>,
    /// Positions of power levels events beside the mainline.
    beside: BTreeMap<At, usize>,
}

/// The position of what does not go back to the mainline.
const NOWHERE: usize = usize::MAX;

impl Mainline {
    pub(super) fn new(power_levels: Option<At>) -> Self {
        Self { positions: BTreeMap::new(), next: power_levels, beside: BTreeMap::new() }
    }

    /// Sorts events: from the oldest entry of the mainline that they are based on to the latest, then by time and event id.
    pub(super) fn ordering<S: Source>(mut self, graph: &mut Graph<'_, S>, events: &[At]) -> Result<Vec<At>, S::Error> {
        let mut sorted = Vec::with_capacity(events.len());
        for at in events {
            let position = self.position(graph, *at)?;
            sorted.push((Reverse(position), *at));
        }
        sorted.sort_by(|(a, x), (b, y)| {
            let (x, y) = (graph.pdu(*x), graph.pdu(*y));
            let by_time = || x.origin_server_ts().cmp(&y.origin_server_ts());
            a.cmp(b).then_with(by_time).then_with(|| x.event_id().cmp(y.event_id()))
        });
        Ok(sorted.into_iter().map(|(_, at)| at).collect())
    }

    /// The mainline position of an event.
    ///
    /// Goes back from the event and along the mainline in turns, so that the cost is that of the way to where they meet.
    fn position<S: Source>(&mut self, graph: &mut Graph<'_, S>, at: At) -> Result<usize, S::Error> {
        if self.positions.is_empty() && self.next.is_none() {
            return Ok(NOWHERE);
        }
        let mut path = Vec::new();
        let mut on_path = BTreeSet::new();
        let mut current = power_levels_of(graph, at)?;
        let position = loop {
            if let Some(here) = current {
                if let Some(position) = self.positions.get(&here).or_else(|| self.beside.get(&here)) {
                    break *position;
                }
                // Where event ids are chosen (versions 1 and 2), events can be made that cite each other in a circle.
                current = if on_path.insert(here) {
                    path.push(here);
                    power_levels_of(graph, here)?
                } else {
                    None
                };
            }
            if let Some(entry) = self.next {
                let position = self.positions.len();
                self.positions.insert(entry, position);
                self.next = power_levels_of(graph, entry)?.filter(|next| !self.positions.contains_key(next));
                if on_path.contains(&entry) {
                    path.truncate(path.iter().position(|here| *here == entry).unwrap_or_default());
                    break position;
                }
            }
            if current.is_none() && self.next.is_none() {
                break NOWHERE;
            }
        };
        self.beside.extend(path.into_iter().map(|here| (here, position)));
        Ok(position)
    }
}

fn power_levels_of<S: Source>(graph: &mut Graph<'_, S>, at: At) -> Result<Option<At>, S::Error> {
    graph.auth_event(at, "m.room.power_levels", "")
}
