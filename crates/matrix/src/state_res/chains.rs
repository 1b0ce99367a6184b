//! Auth differences and conflicted subgraphs by walking the graph of auth events, for sources without an index of auth
//! chains, and as what such an index is tested against.
//!
//! Only state events count as citing: what messages cite lies in no auth chain of a state.

use std::{
    collections::{BTreeSet, BinaryHeap, HashMap, HashSet},
    hash::Hash,
};

/// How events cite each other, and which of them the states agree on.
pub trait Citations {
    /// Names an event.
    type Event: Copy + Ord + Hash;
    /// Why it could not answer.
    type Error;

    /// The events that an event cites.
    fn auth_events(&self, event: Self::Event) -> Result<Vec<Self::Event>, Self::Error>;

    /// The state events that cite an event. If an unconflicted one is among them, that one alone will do.
    fn cited_by(&self, event: Self::Event) -> Result<Vec<Self::Event>, Self::Error>;

    /// A number greater than that of every event it cites.
    fn rank(&self, event: Self::Event) -> Result<u64, Self::Error>;

    /// Whether it is in every state.
    fn is_unconflicted(&self, event: Self::Event) -> Result<bool, Self::Error>;
}

/// The *auth difference* of states, given for each what it has that not all have.
///
/// Walks down from the conflicting events until all states have met, and then asks of each event that only some reached
/// whether an event that all states have goes back to it. The cost is that of the part of the graph where they differ.
pub fn auth_difference<C: Citations>(graph: &C, states: &[Vec<C::Event>]) -> Result<Vec<C::Event>, C::Error> {
    let words = states.len().div_ceil(64).max(1);
    let mut walk = Walk { queue: BinaryHeap::new(), reached: HashMap::new(), partial: 0, all: states.len() };
    for (number, state) in states.iter().enumerate() {
        let mut mask = vec![0_u64; words];
        mask[number / 64] |= 1 << (number % 64);
        for event in state {
            for cited in graph.auth_events(*event)? {
                walk.reach(graph, cited, &mask)?;
            }
        }
    }

    let mut candidates = Vec::new();
    while walk.partial > 0 {
        let Some((_, event)) = walk.queue.pop() else { break };
        let Some(mask) = walk.reached.remove(&event) else { continue };
        if count(&mask) < walk.all {
            walk.partial -= 1;
            candidates.push(event);
        }
        for cited in graph.auth_events(event)? {
            walk.reach(graph, cited, &mask)?;
        }
    }

    // What an unconflicted event goes back to is in the chain of every state.
    let mut common = Common { known: HashMap::new() };
    let mut difference = Vec::new();
    for event in candidates {
        if !common.contains(graph, event)? {
            difference.push(event);
        }
    }
    Ok(difference)
}

fn count(mask: &[u64]) -> usize {
    mask.iter().map(|word| word.count_ones() as usize).sum()
}

struct Walk<E> {
    /// By rank, so that an event comes after all that cite it.
    queue: BinaryHeap<(u64, E)>,
    /// The states from which events in the queue have been reached.
    reached: HashMap<E, Vec<u64>>,
    /// How many of these have not been reached from all.
    partial: usize,
    all: usize,
}

impl<E: Copy + Ord + Hash> Walk<E> {
    fn reach<C: Citations<Event = E>>(&mut self, graph: &C, event: E, from: &[u64]) -> Result<(), C::Error> {
        if let Some(mask) = self.reached.get_mut(&event) {
            let was_partial = count(mask) < self.all;
            for (word, more) in mask.iter_mut().zip(from) {
                *word |= more;
            }
            if was_partial && count(mask) == self.all {
                self.partial -= 1;
            }
        } else {
            self.queue.push((graph.rank(event)?, event));
            self.partial += usize::from(count(from) < self.all);
            self.reached.insert(event, from.to_vec());
        }
        Ok(())
    }
}

/// Which events lie in the auth chain of an unconflicted one.
struct Common<E> {
    known: HashMap<E, bool>,
}

impl<E: Copy + Ord + Hash> Common<E> {
    fn contains<C: Citations<Event = E>>(&mut self, graph: &C, event: E) -> Result<bool, C::Error> {
        // Each frame: an event and those citing it that are still to be looked at. An event is known to lie in no chain
        // only when all that cite it are known to.
        let mut stack = vec![(event, graph.cited_by(event)?)];
        while let Some((event, citing)) = stack.last_mut() {
            let event = *event;
            if let Some(known) = self.known.get(&event) {
                let known = *known;
                stack.pop();
                if known && let Some((below, _)) = stack.last() {
                    self.known.insert(*below, true);
                }
                continue;
            }
            match citing.pop() {
                None => {
                    self.known.insert(event, false);
                }
                Some(next) if graph.is_unconflicted(next)? => {
                    self.known.insert(event, true);
                }
                Some(next) => match self.known.get(&next) {
                    Some(true) => {
                        self.known.insert(event, true);
                    }
                    Some(false) => {}
                    None => stack.push((next, graph.cited_by(next)?)),
                },
            }
        }
        Ok(self.known.get(&event).copied().unwrap_or_default())
    }
}

/// The *conflicted state subgraph* of some conflicting events: all that lies on paths from one to another, the ends included.
pub fn conflicted_subgraph<C: Citations>(graph: &C, conflicting: &[C::Event]) -> Result<Vec<C::Event>, C::Error> {
    let ends: BTreeSet<C::Event> = conflicting.iter().copied().collect();
    // What ranks below all of them goes back to none of them.
    let mut lowest = u64::MAX;
    for event in &ends {
        lowest = lowest.min(graph.rank(*event)?);
    }

    let mut seen: HashSet<C::Event> = ends.iter().copied().collect();
    let mut citing = HashMap::<C::Event, Vec<C::Event>>::new();
    let mut queue: Vec<C::Event> = ends.iter().copied().collect();
    while let Some(event) = queue.pop() {
        for cited in graph.auth_events(event)? {
            if graph.rank(cited)? < lowest {
                continue;
            }
            citing.entry(cited).or_default().push(event);
            if seen.insert(cited) {
                queue.push(cited);
            }
        }
    }

    // Everything seen is gone back to by an end; what goes back to one is on a path.
    let mut between = BTreeSet::new();
    let mut queue: Vec<C::Event> = ends.into_iter().filter(|end| citing.contains_key(end)).collect();
    while let Some(event) = queue.pop() {
        if between.insert(event) {
            queue.extend(citing.get(&event).into_iter().flatten());
        }
    }
    Ok(between.into_iter().collect())
}
