//! Auth chains, answered from an index.
//!
//! The index holds the state events of a room, accepted, rejected or outliers, and what they cite in `auth_events`, as a *chain
//! cover*: each event has a place in one of many chains, and within a chain each event cites the one before it. What an event cites beside
//! that is kept as a link from place to place, unless it follows from what is kept already. So all that an event goes back to is known
//! by how far it goes back in each chain, and links are followed from chain to chain, downwards and upwards, not from event to event
//! (`docs/decisions/0402-auth-chains.md`).
//!
//! # Reading
//!
//! What state resolution asks of its `Source`: [`conflict_difference`](AuthChains::conflict_difference) or
//! [`difference`](AuthChains::difference), and [`subgraph`](AuthChains::subgraph). For answers to other servers and for checks:
//! [`chain`](AuthChains::chain) and [`is_ancestor`](AuthChains::is_ancestor). An event that is asked about must be in the index. Everything reads committed
//! rows, which never change, and keeps them in memory; so never call it in a write closure, where the reads may see what is undone
//! later.
//!
//! # Writing
//!
//! [`AuthChains::plan`] finds places for events on a read snapshot, [`Plan::write`] inserts them, in the closure that inserts the
//! events.
//!
//! # Deleting
//!
//! [`remove`] forgets a room. When single events are purged, their rows stay: others go back to what lies beneath them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use crate::{Error, EventNo, Read, RoomNo, StateKeyNo, Store, Tx, params, statements};

pub(crate) mod agreed;
pub(crate) mod check;
mod place;
pub(crate) mod plan;
pub(crate) mod reach;
mod subgraph;

pub use check::{Entry, Fault, check, each};
pub use place::Place;
pub use plan::{New, Plan};

use place::{Stretch, each_of, of_each};
use reach::{BATCH, Cache, Graph, Reach};

statements! {
    EVENTS = of_each!("CAST(place AS TEXT) || ' ' || CAST(event_no AS TEXT) || ' ' || CAST(state_key_no AS TEXT)", "auth_places", "place",);
    REMOVE_PLACES = "DELETE FROM auth_places WHERE room_no = $1";
    REMOVE_LINKS = "DELETE FROM auth_links WHERE room_no = $1";
}

/// Of some events, whether all states have them, in the order of the events.
pub type Agreed = Result<Vec<bool>, Error>;

/// The auth chains of a store's rooms: cached places and links. One for each open store; cheap to clone.
#[derive(Clone)]
pub struct AuthChains(Arc<Inner>);

struct Inner {
    store: Store,
    cache: Cache,
}

impl fmt::Debug for AuthChains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthChains")
    }
}

/// A piece of an auth chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Some of its events. In each chain of the cover, an event comes after those that it goes back to.
    pub events: Vec<EventNo>,
    /// Where the next piece goes on; `None` when this is the last.
    pub next: Option<Place>,
}

impl AuthChains {
    /// Opens the index of a store, with at most so many bytes of cached places and links.
    #[must_use]
    pub fn open(store: &Store, cache_bytes: u64) -> Self {
        Self(Arc::new(Inner { store: store.clone(), cache: Cache::new(cache_bytes) }))
    }

    /// The bytes that cached places and links take, about.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.0.cache.bytes()
    }

    fn graph<'a>(&'a self, read: &'a Read<'a>, room: RoomNo) -> Graph<'a> {
        Graph::new(read, room, self.0.store.generation(), &self.0.cache)
    }

    /// The *auth difference* of sets of events, each with all that it has: what is in the auth chain of one of them and not of all.
    /// An event is not in its own auth chain. What all sets have costs nothing but to be told apart.
    pub fn difference(&self, read: &Read<'_>, room: RoomNo, sets: &[Vec<EventNo>]) -> Result<Vec<EventNo>, Error> {
        let mut counts: HashMap<EventNo, usize> = HashMap::new();
        for set in sets {
            let set: HashSet<EventNo> = set.iter().copied().collect();
            for event in set {
                *counts.entry(event).or_default() += 1;
            }
        }
        counts.retain(|_, count| *count == sets.len());
        let own = |set: &Vec<EventNo>| set.iter().copied().filter(|event| !counts.contains_key(event)).collect();
        let own: Vec<Vec<EventNo>> = sets.iter().map(own).collect();
        let agreed =
            |events: &[(EventNo, StateKeyNo)]| Ok(events.iter().map(|(no, _)| counts.contains_key(no)).collect());
        self.conflict_difference(read, room, &own, agreed)
    }

    /// The *auth difference* of states, given for each what it has that not all have, and `agreed` to tell of events, with their state
    /// keys, which of them all states have.
    ///
    /// The cost is that of the chains that the given events go back to, and of what cites the difference; `agreed` is asked about some of
    /// the latter, many at once.
    pub fn conflict_difference(
        &self,
        read: &Read<'_>,
        room: RoomNo,
        states: &[Vec<EventNo>],
        agreed: impl FnMut(&[(EventNo, StateKeyNo)]) -> Agreed,
    ) -> Result<Vec<EventNo>, Error> {
        let graph = self.graph(read, room);
        // Of each chain: how many states go back to it, and how far the least and the most of these do.
        let mut chains: BTreeMap<u32, (usize, u16, u16)> = BTreeMap::new();
        for state in states {
            let places = graph.places(state)?;
            for (chain, upto) in Reach::before(&graph, &places)?.iter() {
                let (count, least, most) = chains.entry(chain).or_insert((0, upto, upto));
                (*count, *least, *most) = (*count + 1, upto.min(*least), upto.max(*most));
            }
        }
        let stretch = |(chain, (count, least, most)): (u32, (usize, u16, u16))| {
            let least = if count == states.len() { least } else { 0 };
            (least < most).then(|| Stretch { chain, low: least + 1, high: most })
        };
        let mut stretches: Vec<Stretch> = chains.into_iter().filter_map(stretch).collect();
        // What an event of all states goes back to is in the chain of all.
        let common = agreed::Search::new(&graph, &stretches, agreed).run()?;
        stretches.retain_mut(|stretch| {
            let upto = common.upto(stretch.chain);
            stretch.low = stretch.low.max(upto.saturating_add(1));
            upto < stretch.high
        });
        Ok(events(&graph, &stretches)?.into_iter().map(|(_, event, _)| event).collect())
    }

    /// The *conflicted state subgraph* of some conflicting events: all that lies on paths from one to another, the ends included.
    ///
    /// The cost is that of the chains that the events go back to.
    pub fn subgraph(&self, read: &Read<'_>, room: RoomNo, set: &[EventNo]) -> Result<Vec<EventNo>, Error> {
        subgraph::subgraph(&self.graph(read, room), set)
    }

    /// The auth chains of some events, taken together: all that they go back to. An event is in it only if another one of them goes back
    /// to it. At most `limit` events at once; `after` is where the piece before said to go on. A chain never changes, so the pieces may be read
    /// in closures of their own.
    pub fn chain(
        &self,
        read: &Read<'_>,
        room: RoomNo,
        of: &[EventNo],
        after: Option<Place>,
        limit: u16,
    ) -> Result<Piece, Error> {
        let graph = self.graph(read, room);
        let places = graph.places(of)?;
        let after = after.unwrap_or(Place::START);
        let reach = Reach::before(&graph, &places)?;
        let mut chains: Vec<(u32, u16)> = reach.iter().filter(|(chain, _)| *chain >= after.chain).collect();
        chains.sort_unstable();
        let (mut stretches, mut room_left, mut next) = (Vec::new(), limit.max(1), None);
        for (chain, upto) in chains {
            let start = if chain == after.chain { after.seq } else { 0 };
            if start >= upto {
                continue;
            }
            if room_left == 0 {
                next = stretches.last().map(|last: &Stretch| Place { chain: last.chain, seq: last.high });
                break;
            }
            let high = upto.min(start.saturating_add(room_left));
            stretches.push(Stretch { chain, low: start + 1, high });
            room_left -= high - start;
            if high < upto {
                next = Some(Place { chain, seq: high });
                break;
            }
        }
        let events = events(&graph, &stretches)?.into_iter().map(|(_, event, _)| event).collect();
        Ok(Piece { events, next })
    }

    /// Whether `ancestor` is in the auth chain of `event`.
    pub fn is_ancestor(&self, read: &Read<'_>, room: RoomNo, ancestor: EventNo, event: EventNo) -> Result<bool, Error> {
        let graph = self.graph(read, room);
        let [ancestor, event] = *graph.places(&[ancestor, event])? else { return Err(Error::NotIndexed(ancestor)) };
        let mut reach = Reach::default();
        reach.add_before(&graph, &[event])?;
        reach.close(&graph, |reach| reach.contains(ancestor))?;
        Ok(reach.contains(ancestor))
    }

    /// Which of some events of a room are in the index, in their order.
    pub fn has(&self, read: &Read<'_>, room: RoomNo, events: &[EventNo]) -> Result<Vec<bool>, Error> {
        let found = self.graph(read, room).find(events)?;
        Ok(events.iter().map(|event| found.contains_key(event)).collect())
    }
}

/// The events at some places with their state keys, in the order of the places.
fn events(graph: &Graph<'_>, stretches: &[Stretch]) -> Result<Vec<(Place, EventNo, StateKeyNo)>, Error> {
    let mut found = Vec::with_capacity(stretches.iter().map(|stretch| stretch.len()).sum());
    for batch in stretches.chunks(BATCH) {
        each_of(graph.read, EVENTS, graph.room, batch, None, |row| found.push(row))?;
    }
    found.sort_unstable();
    Ok(found)
}

/// Forgets a room that is deleted.
pub fn remove(tx: &Tx<'_>, room: RoomNo) -> Result<(), Error> {
    tx.execute(REMOVE_LINKS, params![room])?;
    tx.execute(REMOVE_PLACES, params![room])?;
    Ok(())
}

#[cfg(test)]
mod tests;
