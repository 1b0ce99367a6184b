//! Authorisation and state resolution of all room versions against Synapse.

use proptest::{prelude::*, test_runner::TestRunner};
use roost_matrix::{
    auth::{Cited, check, check_auth_events},
    event::Pdu,
    room_version::RoomVersion,
};
use serde_json::{Value, json};

use super::Oracle;
use crate::{
    dag::{Dag, State},
    state_res::memory::Memory,
    story::{Step, Story, cases, steps},
};

fn text(pdu: &Pdu) -> &str {
    pdu.as_str()
}

fn state_json(state: &State) -> Value {
    state.iter().map(|((kind, key), id)| json!([kind, key, id])).collect()
}

fn events_json<'a>(pdus: impl IntoIterator<Item = &'a Pdu>) -> Value {
    pdus.into_iter().map(|pdu| json!(text(pdu))).collect()
}

fn we_allow(dag: &Dag, pdu: &Pdu, state: &State) -> Result<(), String> {
    let cited: Vec<Pdu> = pdu.auth_events().iter().map(|id| dag.events[id].clone()).collect();
    let cited: Vec<Cited<'_>> = cited.iter().map(|pdu| Cited { pdu, rejected: false }).collect();
    let create = dag.events.values().find(|pdu| pdu.kind() == "m.room.create");
    check_auth_events(pdu, &cited, create.map(|pdu| Cited { pdu, rejected: false }))
        .and_then(|()| check(pdu, &|kind: &str, key: &str| dag.get(state, kind, key)))
        .map_err(|denied| denied.to_string())
}

fn compare(oracle: &mut Oracle, version: RoomVersion, steps: &[Step]) -> Result<(), TestCaseError> {
    let story = Story::tell(version, steps);
    let tried: Vec<Value> =
        story.tried.iter().map(|(id, state, _)| json!({"event": id, "state": state_json(state)})).collect();
    let merges: Vec<Value> = story
        .merges
        .iter()
        .map(|(states, _)| {
            let memory = Memory::new(&story.dag, &story.order, states);
            let ids = |numbers: std::collections::BTreeSet<u32>| -> Value {
                numbers.into_iter().map(|number| json!(memory.id(number))).collect()
            };
            json!({
                "states": states.iter().map(state_json).collect::<Value>(),
                "auth_difference": ids(memory.difference_as_defined()),
                "conflicted_subgraph": ids(memory.subgraph_as_defined()),
            })
        })
        .collect();
    let answer = oracle
        .ask(
            "room",
            json!({
                "version": version.as_str(),
                "events": events_json(story.dag.events.values()),
                "tried": tried,
                "merges": merges,
            }),
        )
        .map_err(TestCaseError::fail)?;

    for ((id, state, _), theirs) in story.tried.iter().zip(answer["allowed"].as_array().unwrap()) {
        let pdu = &story.dag.events[id];
        let ours = we_allow(&story.dag, pdu, state);
        prop_assert_eq!(ours.is_ok(), theirs.is_null(), "{:?}\nours: {:?}\ntheirs: {}", pdu, ours, theirs);
    }
    for ((states, resolved), theirs) in story.merges.iter().zip(answer["resolved"].as_array().unwrap()) {
        let mut theirs: Vec<Value> = theirs.as_array().unwrap().clone();
        theirs.sort_by_key(ToString::to_string);
        let mut ours: Vec<Value> = state_json(resolved).as_array().unwrap().clone();
        ours.sort_by_key(ToString::to_string);
        prop_assert_eq!(ours, theirs, "{:?}", states);
    }
    Ok(())
}

#[test]
fn synapse_allows_and_resolves_alike_in_every_version() {
    let Some(mut oracle) = Oracle::start("synapse_allows_and_resolves_alike_in_every_version") else { return };
    let oracle = std::cell::RefCell::new(&mut oracle);
    for version in RoomVersion::ALL {
        TestRunner::new(cases(16))
            .run(&steps(50), |steps| compare(*oracle.borrow_mut(), version, &steps))
            .unwrap_or_else(|error| panic!("version {version}: {error}"));
    }
}
