//! The events that a resolution has met.

use std::collections::{BTreeMap, HashMap};

use super::Source;
use crate::{
    auth::{Checker, StateView, each_auth_type},
    event::Pdu,
};

/// Where an event stands among those loaded.
pub(super) type At = usize;

pub(super) struct Node<E> {
    pub(super) event: E,
    pub(super) pdu: Pdu,
    pub(super) auth_events: Vec<E>,
    pub(super) rejected: bool,
}

/// What has been loaded, each event once.
pub(super) struct Graph<'s, S: Source> {
    pub(super) source: &'s S,
    nodes: Vec<Node<S::Event>>,
    /// Nothing for events that the source does not know.
    index: HashMap<S::Event, Option<At>>,
}

impl<'s, S: Source> Graph<'s, S> {
    pub(super) fn new(source: &'s S) -> Self {
        Self { source, nodes: Vec::new(), index: HashMap::new() }
    }

    pub(super) fn node(&self, at: At) -> &Node<S::Event> {
        &self.nodes[at]
    }

    pub(super) fn pdu(&self, at: At) -> &Pdu {
        &self.nodes[at].pdu
    }

    /// Whether the event is a state event of this type and key.
    pub(super) fn is(&self, at: At, kind: &str, state_key: &str) -> bool {
        let pdu = self.pdu(at);
        pdu.kind() == kind && pdu.state_key() == Some(state_key)
    }

    /// Loads what is not yet there, in one go.
    pub(super) fn load(&mut self, events: impl IntoIterator<Item = S::Event>) -> Result<(), S::Error> {
        let mut missing = Vec::new();
        for event in events {
            self.index.entry(event).or_insert_with(|| {
                missing.push(event);
                None
            });
        }
        if missing.is_empty() {
            return Ok(());
        }
        for (event, known) in missing.iter().zip(self.source.load(&missing)?) {
            if let Some(known) = known {
                self.index.insert(*event, Some(self.nodes.len()));
                let node =
                    Node { event: *event, pdu: known.pdu, auth_events: known.auth_events, rejected: known.rejected };
                self.nodes.push(node);
            }
        }
        Ok(())
    }

    /// Loads the auth events of some events, in one go.
    pub(super) fn load_auth_events(&mut self, of: &[At]) -> Result<(), S::Error> {
        let events: Vec<_> = of.iter().flat_map(|at| self.nodes[*at].auth_events.iter().copied()).collect();
        self.load(events)
    }

    /// Where an event is that may have to be loaded first.
    pub(super) fn at(&mut self, event: S::Event) -> Result<Option<At>, S::Error> {
        if let Some(at) = self.index.get(&event) {
            return Ok(*at);
        }
        self.load([event])?;
        Ok(self.find(event))
    }

    /// Where an event is, if it has been loaded.
    pub(super) fn find(&self, event: S::Event) -> Option<At> {
        self.index.get(&event).copied().flatten()
    }

    /// The auth events of an event, loaded.
    pub(super) fn auth_events(&mut self, of: At) -> Result<impl Iterator<Item = At> + '_, S::Error> {
        self.load_auth_events(&[of])?;
        Ok(self.nodes[of].auth_events.iter().filter_map(|event| self.find(*event)))
    }

    /// The first of an event's auth events with this type and key.
    pub(super) fn auth_event(&mut self, of: At, kind: &str, state_key: &str) -> Result<Option<At>, S::Error> {
        self.load_auth_events(&[of])?;
        let mut auth_events = self.nodes[of].auth_events.iter().filter_map(|event| self.find(*event));
        Ok(auth_events.find(|at| self.is(*at, kind, state_key)))
    }
}

/// Where the partially resolved state stands on when it has no entry of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The unconflicted state map.
    Unconflicted,
    /// Nothing.
    Empty,
}

/// A state while it is being resolved.
pub(super) struct Partial {
    base: Base,
    /// What stands in the unconflicted state map, as far as it was asked.
    unconflicted: BTreeMap<(String, String), Option<At>>,
    pub(super) entries: BTreeMap<(String, String), At>,
}

impl Partial {
    pub(super) fn new(base: Base) -> Self {
        Self { base, unconflicted: BTreeMap::new(), entries: BTreeMap::new() }
    }

    pub(super) fn get<S: Source>(
        &mut self,
        graph: &mut Graph<'_, S>,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<At>, S::Error> {
        let key = (kind.to_owned(), state_key.to_owned());
        if let Some(at) = self.entries.get(&key) {
            return Ok(Some(*at));
        }
        if self.base == Base::Empty {
            return Ok(None);
        }
        if let Some(at) = self.unconflicted.get(&key) {
            return Ok(*at);
        }
        let at = match graph.source.unconflicted(kind, state_key)? {
            Some(event) => graph.at(event)?,
            None => None,
        };
        self.unconflicted.insert(key, at);
        Ok(at)
    }
}

/// The few events that a check of one event can ask for.
pub(super) struct Selected(Vec<(String, String, Pdu)>);

impl StateView for Selected {
    fn get(&self, kind: &str, state_key: &str) -> Option<Pdu> {
        self.0.iter().find(|(k, s, _)| k == kind && s == state_key).map(|(_, _, pdu)| pdu.clone())
    }
}

impl Selected {
    /// Whether the rules allow the event, given a state and, where the state has no entry, the event's own auth events (with
    /// `fallback`).
    pub(super) fn check<S: Source>(
        graph: &mut Graph<'_, S>,
        state: &mut Partial,
        at: At,
        fallback: bool,
        checker: &mut Checker,
    ) -> Result<bool, S::Error> {
        let pdu = graph.pdu(at).clone();
        let mut keys = Vec::with_capacity(6);
        each_auth_type(pdu.rules(), pdu.kind(), pdu.sender(), pdu.state_key(), pdu.content(), |kind, state_key| {
            keys.push((kind.to_owned(), state_key.to_owned()));
        });
        let create_is_implied = !pdu.rules().auth.create_is_auth_event;
        if create_is_implied && pdu.kind() != "m.room.create" {
            keys.push(("m.room.create".to_owned(), String::new()));
        }

        let mut selected = Vec::with_capacity(keys.len());
        for (kind, state_key) in keys {
            let mut found = state.get(graph, &kind, &state_key)?;
            if found.is_none() && fallback {
                // Of two auth events with one key, which no accepted event has, the last counts.
                let mut last = None;
                graph.load_auth_events(&[at])?;
                for event in &graph.node(at).auth_events {
                    if let Some(auth) = graph.find(*event)
                        && graph.is(auth, &kind, &state_key)
                        && !graph.node(auth).rejected
                    {
                        last = Some(auth);
                    }
                }
                found = last;
                if found.is_none()
                    && create_is_implied
                    && kind == "m.room.create"
                    && let Some(create) = graph.source.create()?
                {
                    found = graph.at(create)?;
                }
            }
            if let Some(found) = found {
                selected.push((kind, state_key, graph.pdu(found).clone()));
            }
        }
        Ok(checker.check(&pdu, &Self(selected)).is_ok())
    }
}
