//! What the rules cost, beside `ruma-state-res` in one run: a check of one event, and the resolution of a two-way fork in rooms
//! of 1,000 and of 50,000 state events, of a twenty-way fork, and of a war over power levels.
//!
//! `cargo bench --package roost-matrix --bench rules`
//!
//! Both get what a server that knows its rooms has at hand. For ruma these are whole states and their auth chains, for us the
//! difference of the states and an index of who cites whom, and the auth difference is worked out in the time measured. "From
//! whole states" is us with the states taken apart first.

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    hint::black_box,
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use roost_matrix::{
    auth::{Checker, check},
    event::Pdu,
    ids::{EventId, OwnedEventId},
    room_version::RoomVersion,
    state_res::{
        self, Conflict, Known, Source, StateMap,
        chains::{Citations, auth_difference, conflicted_subgraph},
        separate,
    },
};
use ruma::events::StateEventType;
use ruma_state_res::{check_state_dependent_auth_rules, utils::event_id_set::EventIdSet};
use serde_json::json;

#[path = "../tests/it/dag.rs"]
#[expect(dead_code, reason = "made for the tests")]
mod dag;
#[path = "../tests/it/theirs.rs"]
mod theirs;

use dag::{Dag, Said, State, member, state_event};
use theirs::{Theirs, rules};

const CREATOR: &str = "@creator:a.example";
const ALICE: &str = "@alice:a.example";
const BOB: &str = "@bob:b.example";
const VERSION: RoomVersion = RoomVersion::V11;

/// A room with an index, and states to resolve.
struct Room {
    dag: Dag,
    order: Vec<OwnedEventId>,
    cites: Vec<Vec<u32>>,
    cited_by: Vec<Vec<u32>>,
    states: Vec<StateMap<u32>>,
    unconflicted: StateMap<u32>,
    in_all: Vec<bool>,
    conflicts: Vec<Conflict<u32>>,
    /// What each state has that not all have.
    own: Vec<Vec<u32>>,
}

impl Source for Room {
    type Event = u32;
    type Error = Infallible;

    fn load(&self, events: &[u32]) -> Result<Vec<Option<Known<u32>>>, Infallible> {
        let known = |event: &u32| Known {
            pdu: self.dag.events[&self.order[*event as usize]].clone(),
            auth_events: self.cites[*event as usize].clone(),
            rejected: false,
        };
        Ok(events.iter().map(|event| Some(known(event))).collect())
    }

    fn unconflicted(&self, kind: &str, state_key: &str) -> Result<Option<u32>, Infallible> {
        Ok(self.unconflicted.get(&(kind.to_owned(), state_key.to_owned())).copied())
    }

    fn auth_difference(&self) -> Result<Vec<u32>, Infallible> {
        auth_difference(self, &self.own)
    }

    fn conflicted_subgraph(&self) -> Result<Vec<u32>, Infallible> {
        conflicted_subgraph(self, &self.own.concat())
    }

    fn create(&self) -> Result<Option<u32>, Infallible> {
        Ok(Some(0))
    }
}

impl Citations for Room {
    type Event = u32;
    type Error = Infallible;

    fn auth_events(&self, event: u32) -> Result<Vec<u32>, Infallible> {
        Ok(self.cites[event as usize].clone())
    }

    fn cited_by(&self, event: u32) -> Result<Vec<u32>, Infallible> {
        let citing = &self.cited_by[event as usize];
        let common = citing.iter().find(|citing| self.in_all[**citing as usize]);
        Ok(common.map_or_else(|| citing.clone(), |common| vec![*common]))
    }

    fn rank(&self, event: u32) -> Result<u64, Infallible> {
        Ok(event.into())
    }

    fn is_unconflicted(&self, event: u32) -> Result<bool, Infallible> {
        Ok(self.in_all[event as usize])
    }
}

/// The making of a room.
struct Making {
    dag: Dag,
    order: Vec<OwnedEventId>,
    state: State,
    last: OwnedEventId,
}

impl Making {
    /// A public room with this many state events.
    fn of(size: usize) -> Self {
        let (dag, state) = Dag::new(VERSION);
        let last = state.values().next().unwrap().clone();
        let mut making = Self { dag, order: vec![last.clone()], state, last };
        making.say(&member(CREATOR, CREATOR, "join"));
        making.say(&power(CREATOR, 50));
        making.say(&state_event(CREATOR, "m.room.join_rules", "", json!({"join_rule": "public"})));
        making.say(&member(ALICE, ALICE, "join"));
        making.say(&member(BOB, BOB, "join"));
        for number in making.order.len()..size {
            let user = format!("@user{number}:c.example");
            making.say(&member(&user, &user, "join"));
        }
        making
    }

    fn say(&mut self, said: &Said<'_>) {
        let pdu = self.dag.say(said, std::slice::from_ref(&self.last), &mut self.state);
        self.last = pdu.event_id().to_owned();
        self.order.push(self.last.clone());
    }

    /// A state that comes of the current one by some events.
    fn branch(&mut self, events: impl FnOnce(&mut Self)) -> State {
        let (state, last) = (self.state.clone(), self.last.clone());
        events(self);
        self.last = last;
        std::mem::replace(&mut self.state, state)
    }

    fn resolve_from(self, states: &[State]) -> Room {
        let numbers: HashMap<&OwnedEventId, u32> = self.order.iter().zip(0..).collect();
        let numbered = |state: &State| state.iter().map(|(key, id)| (key.clone(), numbers[id])).collect();
        let states: Vec<StateMap<u32>> = states.iter().map(numbered).collect();
        let cites: Vec<Vec<u32>> = self
            .order
            .iter()
            .map(|id| self.dag.events[id].auth_events().iter().map(|auth| numbers[auth]).collect())
            .collect();
        let mut cited_by = vec![Vec::new(); self.order.len()];
        for (event, cites) in (0..).zip(&cites) {
            for cited in cites {
                cited_by[*cited as usize].push(event);
            }
        }
        let (unconflicted, conflicts) = separate(&states.iter().collect::<Vec<_>>());
        let unconflicted: StateMap<u32> = unconflicted.into_iter().map(|(key, event)| (key.clone(), event)).collect();
        let mut in_all = vec![false; self.order.len()];
        for event in unconflicted.values() {
            in_all[*event as usize] = true;
        }
        let own = states
            .iter()
            .map(|state| {
                let has =
                    |conflict: &Conflict<u32>| state.get(&(conflict.kind.clone(), conflict.state_key.clone())).copied();
                conflicts.iter().filter_map(has).collect()
            })
            .collect();
        Room { dag: self.dag, order: self.order, cites, cited_by, states, unconflicted, in_all, conflicts, own }
    }
}

fn power(sender: &str, bob: i64) -> Said<'_> {
    let content = json!({"users": {CREATOR: 100, ALICE: 100, BOB: bob}, "events": {"m.room.power_levels": 50}});
    state_event(sender, "m.room.power_levels", "", content)
}

/// What happens on one branch: topics, names, some memberships, and a ban.
fn some_events(making: &mut Making, branch: usize) {
    for number in 0..5 {
        making.say(&state_event(ALICE, "m.room.topic", "", json!({"topic": number})));
        let user = format!("@user{}:c.example", 10 + branch * 7 + number);
        making.say(&member(&user, &user, "leave"));
        let late = format!("@late{branch}-{number}:c.example");
        making.say(&member(&late, &late, "join"));
    }
    let user = format!("@user{}:c.example", 40 + branch);
    making.say(&member(ALICE, &user, "ban"));
    making.say(&state_event(BOB, "m.room.name", "", json!({"name": branch})));
}

fn fork(size: usize, branches: usize) -> Room {
    let mut making = Making::of(size);
    let states: Vec<State> = (0..branches).map(|branch| making.branch(|making| some_events(making, branch))).collect();
    making.resolve_from(&states)
}

/// Two branches on which Alice and Bob change the power levels again and again.
fn war(size: usize) -> Room {
    let mut making = Making::of(size);
    let states: Vec<State> = [ALICE, BOB]
        .into_iter()
        .map(|sender| {
            making.branch(|making| {
                for number in 0..50 {
                    making.say(&power(sender, 50 - number % 2 * i64::from(sender == ALICE)));
                }
            })
        })
        .collect();
    making.resolve_from(&states)
}

fn bench_room(criterion: &mut Criterion, name: &str, room: &Room) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    group.bench_function("roost", |bencher| {
        bencher.iter(|| state_res::resolve(room.dag.rules, black_box(&room.conflicts), room));
    });
    group.bench_function("roost, from whole states", |bencher| {
        bencher.iter(|| {
            let (_, conflicts) = separate(black_box(&room.states).iter().collect::<Vec<_>>().as_slice());
            state_res::resolve(room.dag.rules, &conflicts, room)
        });
    });

    let events: HashMap<&EventId, Theirs> = room.dag.events.iter().map(|(id, pdu)| (&**id, Theirs::of(pdu))).collect();
    let states: Vec<ruma_state_res::StateMap<OwnedEventId>> = room
        .states
        .iter()
        .map(|state| {
            state
                .iter()
                .map(|((kind, key), event)| {
                    ((StateEventType::from(kind.as_str()), key.clone()), room.order[*event as usize].clone())
                })
                .collect()
        })
        .collect();
    let chains: Vec<EventIdSet<OwnedEventId>> = room
        .states
        .iter()
        .map(|state| {
            let mut chain = BTreeSet::new();
            let mut queue: Vec<u32> = state.values().copied().collect();
            while let Some(event) = queue.pop() {
                queue.extend(room.cites[event as usize].iter().filter(|cited| chain.insert(**cited)));
            }
            chain.into_iter().map(|event| room.order[event as usize].clone()).collect()
        })
        .collect();
    let rules = rules(VERSION);
    group.bench_function("ruma-state-res", |bencher| {
        bencher.iter_batched(
            || chains.clone(),
            |chains| {
                ruma_state_res::resolve(
                    &rules.authorization,
                    rules.state_res.v2_rules().unwrap(),
                    black_box(&states),
                    chains,
                    |id| events.get(id),
                    |_| None,
                )
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn resolution(criterion: &mut Criterion) {
    for (name, room) in [
        ("two-way fork, 1,000 state events", fork(1_000, 2)),
        ("two-way fork, 50,000 state events", fork(50_000, 2)),
        ("twenty-way fork, 1,000 state events", fork(1_000, 20)),
        ("war over power levels, 1,000 state events", war(1_000)),
    ] {
        bench_room(criterion, name, &room);
    }
}

fn checks(criterion: &mut Criterion) {
    let mut making = Making::of(1_000);
    let said = [
        ("a message", Said { sender: ALICE, kind: "m.room.message", state_key: None, content: json!({"body": "hi"}) }),
        ("a join", member("@new:c.example", "@new:c.example", "join")),
        ("new power levels", power(ALICE, 40)),
    ];
    for (name, said) in said {
        let auth = making.dag.auth_events(&said, &making.state);
        let pdu: Pdu = making.dag.put(&said, &[making.last.clone()], &auth);
        let Making { dag, state, .. } = &making;
        let selected: Vec<Pdu> = auth.iter().map(|id| dag.events[id].clone()).collect();
        assert!(!state.is_empty());
        let view = |kind: &str, key: &str| {
            selected.iter().find(|pdu| pdu.kind() == kind && pdu.state_key() == Some(key)).cloned()
        };
        let mut group = criterion.benchmark_group(format!("check of {name}"));
        group.bench_function("roost", |bencher| bencher.iter(|| check(black_box(&pdu), &view)));
        let mut checker = Checker::default();
        group.bench_function("roost, one room after another event", |bencher| {
            bencher.iter(|| checker.check(black_box(&pdu), &view));
        });
        let theirs: Vec<(StateEventType, String, Theirs)> = selected
            .iter()
            .map(|pdu| (pdu.kind().into(), pdu.state_key().unwrap().to_owned(), Theirs::of(pdu)))
            .collect();
        let event = Theirs::of(&pdu);
        let rules = rules(VERSION).authorization;
        group.bench_function("ruma-state-res", |bencher| {
            bencher.iter(|| {
                check_state_dependent_auth_rules(&rules, black_box(&event), |kind: &StateEventType, key: &str| {
                    theirs
                        .iter()
                        .find(|(its_kind, its_key, _)| its_kind == kind && its_key == key)
                        .map(|(_, _, event)| event)
                })
            });
        });
        group.finish();
    }
}

criterion_group!(benches, checks, resolution);
criterion_main!(benches);
