use std::collections::BTreeMap;

use proptest::prelude::*;
use roost_matrix::ids::OwnedEventId;

use super::memory::{Memory, resolve};
use crate::{
    dag::{Dag, State},
    story::{Story, any_version, cases, steps},
};

/// A server that gets the events of a room in some order and in batches.
struct Server<'a> {
    dag: &'a Dag,
    arrived: Vec<OwnedEventId>,
    after: BTreeMap<OwnedEventId, State>,
}

impl Server<'_> {
    /// Takes in all events of a batch that it can; says which have to wait for others.
    fn receive(&mut self, batch: Vec<OwnedEventId>) -> Vec<OwnedEventId> {
        let mut waiting = batch;
        loop {
            let before = waiting.len();
            waiting.retain(|id| !self.take(id));
            if waiting.len() == before || waiting.is_empty() {
                return waiting;
            }
        }
    }

    fn take(&mut self, id: &OwnedEventId) -> bool {
        let pdu = &self.dag.events[id];
        if !pdu.prev_events().iter().all(|prev| self.after.contains_key(prev)) {
            return false;
        }
        let states: Vec<State> = pdu.prev_events().iter().rev().map(|prev| self.after[prev].clone()).collect();
        let mut state = match &*states {
            [] => State::new(),
            [one] => one.clone(),
            _ => resolve(&Memory::new(self.dag, &self.arrived, &states)),
        };
        if let Some(key) = pdu.state_key() {
            state.insert((pdu.kind().to_owned(), key.to_owned()), id.clone());
        }
        self.arrived.push(id.clone());
        self.after.insert(id.clone(), state);
        true
    }

    /// The current state: that of all events that no other comes after.
    fn current(&self) -> State {
        let heads = self
            .arrived
            .iter()
            .filter(|id| !self.arrived.iter().any(|other| self.dag.events[other].prev_events().contains(id)));
        let states: Vec<State> = heads.map(|id| self.after[id].clone()).collect();
        resolve(&Memory::new(self.dag, &self.arrived, &states))
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn servers_that_get_the_same_events_in_any_order_and_batches_have_the_same_state(
        version in any_version(),
        steps in steps(40),
        orders in prop::collection::vec((any::<u64>(), 1..8_usize), 2..4),
    ) {
        let story = Story::tell(version, &steps);
        let mut states = Vec::new();
        for (seed, batch) in orders {
            let mut shuffled = story.order.clone();
            let mut random = seed | 1;
            for at in (1..shuffled.len()).rev() {
                // xorshift
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                shuffled.swap(at, usize::try_from(random % (at as u64 + 1)).unwrap());
            }
            let mut server = Server { dag: &story.dag, arrived: Vec::new(), after: BTreeMap::new() };
            let mut waiting = Vec::new();
            for batch in shuffled.chunks(batch) {
                waiting.extend_from_slice(batch);
                waiting = server.receive(waiting);
            }
            prop_assert!(waiting.is_empty(), "every event finds its place");
            prop_assert_eq!(&server.after, &story.after, "the state after every event is the same");
            states.push(server.current());
        }
        prop_assert!(states.iter().all(|state| *state == states[0]));
    }
}
