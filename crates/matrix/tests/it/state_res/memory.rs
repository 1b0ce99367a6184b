//! A source that has everything in memory, and works out chains by their definitions.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use roost_matrix::{
    ids::OwnedEventId,
    state_res::{self, Conflict, Known, Source, StateMap, chains::Citations, separate},
};

use crate::dag::{Dag, State};

/// The events of a room, numbered in an order in which they arrived, and the states to resolve.
pub(crate) struct Memory<'a> {
    dag: &'a Dag,
    ids: Vec<OwnedEventId>,
    numbers: BTreeMap<OwnedEventId, u32>,
    pub(crate) states: Vec<StateMap<u32>>,
    pub(crate) unconflicted: StateMap<u32>,
    pub(crate) conflicts: Vec<Conflict<u32>>,
    pub(crate) rejected: BTreeSet<u32>,
    /// How many events were loaded.
    pub(crate) loaded: RefCell<usize>,
}

impl<'a> Memory<'a> {
    /// `order` is one in which no event comes before one that it cites.
    pub(crate) fn new(dag: &'a Dag, order: &[OwnedEventId], states: &[State]) -> Self {
        let numbers: BTreeMap<_, _> = order.iter().cloned().zip(0..).collect();
        let states: Vec<StateMap<u32>> =
            states.iter().map(|state| state.iter().map(|(key, id)| (key.clone(), numbers[id])).collect()).collect();
        let (unconflicted, conflicts) = separate(&states.iter().collect::<Vec<_>>());
        let unconflicted = unconflicted.into_iter().map(|(key, event)| (key.clone(), event)).collect();
        Self {
            dag,
            ids: order.to_vec(),
            numbers,
            states,
            unconflicted,
            conflicts,
            rejected: BTreeSet::new(),
            loaded: RefCell::new(0),
        }
    }

    pub(crate) fn id(&self, number: u32) -> &OwnedEventId {
        &self.ids[number as usize]
    }

    pub(crate) fn cites(&self, event: u32) -> Vec<u32> {
        let pdu = &self.dag.events[self.id(event)];
        pdu.auth_events().iter().filter_map(|id| self.numbers.get(id).copied()).collect()
    }

    pub(crate) fn chain(&self, from: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        let mut chain = BTreeSet::new();
        let mut queue: Vec<u32> = from.into_iter().collect();
        while let Some(event) = queue.pop() {
            for cited in self.cites(event) {
                if chain.insert(cited) {
                    queue.push(cited);
                }
            }
        }
        chain
    }

    /// By its definition: what is in some full auth chain and not in all.
    pub(crate) fn difference_as_defined(&self) -> BTreeSet<u32> {
        let chains: Vec<_> = self.states.iter().map(|state| self.chain(state.values().copied())).collect();
        let union: BTreeSet<u32> = chains.iter().flatten().copied().collect();
        union.into_iter().filter(|event| !chains.iter().all(|chain| chain.contains(event))).collect()
    }

    pub(crate) fn conflicting(&self) -> Vec<u32> {
        self.conflicts.iter().flat_map(|conflict| conflict.events.iter().copied()).collect()
    }

    /// By its definition: what goes back to a conflicting event (or is one) and is gone back to by one (or is one).
    pub(crate) fn subgraph_as_defined(&self) -> BTreeSet<u32> {
        let ends = self.conflicting();
        let below = self.chain(ends.iter().copied());
        let is_above = |event: u32| {
            let chain = self.chain([event]);
            ends.iter().any(|end| *end == event || chain.contains(end))
        };
        below.into_iter().chain(ends.iter().copied()).filter(|event| is_above(*event)).collect()
    }
}

impl Source for Memory<'_> {
    type Event = u32;
    type Error = Infallible;

    fn load(&self, events: &[u32]) -> Result<Vec<Option<Known<u32>>>, Infallible> {
        *self.loaded.borrow_mut() += events.len();
        let known = |event: &u32| Known {
            pdu: self.dag.events[self.id(*event)].clone(),
            auth_events: self.cites(*event),
            rejected: self.rejected.contains(event),
        };
        Ok(events.iter().map(|event| Some(known(event))).collect())
    }

    fn unconflicted(&self, kind: &str, state_key: &str) -> Result<Option<u32>, Infallible> {
        Ok(self.unconflicted.get(&(kind.to_owned(), state_key.to_owned())).copied())
    }

    fn auth_difference(&self) -> Result<Vec<u32>, Infallible> {
        Ok(self.difference_as_defined().into_iter().collect())
    }

    fn conflicted_subgraph(&self) -> Result<Vec<u32>, Infallible> {
        Ok(self.subgraph_as_defined().into_iter().collect())
    }

    fn create(&self) -> Result<Option<u32>, Infallible> {
        let mut events = self.ids.iter().zip(0..);
        Ok(events.find(|(id, _)| self.dag.events[*id].kind() == "m.room.create").map(|(_, number)| number))
    }
}

impl Citations for Memory<'_> {
    type Event = u32;
    type Error = Infallible;

    fn auth_events(&self, event: u32) -> Result<Vec<u32>, Infallible> {
        Ok(self.cites(event))
    }

    fn cited_by(&self, event: u32) -> Result<Vec<u32>, Infallible> {
        let is_state = |number: &u32| self.dag.events[self.id(*number)].state_key().is_some();
        let all = 0..u32::try_from(self.ids.len()).unwrap();
        Ok(all.filter(|number| is_state(number) && self.cites(*number).contains(&event)).collect())
    }

    fn rank(&self, event: u32) -> Result<u64, Infallible> {
        Ok(event.into())
    }

    fn is_unconflicted(&self, event: u32) -> Result<bool, Infallible> {
        Ok(self.unconflicted.values().any(|unconflicted| *unconflicted == event))
    }
}

/// The whole resolved state.
pub(crate) fn resolve(memory: &Memory<'_>) -> State {
    let Ok(resolved) = state_res::resolve(memory.dag.rules, &memory.conflicts, memory);
    let mut state: State =
        memory.unconflicted.iter().map(|(key, event)| (key.clone(), memory.id(*event).clone())).collect();
    for entry in resolved {
        if let Some(event) = entry.event {
            let before = state.insert((entry.kind, entry.state_key), memory.id(event).clone());
            assert_eq!(before, None, "what the states agree on is not touched");
        }
    }
    state
}
