//! The snapshots of state around events that are put after the head one by one.

use std::collections::HashMap;

use roost_matrix::event::Pdu;
use roost_store::{Read, RoomNo, StateKeyNo, auth_chains, state_map::Planner};

use crate::{
    Error, Rooms,
    head::{Built, Head, States},
};

/// The numbers of some keys of the state.
#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<String, HashMap<String, StateKeyNo>>);

impl Keys {
    pub(crate) fn insert(&mut self, kind: &str, state_key: &str, no: StateKeyNo) {
        self.0.entry(kind.to_owned()).or_default().insert(state_key.to_owned(), no);
    }

    /// The number of a key, if it is one of those.
    pub(crate) fn get(&self, kind: &str, state_key: &str) -> Option<StateKeyNo> {
        self.0.get(kind)?.get(state_key).copied()
    }

    /// Whether an event's key has a number, if it needs one.
    pub(crate) fn has(&self, pdu: &Pdu) -> bool {
        pdu.state_key().is_none_or(|state_key| self.get(pdu.kind(), state_key).is_some())
    }

    pub(crate) fn of(&self, pdu: &Pdu) -> Result<Option<StateKeyNo>, Error> {
        let Some(state_key) = pdu.state_key() else { return Ok(None) };
        let no = self.get(pdu.kind(), state_key);
        no.map(Some).ok_or_else(|| Error::Damaged("a state key has no number".to_owned()))
    }
}

impl Rooms {
    /// Places in the index of auth chains for the state events among these that are new.
    pub(crate) fn index(
        &self,
        read: &Read<'_>,
        room: RoomNo,
        built: &[Built],
        keys: &Keys,
    ) -> Result<auth_chains::Plan, Error> {
        let mut new = Vec::new();
        for built in built {
            if built.received.as_ref().is_some_and(|received| received.was_outlier) {
                continue;
            }
            if let Some(key) = keys.of(&built.stored.pdu)? {
                new.push(auth_chains::New { event: built.stored.no, key, auth_events: &built.auth });
            }
        }
        Ok(self.0.chains.plan(read, room, &new, &[])?)
    }

    /// Numbers for the keys of the state events among these.
    pub(crate) async fn intern_state_keys(&self, events: impl Iterator<Item = &Pdu>) -> Result<Keys, Error> {
        let mut pairs: Vec<(&str, &str)> = events.filter_map(|pdu| Some((pdu.kind(), pdu.state_key()?))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let mut keys = Keys::default();
        if pairs.is_empty() {
            return Ok(keys);
        }
        for ((kind, state_key), no) in pairs.iter().zip(self.0.states.intern_keys(&pairs).await?) {
            keys.insert(kind, state_key, no);
        }
        Ok(keys)
    }
}

/// Works out the states around events of this server, which follow each other on the head, and the state after them.
pub(crate) fn surround(
    read: &Read<'_>,
    planner: &mut Planner,
    head: &mut Head,
    built: &mut [Built],
    keys: &Keys,
) -> Result<(), Error> {
    let mut state = head.state.take().unwrap_or_else(|| planner.empty());
    let mut merges = merges(built);
    for event in built {
        let before = state.clone();
        if let Some(key) = keys.of(&event.stored.pdu)? {
            state = planner.apply(read, Some(&state), &[(key, Some(event.stored.no))])?;
        }
        event.states = Some(States { before, after: state.clone(), merges });
        merges = false;
    }
    head.state = Some(state);
    Ok(())
}

/// The same for events that change no state.
pub(crate) fn surround_messages(planner: &Planner, head: &mut Head, built: &mut [Built]) {
    let state = head.state.get_or_insert_with(|| planner.empty()).clone();
    let mut merges = merges(built);
    for event in built {
        event.states = Some(States { before: state.clone(), after: state.clone(), merges });
        merges = false;
    }
}

/// Whether the first event merges several tips; what it leaves is what the next one has before it.
fn merges(built: &[Built]) -> bool {
    built.first().is_some_and(|first| first.stored.pdu.prev_events().len() != 1)
}
