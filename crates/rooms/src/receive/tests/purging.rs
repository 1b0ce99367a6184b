//! Servers whose histories are purged at random places go on as the others do.

use std::collections::BTreeMap;

use roost_store::{state, timeline};
use roost_world::Workers;

use super::*;
use crate::{Direction, EventFilter, MessagesQuery};

/// What a server tells about a room from a place on.
#[derive(Debug, PartialEq)]
struct Told {
    /// The current state as of each place.
    line: BTreeMap<i64, Vec<roost_store::EventNo>>,
    /// For other servers: the state before each event.
    before: BTreeMap<OwnedEventId, Vec<OwnedEventId>>,
    /// What a user pages back to, newest first.
    seen: Vec<OwnedEventId>,
    /// The tips and the state now.
    tips: Vec<OwnedEventId>,
}

async fn told(server: &Server, room: &OwnedRoomId, user: &UserId, from: i64) -> Told {
    let room = server.room(room).await;
    let (engine, at) = (server.rooms.clone(), room.clone());
    let (places, line) = server
        .rooms
        .store()
        .read(move |read| {
            let entries = timeline::forwards(read, at.no, from - 1, i64::MAX, 100_000)?;
            let mut line = BTreeMap::new();
            for entry in &entries {
                let mut all = state::all_at(read, at.no, entry.idx)?;
                all.sort();
                line.insert(entry.idx, all);
            }
            let nos: Vec<_> = entries.iter().map(|entry| entry.event).collect();
            let events = engine.stored(read, &at, &nos)?;
            Ok::<_, Error>((events, line))
        })
        .await
        .expect("read");
    let mut before = BTreeMap::new();
    for event in &places {
        let id = event.pdu.event_id();
        let ids = server.rooms.state_ids(&room, id).await.expect("ids").expect("of the graph");
        let mut state = ids.state;
        state.sort();
        before.insert(id.to_owned(), state);
    }
    let kept: std::collections::HashSet<_> = before.keys().cloned().collect();
    let query = MessagesQuery {
        from: None,
        to: None,
        direction: Direction::Backwards,
        limit: 1000,
        filter: EventFilter::default(),
    };
    let seen = match server.rooms.messages(&room.id, user, None, query, &super::super::Nobody).await {
        Ok(page) => page.chunk.iter().map(|event| event.stored.pdu.event_id().to_owned()).collect(),
        Err(Error::Forbidden(_)) => Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let seen: Vec<OwnedEventId> = seen;
    let seen = seen.into_iter().filter(|id| kept.contains(id)).collect();
    Told { line, before, seen, tips: server.rooms.tip_ids(&room).await.expect("tips") }
}

async fn place(simulation: &mut Simulation, at: usize) -> i64 {
    let room = simulation.servers[at].room(&simulation.room).await;
    let store = simulation.servers[at].rooms.store().clone();
    let all = store.read(move |read| timeline::forwards(read, room.no, i64::MIN, i64::MAX, 100_000)).await;
    let all = all.expect("places");
    all[simulation.rng.below(all.len())].idx
}

async fn purge_somewhere(simulation: &mut Simulation, at: usize, seed: u64) {
    let before = place(simulation, at).await;
    let server = &simulation.servers[at];
    let user = server.users[1].clone();
    let was = told(server, &simulation.room, &user, before).await;
    let room = server.room(&simulation.room).await;
    server.rooms.purge_history(&room, before).await.expect("purged");
    let workers = Workers::new(roost_store::testing::world());
    let mut reclaimer = server.rooms.reclaimer();
    for _ in 0..3 {
        reclaimer.round(&workers.stop_signal()).await.expect("a round");
    }
    let faults = faults(server, &simulation.room).await;
    assert!(faults.is_empty(), "seed {seed}: server {at} purged before {before}: {faults:#?}");
    let now = told(server, &simulation.room, &user, before).await;
    assert_eq!(now, was, "seed {seed}: server {at} purged before {before}");
}

async fn simulate_purges(seed: u64) {
    let mut simulation = Simulation::start(seed).await;
    for _ in 0..3 {
        for _ in 0..25 {
            simulation.step().await;
        }
        let at = simulation.rng.below(3);
        purge_somewhere(&mut simulation, at, seed).await;
    }
    simulation.heal().await;
    for at in 0..3 {
        purge_somewhere(&mut simulation, at, seed).await;
    }
    for _ in 0..15 {
        simulation.step().await;
    }
    let last = simulation.heal().await;
    let wanted = simulation.state_before(0, &last).await;
    for at in 0..3 {
        assert_eq!(simulation.state_before(at, &last).await, wanted, "seed {seed}: server {at} has another state");
        let faults = faults(&simulation.servers[at], &simulation.room).await;
        assert!(faults.is_empty(), "seed {seed}: server {at}: {faults:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_purge_their_history_tell_the_rest_as_before_and_agree_with_the_others() {
    for seed in seeds() {
        println!("seed {seed}");
        simulate_purges(seed).await;
    }
}
