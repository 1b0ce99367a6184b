//! State resolution of [room version 2](https://spec.matrix.org/v1.19/rooms/v2/#state-resolution) and, with two changes, of
//! [room version 12](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution).

use std::collections::BTreeSet;

use super::{
    Conflict, Resolved, Source,
    graph::{At, Base, Graph, Partial, Selected},
    mainline::Mainline,
    order::power_ordering,
};
use crate::{
    auth::{Checker, Membership},
    event::Pdu,
    room_version::{Rules, StateResolution},
};

pub(super) fn resolve<S: Source>(
    rules: &'static Rules,
    conflicts: &[Conflict<S::Event>],
    source: &S,
) -> Result<Vec<Resolved<S::Event>>, S::Error> {
    if conflicts.is_empty() {
        return Ok(Vec::new());
    }
    let is_2_1 = rules.state_resolution == StateResolution::V2_1;
    let mut graph = Graph::new(source);

    // The full conflicted set.
    let mut events: Vec<_> = conflicts.iter().flat_map(|conflict| conflict.events.iter().copied()).collect();
    events.extend(source.auth_difference()?);
    if is_2_1 {
        events.extend(source.conflicted_subgraph()?);
    }
    graph.load(events.iter().copied())?;
    let conflicted: BTreeSet<At> = events
        .into_iter()
        .filter_map(|event| graph.find(event))
        .filter(|at| graph.pdu(*at).state_key().is_some())
        .collect();
    let members: Vec<At> = conflicted.iter().copied().collect();
    graph.load_auth_events(&members)?;

    // 1. The power events and those of their auth chains that are in the set too.
    let mut power = BTreeSet::new();
    let mut queue: Vec<At> = members.iter().copied().filter(|at| is_power_event(graph.pdu(*at))).collect();
    while let Some(at) = queue.pop() {
        if power.insert(at) {
            queue.extend(graph.auth_events(at)?.filter(|auth| conflicted.contains(auth)));
        }
    }
    let sorted = power_ordering(&mut graph, rules, &power)?;

    // 2. Each is checked against what those before it have made.
    let mut state = Partial::new(if is_2_1 { Base::Empty } else { Base::Unconflicted });
    let mut checker = Checker::default();
    iterative_auth_checks(&mut graph, &mut state, &sorted, &mut checker)?;

    // 3. The others, by the power levels that they go back to.
    let rest: Vec<At> = members.iter().copied().filter(|at| !power.contains(at)).collect();
    let power_levels = state.get(&mut graph, "m.room.power_levels", "")?;
    let sorted = Mainline::new(power_levels).ordering(&mut graph, &rest)?;

    // 4. Each is checked as well.
    iterative_auth_checks(&mut graph, &mut state, &sorted, &mut checker)?;

    // 5. What the states agree on stays.
    let mut resolved: Vec<_> = conflicts
        .iter()
        .map(|conflict| {
            let key = (conflict.kind.clone(), conflict.state_key.clone());
            let event = state.entries.remove(&key).map(|at| graph.node(at).event);
            Resolved { kind: key.0, state_key: key.1, event }
        })
        .collect();
    for ((kind, state_key), at) in state.entries {
        if source.unconflicted(&kind, &state_key)?.is_none() {
            resolved.push(Resolved { kind, state_key, event: Some(graph.node(at).event) });
        }
    }
    Ok(resolved)
}

/// The *iterative auth checks algorithm*.
fn iterative_auth_checks<S: Source>(
    graph: &mut Graph<'_, S>,
    state: &mut Partial,
    sorted: &[At],
    checker: &mut Checker,
) -> Result<(), S::Error> {
    for at in sorted {
        if Selected::check(graph, state, *at, true, checker)? {
            let pdu = graph.pdu(*at);
            if let Some(state_key) = pdu.state_key() {
                state.entries.insert((pdu.kind().to_owned(), state_key.to_owned()), *at);
            }
        }
    }
    Ok(())
}

/// Whether this is a *power event*: one that might take from somebody the ability to do something in the room.
///
/// Power levels and join rules have an empty state key; what has another is not what the specification means by these types.
fn is_power_event(pdu: &Pdu) -> bool {
    match (pdu.kind(), pdu.state_key()) {
        ("m.room.power_levels" | "m.room.join_rules", Some("")) => true,
        ("m.room.member", Some(target)) => {
            target != pdu.sender().as_str() && matches!(Membership::of(pdu), Membership::Leave | Membership::Ban)
        }
        _ => false,
    }
}
