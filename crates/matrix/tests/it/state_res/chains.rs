use std::collections::BTreeSet;

use proptest::prelude::*;
use roost_matrix::state_res::chains::{auth_difference, conflicted_subgraph};

use super::memory::Memory;
use crate::story::{Story, any_version, cases, steps};

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn walking_finds_what_the_definitions_say(version in any_version(), steps in steps(40)) {
        let story = Story::tell(version, &steps);
        for (states, _) in &story.merges {
            let memory = Memory::new(&story.dag, &story.order, states);
            let conflicting: Vec<Vec<u32>> = memory
                .states
                .iter()
                .map(|state| {
                    state.iter().filter(|(key, _)| !memory.unconflicted.contains_key(*key)).map(|(_, event)| *event).collect()
                })
                .collect();
            let Ok(difference) = auth_difference(&memory, &conflicting);
            prop_assert_eq!(difference.len(), difference.iter().collect::<BTreeSet<_>>().len(), "each once");
            prop_assert_eq!(BTreeSet::from_iter(difference), memory.difference_as_defined());

            // Conflicting events that no path leads to or from are in the conflict anyway.
            let ends = BTreeSet::from_iter(memory.conflicting());
            let Ok(subgraph) = conflicted_subgraph(&memory, &memory.conflicting());
            let subgraph: BTreeSet<u32> = subgraph.into_iter().chain(ends).collect();
            prop_assert_eq!(subgraph, memory.subgraph_as_defined());
        }
    }
}
