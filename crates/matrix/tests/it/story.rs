//! Rooms that fork: a story is a list of small steps, each of which puts an event on some earlier events, if the rules allow
//! it on the state that resolves from there.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roost_matrix::{auth::check, ids::OwnedEventId, room_version::RoomVersion};
use serde_json::{Value, json};

use crate::{
    dag::{Dag, Said, State, member, state_event},
    state_res::memory::{Memory, resolve},
};

pub(crate) const CREATOR: &str = "@creator:a.example";
pub(crate) const USERS: [&str; 5] = [CREATOR, "@u1:a.example", "@u2:b.example", "@u3:c.example", "@u4:b.example"];
const LEVELS: [i64; 6] = [0, 25, 50, 75, 99, 100];
const RULES: [&str; 5] = ["public", "invite", "knock", "restricted", "knock_restricted"];

/// One step; every value means something, so that shrinking works on numbers alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) what: u8,
    pub(crate) who: u8,
    pub(crate) whom: u8,
    pub(crate) level: u8,
    /// How far back the events are that this one comes after: two branches to merge.
    pub(crate) back: (u8, u8),
    /// The clock of the sender's server runs ahead or behind.
    pub(crate) skew: i8,
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..14_u8, 0..5_u8, 0..5_u8, 0..6_u8, (0..6_u8, 0..6_u8), -20..20_i8)
        .prop_map(|(what, who, whom, level, back, skew)| Step { what, who, whom, level, back, skew });
    prop::collection::vec(step, 1..most)
}

/// How many stories a test tells; more by hand, with `PROPTEST_CASES`.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn any_version() -> impl Strategy<Value = RoomVersion> {
    prop::sample::select(RoomVersion::ALL.to_vec())
}

/// Versions that ruma's implementations support.
pub(crate) fn newer_version() -> impl Strategy<Value = RoomVersion> {
    prop::sample::select(RoomVersion::ALL[5..].to_vec())
}

/// What came of the steps.
pub(crate) struct Story {
    pub(crate) dag: Dag,
    /// The events in the order they were made.
    pub(crate) order: Vec<OwnedEventId>,
    /// The state after each event.
    pub(crate) after: BTreeMap<OwnedEventId, State>,
    /// The states that had to be resolved, and to what.
    pub(crate) merges: Vec<(Vec<State>, State)>,
    /// How many events at the start every branch has.
    trunk: usize,
    /// Every event that was tried, the state before it, and whether it was allowed.
    pub(crate) tried: Vec<(OwnedEventId, State, bool)>,
}

impl Story {
    pub(crate) fn tell(version: RoomVersion, steps: &[Step]) -> Self {
        let (dag, state) = Dag::new(version);
        let create = state.values().next().unwrap().clone();
        let mut story = Self {
            dag,
            order: vec![create.clone()],
            after: BTreeMap::from([(create, state)]),
            merges: Vec::new(),
            trunk: 1,
            tried: Vec::new(),
        };
        let mut users = json!({"@u1:a.example": 100, "@u2:b.example": 50});
        if version < RoomVersion::V12 {
            users[CREATOR] = 100.into();
        }
        let power = power_levels(&users, 50, 0);
        for said in [
            member(CREATOR, CREATOR, "join"),
            state_event(CREATOR, "m.room.power_levels", "", power),
            state_event(CREATOR, "m.room.join_rules", "", json!({"join_rule": "public"})),
            member(USERS[1], USERS[1], "join"),
            member(USERS[2], USERS[2], "join"),
        ] {
            let last = story.order.last().unwrap().clone();
            assert!(story.try_event(&said, &[last]), "{said:?}");
        }
        for step in steps {
            story.step(*step);
        }
        story
    }

    /// The same, but no branch starts before the room has power levels and join rules.
    pub(crate) fn tell_from_trunk(version: RoomVersion, steps: &[Step]) -> Self {
        let mut story = Self::tell(version, &[]);
        story.trunk = story.order.len();
        for step in steps {
            story.step(*step);
        }
        story
    }

    fn step(&mut self, step: Step) {
        let newest = self.order.len() - 1;
        let back = |count: u8| self.order[newest.saturating_sub(count.into()).max(self.trunk - 1)].clone();
        let (one, other) = (back(step.back.0), back(step.back.1));
        let prev = if one == other { vec![one] } else { vec![one, other] };
        let state = self.state_before(&prev);
        let said = self.said(step, &state);
        self.dag.now = self.dag.now.saturating_add_signed(step.skew.into());
        self.try_event(&said, &prev);
    }

    /// The state before an event that comes after these.
    pub(crate) fn state_before(&mut self, prev: &[OwnedEventId]) -> State {
        let states: Vec<State> = prev.iter().map(|id| self.after[id].clone()).collect();
        if states.iter().all(|state| *state == states[0]) {
            return states[0].clone();
        }
        let resolved = resolve(&Memory::new(&self.dag, &self.order, &states));
        self.merges.push((states, resolved.clone()));
        resolved
    }

    fn try_event(&mut self, said: &Said<'_>, prev: &[OwnedEventId]) -> bool {
        let mut state = self.state_before(prev);
        let auth = self.dag.auth_events(said, &state);
        let pdu = self.dag.put(said, prev, &auth);
        let allowed = check(&pdu, &|kind: &str, key: &str| self.dag.get(&state, kind, key)).is_ok();
        let id = pdu.event_id().to_owned();
        self.tried.push((id.clone(), state.clone(), allowed));
        if allowed {
            if let Some(key) = said.state_key {
                state.insert((said.kind.to_owned(), key.to_owned()), id.clone());
            }
            self.after.insert(id.clone(), state);
            self.order.push(id);
        }
        allowed
    }

    fn said(&self, step: Step, state: &State) -> Said<'static> {
        let (who, whom) = (USERS[usize::from(step.who)], USERS[usize::from(step.whom)]);
        let level = LEVELS[usize::from(step.level)];
        match step.what {
            0 => state_event(who, "m.room.topic", "", json!({"topic": level})),
            1 => state_event(who, "m.room.name", "", json!({"name": level})),
            2 | 3 => member(who, who, "join"),
            4 => member(who, who, "leave"),
            5 => member(who, whom, "leave"),
            6 => member(who, whom, "ban"),
            7 => member(who, whom, "invite"),
            8 => member(who, who, "knock"),
            9 => {
                let rule = RULES[usize::from(step.level) % RULES.len()];
                state_event(who, "m.room.join_rules", "", json!({"join_rule": rule}))
            }
            10 => {
                let content = json!({"membership": "join", "join_authorised_via_users_server": whom});
                state_event(who, "m.room.member", who, content)
            }
            11 => {
                let current = self.users(state);
                state_event(who, "m.room.power_levels", "", power_levels(&current, level, 0))
            }
            12 => {
                let mut users = self.users(state);
                users[whom] = level.into();
                state_event(who, "m.room.power_levels", "", power_levels(&users, 50, level.min(50)))
            }
            _ => Said { sender: who, kind: "m.room.message", state_key: None, content: json!({"body": level}) },
        }
    }

    fn users(&self, state: &State) -> Value {
        let levels = self.dag.get(state, "m.room.power_levels", "");
        let content = levels.map_or(json!({}), |levels| serde_json::from_str(levels.content()).unwrap());
        content.get("users").cloned().unwrap_or_else(|| json!({}))
    }
}

/// Power levels with every property, so that no implementation has to infer one.
fn power_levels(users: &Value, state_default: i64, invite: i64) -> Value {
    json!({
        "users": users, "users_default": 0, "events_default": 0, "state_default": state_default,
        "ban": 50, "kick": 50, "redact": 50, "invite": invite,
        "events": {"m.room.topic": 0}, "notifications": {"room": 50},
    })
}
