//! [State resolution](https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution): one state out of several.
//!
//! The algorithms see a room only through [`Source`], and ask it for no more than the conflict: the conflicting entries are
//! handed in, unconflicted entries are looked up one by one, and what lies between the auth chains is the source's to work
//! out, from an index if it has one ([`chains`] does it by walking). So the cost grows with the conflict and not with the
//! room. Nothing recurses, however events cite each other.
//!
//! Which algorithm a room uses is in its version's rules: [1](https://spec.matrix.org/v1.19/rooms/v1/#state-resolution),
//! [2](https://spec.matrix.org/v1.19/rooms/v2/#state-resolution) or
//! [2.1](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution).

pub mod chains;
mod graph;
mod mainline;
mod order;
mod v1;
mod v2;

use std::{collections::BTreeMap, hash::Hash};

use crate::{
    event::Pdu,
    room_version::{Rules, StateResolution},
};

/// An event as its source knows it.
#[derive(Debug, Clone)]
pub struct Known<E> {
    /// The event.
    pub pdu: Pdu,
    /// The events that it cites, as far as they are known.
    pub auth_events: Vec<E>,
    /// Whether it was rejected.
    pub rejected: bool,
}

/// Events as they were asked for; nothing in place of one that is not known.
pub type Loaded<E> = Vec<Option<Known<E>>>;

/// What state resolution asks about a room and the states to be resolved.
pub trait Source {
    /// Names an event: a number, if the caller has such.
    type Event: Copy + Eq + Hash;
    /// Why it could not answer.
    type Error;

    /// Events, in the order asked for. All that can be foreseen is asked for
    /// together.
    fn load(&self, events: &[Self::Event]) -> Result<Loaded<Self::Event>, Self::Error>;

    /// The event that all states have for this type and state key, if they agree on one.
    fn unconflicted(&self, kind: &str, state_key: &str) -> Result<Option<Self::Event>, Self::Error>;

    /// The *auth difference* of the states: what is in the full auth chain of some and not of all. Not asked by version 1.
    fn auth_difference(&self) -> Result<Vec<Self::Event>, Self::Error>;

    /// The *conflicted state subgraph*: what lies on a path along auth events from one conflicting event to another. Asked by
    /// version 2.1 only.
    fn conflicted_subgraph(&self) -> Result<Vec<Self::Event>, Self::Error>;

    /// The create event that the room id names. Asked by version 2.1 only.
    fn create(&self) -> Result<Option<Self::Event>, Self::Error>;
}

/// A type and state key on which the states do not agree: not all have it, or not all with the same event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict<E> {
    /// The type.
    pub kind: String,
    /// The state key.
    pub state_key: String,
    /// The different events that states have for it.
    pub events: Vec<E>,
}

/// What the resolved state has for a type and state key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<E> {
    /// The type.
    pub kind: String,
    /// The state key.
    pub state_key: String,
    /// The event; nothing when none of the conflicting ones is allowed.
    pub event: Option<E>,
}

/// Resolves the conflicts between states.
///
/// The resolved state is what all states have in common with the answer laid over it. The answer has an entry for each
/// conflict, in their order, and after these entries, in order of their keys, for what no state has but the algorithm adds
/// (only events that states should have had: of a correct room there are none).
pub fn resolve<S: Source>(
    rules: &'static Rules,
    conflicts: &[Conflict<S::Event>],
    source: &S,
) -> Result<Vec<Resolved<S::Event>>, S::Error> {
    match rules.state_resolution {
        StateResolution::V1 => v1::resolve(conflicts, source),
        StateResolution::V2 | StateResolution::V2_1 => v2::resolve(rules, conflicts, source),
    }
}

/// A state with all its entries.
pub type StateMap<E> = BTreeMap<(String, String), E>;

/// What states agree on, in order of the keys.
pub type Agreed<'a, E> = Vec<(&'a (String, String), E)>;

/// Takes whole states apart into what they agree on and what they do not. For states that are not already known by their
/// difference; the cost is that of all entries.
#[must_use]
pub fn separate<'a, E: Copy + Eq>(states: &[&'a StateMap<E>]) -> (Agreed<'a, E>, Vec<Conflict<E>>) {
    let mut entries: Vec<_> = states.iter().map(|state| state.iter().peekable()).collect();
    let (mut unconflicted, mut conflicts) = (Vec::new(), Vec::new());
    while let Some(key) = entries.iter_mut().filter_map(|entries| entries.peek().map(|(key, _)| *key)).min() {
        let mut count = 0;
        let mut events = Vec::with_capacity(1);
        for entries in &mut entries {
            if let Some((_, event)) = entries.next_if(|(next, _)| *next == key) {
                count += 1;
                if !events.contains(event) {
                    events.push(*event);
                }
            }
        }
        match *events {
            [event] if count == states.len() => unconflicted.push((key, event)),
            _ => conflicts.push(Conflict { kind: key.0.clone(), state_key: key.1.clone(), events }),
        }
    }
    (unconflicted, conflicts)
}
