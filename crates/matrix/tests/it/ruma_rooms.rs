//! Authorisation and state resolution against `ruma-state-res`, which knows room versions 6 and later.

use std::collections::HashMap;

use proptest::prelude::*;
use roost_matrix::{
    auth::{Cited, check, check_auth_events},
    event::Pdu,
    ids::{EventId, OwnedEventId},
    room_version::RoomVersion,
};
use ruma::events::StateEventType;
use ruma_state_res::{
    StateMap, check_state_dependent_auth_rules, check_state_independent_auth_rules, resolve,
    utils::event_id_set::EventIdSet,
};

use crate::{
    dag::{Dag, State},
    state_res::memory::Memory,
    story::{Step, Story, cases, newer_version, steps},
    theirs::{Theirs, rules},
};

fn their_state(state: &State) -> StateMap<OwnedEventId> {
    state.iter().map(|((kind, key), id)| ((StateEventType::from(kind.as_str()), key.clone()), id.clone())).collect()
}

fn all(dag: &Dag) -> HashMap<OwnedEventId, Theirs> {
    dag.events.iter().map(|(id, pdu)| (id.clone(), Theirs::of(pdu))).collect()
}

/// Whether ruma allows an event on a state, by both of its checks.
fn they_allow(
    version: RoomVersion,
    events: &HashMap<OwnedEventId, Theirs>,
    id: &EventId,
    state: &State,
) -> Result<(), String> {
    let rules = rules(version).authorization;
    let event = &events[id];
    check_state_independent_auth_rules(&rules, event, |id| events.get(id))?;
    check_state_dependent_auth_rules(&rules, event, |kind: &StateEventType, key: &str| {
        state.get(&(kind.to_string(), key.to_owned())).and_then(|id| events.get(id))
    })
}

fn we_allow(dag: &Dag, id: &EventId, state: &State) -> Result<(), String> {
    let pdu = &dag.events[id];
    let cited: Vec<Pdu> = pdu.auth_events().iter().map(|id| dag.events[id].clone()).collect();
    let cited: Vec<Cited<'_>> = cited.iter().map(|pdu| Cited { pdu, rejected: false }).collect();
    let create = dag.events.values().find(|pdu| pdu.kind() == "m.room.create");
    check_auth_events(pdu, &cited, create.map(|pdu| Cited { pdu, rejected: false }))
        .and_then(|()| check(pdu, &|kind: &str, key: &str| dag.get(state, kind, key)))
        .map_err(|denied| denied.to_string())
}

fn compare(version: RoomVersion, steps: &[Step]) -> Result<(), TestCaseError> {
    let story = Story::tell_from_trunk(version, steps);
    let events = all(&story.dag);

    // Where join rules are lost in a resolution, ruma refuses every join; the specification has such rooms be for those invited
    // (docs/decisions/0201-authorisation-readings.md). Nothing is compared there.
    let has_join_rules = |state: &State| state.contains_key(&("m.room.join_rules".to_owned(), String::new()));

    for (id, state, _) in story.tried.iter().filter(|(_, state, _)| has_join_rules(state)) {
        let (ours, theirs) = (we_allow(&story.dag, id, state), they_allow(version, &events, id, state));
        prop_assert_eq!(
            ours.is_ok(),
            theirs.is_ok(),
            "{:?}\nours: {:?}\ntheirs: {:?}",
            story.dag.events[id],
            ours,
            theirs
        );
    }

    let lost_on_the_way = story.order.iter().skip(3).any(|id| !has_join_rules(&story.after[id]));
    for (states, resolved) in story.merges.iter().filter(|_| !lost_on_the_way) {
        if !has_join_rules(resolved) || !states.iter().all(has_join_rules) {
            continue;
        }
        let memory = Memory::new(&story.dag, &story.order, states);
        let id_set = |numbers: std::collections::BTreeSet<u32>| {
            numbers.into_iter().map(|number| memory.id(number).clone()).collect::<EventIdSet<_>>()
        };
        let chains = memory.states.iter().map(|state| id_set(memory.chain(state.values().copied()))).collect();
        let maps: Vec<_> = states.iter().map(their_state).collect();
        let rules = rules(version);
        let theirs = resolve(
            &rules.authorization,
            rules.state_res.v2_rules().unwrap(),
            &maps,
            chains,
            |id| events.get(id).cloned(),
            |_| Some(id_set(memory.subgraph_as_defined())),
        )
        .unwrap();
        prop_assert_eq!(&their_state(resolved), &theirs);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn ruma_allows_and_resolves_alike(version in newer_version(), steps in steps(60)) {
        compare(version, &steps)?;
    }
}
