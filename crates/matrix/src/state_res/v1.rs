//! State resolution of [room version 1](https://spec.matrix.org/v1.19/rooms/v1/#state-resolution).

use std::cmp::Reverse;

use sha1::{Digest, Sha1};

use super::{
    Conflict, Resolved, Source,
    graph::{At, Base, Graph, Partial, Selected},
};
use crate::auth::Checker;

pub(super) fn resolve<S: Source>(
    conflicts: &[Conflict<S::Event>],
    source: &S,
) -> Result<Vec<Resolved<S::Event>>, S::Error> {
    let mut graph = Graph::new(source);
    graph.load(conflicts.iter().flat_map(|conflict| conflict.events.iter().copied()))?;
    let mut state = Partial::new(Base::Unconflicted);
    let mut checker = Checker::default();

    // In this version a conflict is between states that have different events; having one or none is not.
    let mut open = Vec::new();
    for conflict in conflicts {
        let mut events: Vec<At> = conflict.events.iter().filter_map(|event| graph.find(*event)).collect();
        match *events {
            [] => {}
            [only] => {
                state.entries.insert(key(conflict), only);
            }
            _ => {
                // Ascending depth, then descending hash of the event id.
                events.sort_by_cached_key(|at| {
                    let pdu = graph.pdu(*at);
                    (pdu.depth(), Reverse(Sha1::digest(pdu.event_id().as_str())))
                });
                open.push((conflict, events));
            }
        }
    }

    for kind in ["m.room.power_levels", "m.room.join_rules", "m.room.member"] {
        // What one conflict of a kind comes to is not seen by the others of that kind.
        let mut resolved = Vec::new();
        for (conflict, events) in open.iter().filter(|(conflict, _)| conflict.kind == kind) {
            let key = key(conflict);
            let before = state.entries.get(&key).copied();
            let mut last = events.first().copied();
            for at in events.iter().skip(1) {
                if let Some(last) = last {
                    state.entries.insert(key.clone(), last);
                }
                if !Selected::check(&mut graph, &mut state, *at, false, &mut checker)? {
                    break;
                }
                last = Some(*at);
            }
            match before {
                Some(before) => state.entries.insert(key.clone(), before),
                None => state.entries.remove(&key),
            };
            resolved.extend(last.map(|last| (key, last)));
        }
        state.entries.extend(resolved);
        open.retain(|(conflict, _)| conflict.kind != kind);
    }

    let mut resolved = Vec::new();
    for (conflict, events) in &open {
        // The highest depth and lowest hash that passes. The specification does not say what counts if none does; servers of
        // such rooms take the last one tried (docs/decisions/0202-state-resolution-readings.md).
        let mut choice = None;
        for at in events.iter().rev() {
            choice = Some(*at);
            if Selected::check(&mut graph, &mut state, *at, false, &mut checker)? {
                break;
            }
        }
        resolved.extend(choice.map(|at| (key(conflict), at)));
    }
    state.entries.extend(resolved);

    Ok(conflicts
        .iter()
        .map(|conflict| Resolved {
            kind: conflict.kind.clone(),
            state_key: conflict.state_key.clone(),
            event: state.entries.get(&key(conflict)).map(|at| graph.node(*at).event),
        })
        .collect())
}

fn key<E>(conflict: &Conflict<E>) -> (String, String) {
    (conflict.kind.clone(), conflict.state_key.clone())
}
