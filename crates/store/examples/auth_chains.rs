//! What the index of auth chains costs in a room of 100,000 members, and what it answers, beside a walk from event to event.
//!
//! `cargo run --release -p roost-store --example auth_chains` (SQLite in a temporary folder; with `ROOST_TEST_POSTGRES` also
//! PostgreSQL). Bytes are those that the engine itself counts, indexes included.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use roost_matrix::state_res::chains::{self, Citations};
use roost_store::{
    Database, Error, EventNo, RoomNo, StateKeyNo, Store,
    auth_chains::{AuthChains, New},
    params,
    testing::Scratch,
};

const ROOM: RoomNo = RoomNo(1);
const MEMBERS: usize = 100_000;
const PLACES: &str = "SELECT count(*) FROM auth_places";
const CHAINS: &str = "SELECT count(*) FROM auth_places WHERE place & 65535 = 1";
const LINKS: &str = "SELECT count(*) FROM auth_links";
const SQLITE_PAGES: &str = "SELECT page_count FROM pragma_page_count";
const POSTGRES_SIZE: &str =
    "SELECT CAST(pg_total_relation_size('auth_places') + pg_total_relation_size('auth_links') AS BIGINT)";

#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Events by their number: keys and what they cite.
struct Events {
    cited: Vec<(StateKeyNo, Vec<usize>)>,
    citing: Vec<Vec<usize>>,
    /// Of each key the event that all states have.
    agreed: HashSet<usize>,
}

impl Citations for Events {
    type Error = Error;
    type Event = usize;

    fn auth_events(&self, event: usize) -> Result<Vec<usize>, Error> {
        Ok(self.cited[event].1.clone())
    }

    fn cited_by(&self, event: usize) -> Result<Vec<usize>, Error> {
        let citing = &self.citing[event];
        Ok(citing
            .iter()
            .rev()
            .copied()
            .find(|event| self.agreed.contains(event))
            .map_or(citing.clone(), |one| vec![one]))
    }

    fn rank(&self, event: usize) -> Result<u64, Error> {
        Ok(event as u64)
    }

    fn is_unconflicted(&self, event: usize) -> Result<bool, Error> {
        Ok(self.agreed.contains(&event))
    }
}

/// Members join and some change their profile; now and then one of ten admins changes the power levels, the join rules or a ban.
fn room() -> (Events, [Vec<usize>; 2]) {
    const CREATE: i64 = 1;
    const POWER: i64 = 2;
    const RULES: i64 = 3;
    const FIRST: i64 = 10;
    let mut cited: Vec<(StateKeyNo, Vec<usize>)> = Vec::new();
    let mut state: HashMap<i64, usize> = HashMap::new();
    let mut add = |state: &mut HashMap<i64, usize>, key: i64, auth: &[i64]| {
        cited.push((StateKeyNo(key), auth.iter().filter_map(|key| state.get(key).copied()).collect()));
        state.insert(key, cited.len() - 1);
        cited.len() - 1
    };
    add(&mut state, CREATE, &[]);
    add(&mut state, FIRST, &[CREATE]);
    add(&mut state, POWER, &[CREATE, FIRST]);
    add(&mut state, RULES, &[CREATE, POWER, FIRST]);
    for member in 1..MEMBERS {
        let key = FIRST + i64::try_from(member).unwrap_or_default();
        add(&mut state, key, &[CREATE, POWER, RULES]);
        let admin = FIRST + key * 7_919 % 10;
        match member % 500 {
            0 => drop(add(&mut state, POWER, &[CREATE, POWER, admin])),
            100 => drop(add(&mut state, RULES, &[CREATE, POWER, admin])),
            200 => drop(add(&mut state, FIRST + key * 31 % key, &[CREATE, POWER, admin, FIRST + key * 31 % key])),
            _ => {}
        }
        if member % 10 == 0 {
            let key = FIRST + key * 17 % key;
            add(&mut state, key, &[CREATE, POWER, RULES, key]);
        }
    }
    let mut agreed = state.clone();
    // Two sides: each with power levels of its own, three who join and two who change their profiles.
    let sides = [1, 2].map(|side: i64| {
        let mut state = state.clone();
        let mut keys = vec![POWER];
        add(&mut state, POWER, &[CREATE, POWER, FIRST + side]);
        for joining in 0..3 {
            let key = 1_000_000 * side + joining;
            add(&mut state, key, &[CREATE, POWER, RULES]);
            keys.push(key);
        }
        for changing in 0..2 {
            let key = FIRST + 100 + side * 1000 + changing;
            add(&mut state, key, &[CREATE, POWER, RULES, key]);
            keys.push(key);
        }
        agreed.retain(|key, _| !keys.contains(key));
        (keys, state)
    });
    let keys: BTreeSet<i64> = sides.iter().flat_map(|(keys, _)| keys).copied().collect();
    let own = sides.map(|(_, state)| keys.iter().filter_map(|key| state.get(key).copied()).collect());
    let mut citing = vec![Vec::new(); cited.len()];
    for (event, (_, cited)) in cited.iter().enumerate() {
        for cited in cited {
            citing[*cited].push(event);
        }
    }
    (Events { cited, citing, agreed: agreed.into_values().collect() }, own)
}

fn no(event: usize) -> EventNo {
    EventNo(i64::try_from(event).unwrap_or_default() + 1)
}

fn nos(events: &[usize]) -> Vec<EventNo> {
    events.iter().map(|event| no(*event)).collect()
}

/// Plans and writes events, `group` in a transaction. Returns the time spent on planning and on writing.
async fn index(
    store: &Store,
    chains: &AuthChains,
    events: &Arc<Events>,
    range: std::ops::Range<usize>,
    group: usize,
) -> (Duration, Duration) {
    let (mut planning, mut writing) = (Duration::ZERO, Duration::ZERO);
    for from in range.clone().step_by(group) {
        let batch = from..(from + group).min(range.end);
        let (events, chains) = (Arc::clone(events), chains.clone());
        let started = now();
        let plan = store.read(move |read| {
            let cited: Vec<Vec<EventNo>> = batch.clone().map(|event| nos(&events.cited[event].1)).collect();
            let new = batch.zip(&cited);
            let new = new.map(|(event, auth_events)| New { event: no(event), key: events.cited[event].0, auth_events });
            chains.plan(read, ROOM, &new.collect::<Vec<_>>(), &[])
        });
        let plan = plan.await.expect("a plan");
        planning += started.elapsed();
        let started = now();
        store.write(move |tx| plan.write(tx)).await.expect("a write");
        writing += started.elapsed();
    }
    (planning, writing)
}

async fn number(store: &Store, sql: &'static str) -> i64 {
    store.read(move |read| read.one(sql, params![], |row| row.get(0))).await.expect("a number").expect("a number")
}

async fn size(store: &Store, scratch: &Scratch) -> i64 {
    match &scratch.options.database {
        Database::Sqlite(_) => number(store, SQLITE_PAGES).await * 4096,
        Database::Postgres(_) => number(store, POSTGRES_SIZE).await,
    }
}

#[expect(clippy::cast_precision_loss, reason = "printed with two digits")]
fn per(count: i64, of: i64) -> f64 {
    count as f64 / of as f64
}

async fn measure(name: &str, scratch: &Scratch, events: &Arc<Events>, own: &[Vec<usize>; 2]) {
    let store = scratch.open().await;
    let chains = AuthChains::open(&store, 64 << 20);
    let before = size(&store, scratch).await;
    let last = events.cited.len() - 1000;
    let (planning, writing) = index(&store, &chains, events, 0..last, 10_000).await;
    let bytes = size(&store, scratch).await - before;
    let (places, links) = (number(&store, PLACES).await, number(&store, LINKS).await);
    println!(
        "{name}: {places} events in {} chains, {:.2} links each, {:.0} bytes each; planned in {planning:?}, written in {writing:?}",
        number(&store, CHAINS).await,
        per(links, places),
        per(bytes, places),
    );
    let (planning, writing) = index(&store, &chains, events, last..events.cited.len(), 1).await;
    println!("{name}: one by one: planned in {:?}, written in {:?} each", planning / 1000, writing / 1000);

    let expected: BTreeSet<EventNo> = {
        let started = now();
        let walked = chains::auth_difference(&**events, own).expect("a walk");
        println!("{name}: difference by a walk in memory, told what is agreed: {:?}", started.elapsed());
        walked.into_iter().map(no).collect()
    };
    // As a source without knowledge of what is agreed would: both auth chains, event by event.
    let whole = {
        let started = now();
        let agreed: Vec<usize> = events.agreed.iter().copied().collect();
        let chain = |own: &Vec<usize>| {
            let (mut open, mut seen) = ([own.as_slice(), &agreed].concat(), HashSet::new());
            while let Some(event) = open.pop() {
                open.extend(events.cited[event].1.iter().copied().filter(|cited| seen.insert(*cited)));
            }
            seen
        };
        let [one, two] = [chain(&own[0]), chain(&own[1])];
        println!("{name}: difference by two whole chains in memory: {:?}", started.elapsed());
        nos(&one.symmetric_difference(&two).copied().collect::<Vec<_>>()).into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(whole, expected);
    let conflicting: Vec<usize> = own.concat();
    let between: Vec<EventNo> =
        chains::conflicted_subgraph(&**events, &conflicting).expect("a walk").into_iter().map(no).collect();
    for (how, chains, turns) in [("without a cache", AuthChains::open(&store, 0), 20), ("from memory", chains, 200)] {
        let (mut difference, mut subgraph) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..turns {
            let numbers: Vec<Vec<EventNo>> = own.iter().map(|own| nos(own)).collect();
            let (asking, agreed) = (chains.clone(), Arc::clone(events));
            let started = now();
            let found = store.read(move |read| {
                asking.conflict_difference(read, ROOM, &numbers, |events| {
                    let agreed = |event: EventNo| agreed.agreed.contains(&usize::try_from(event.0 - 1).unwrap_or(0));
                    Ok(events.iter().map(|(event, _)| agreed(*event)).collect())
                })
            });
            let found = found.await.expect("a difference");
            difference += started.elapsed();
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
            let (asking, ends) = (chains.clone(), nos(&conflicting));
            let started = now();
            let found = store.read(move |read| asking.subgraph(read, ROOM, &ends)).await.expect("a subgraph");
            subgraph += started.elapsed();
            assert_eq!(found.len(), between.len());
        }
        let conflict = (conflicting.len(), expected.len(), between.len());
        println!(
            "{name}: {how}: {} conflicting events, difference of {} in {:?}, subgraph of {} in {:?}",
            conflict.0,
            conflict.1,
            difference / turns,
            conflict.2,
            subgraph / turns
        );
    }
    store.close().await;
}

#[tokio::main]
async fn main() {
    let (events, own) = room();
    let events = Arc::new(events);
    measure("SQLite", &Scratch::sqlite(), &events, &own).await;
    if let Some(scratch) = Scratch::postgres() {
        measure("PostgreSQL", &scratch, &events, &own).await;
    }
}
