//! Several servers in one process exchange the events of a room over a network that loses, repeats and reorders, with a seed.
//! Once it has healed they agree on the state, and each one's snapshots are what its events lead to.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use roost_matrix::{
    event::Pdu,
    ids::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, UserId},
    room_version::RoomVersion,
    signing::KeyPair,
};
use roost_store::testing::TestStore;
use roost_world::{Clock, World};
use serde_json::json;

use super::{Outcome, Peers, StateIds};
use crate::{
    Adoption, CreateRoom, Error, Identity, NewEvent, Options, Preset, Room, Rooms,
    testing::{state, text},
};

mod purging;
mod scenes;

/// A number generator that gives the same numbers for the same seed.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).expect("small")).expect("small")
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A clock that stands still until it is told to go on.
struct Hands(std::sync::atomic::AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000 + self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }

    #[expect(clippy::disallowed_methods, reason = "idle doors close in real time")]
    fn sleep(&self, duration: Duration) -> roost_world::BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

pub(super) struct Server {
    pub(super) name: OwnedServerName,
    pub(super) rooms: Rooms,
    /// Its users.
    pub(super) users: Vec<OwnedUserId>,
    _store: TestStore,
}

impl Server {
    async fn start(name: &str, clock: Arc<dyn Clock>, users: usize) -> Self {
        let store = roost_store::testing::store().await;
        let seed = name.bytes().fold(7_u8, u8::wrapping_add);
        let name: OwnedServerName = name.try_into().expect("a server name");
        let identity = Identity { server_name: name.clone(), key: Arc::new(KeyPair::from_seed([seed; 32], "test")) };
        let world = World { clock, ..roost_store::testing::world() };
        let rooms = Rooms::open((*store).clone(), identity, Options::default(), world).await.expect("an engine");
        let users = (0..users).map(|n| UserId::parse(format!("@u{n}:{name}")).expect("a user id")).collect();
        Self { name, rooms, users, _store: store }
    }

    pub(super) async fn room(&self, id: &OwnedRoomId) -> Arc<Room> {
        self.rooms.room(id).await.expect("the room")
    }
}

/// Asks the other servers, as far as they can be reached.
pub(super) struct Ask<'a> {
    pub(super) servers: Vec<&'a Server>,
}

impl Ask<'_> {
    /// The engines that know the room, with it.
    async fn theirs(&self, room: &Room) -> Vec<(Rooms, Arc<Room>)> {
        let mut found = Vec::new();
        for server in &self.servers {
            if let Ok(theirs) = server.rooms.room(&room.id).await {
                found.push((server.rooms.clone(), theirs));
            }
        }
        found
    }
}

impl Peers for Ask<'_> {
    fn events<'a>(&'a self, room: &'a Room, ids: &'a [OwnedEventId]) -> BoxFuture<'a, Vec<Pdu>> {
        async move {
            let mut found = Vec::new();
            for (rooms, room) in self.theirs(room).await {
                found.extend(rooms.pdus(&room, ids).await.expect("events"));
            }
            found
        }
        .boxed()
    }

    fn missing_events<'a>(
        &'a self,
        room: &'a Room,
        earliest: &'a [OwnedEventId],
        latest: &'a [OwnedEventId],
        limit: usize,
    ) -> BoxFuture<'a, Vec<Pdu>> {
        async move {
            let mut found = Vec::new();
            for (rooms, room) in self.theirs(room).await {
                found.extend(rooms.missing_events(&room, earliest, latest, limit, 0).await.expect("events"));
            }
            found
        }
        .boxed()
    }

    fn state_ids<'a>(&'a self, room: &'a Room, event: &'a EventId) -> BoxFuture<'a, Option<StateIds>> {
        async move {
            for (rooms, room) in self.theirs(room).await {
                if let Some(ids) = rooms.state_ids(&room, event).await.expect("ids") {
                    return Some(ids);
                }
            }
            None
        }
        .boxed()
    }

    fn backfill<'a>(&'a self, room: &'a Room, from: &'a [OwnedEventId], limit: usize) -> BoxFuture<'a, Vec<Pdu>> {
        async move {
            let mut found = Vec::new();
            for (rooms, room) in self.theirs(room).await {
                let events = rooms.backfill_for(&room, from, limit).await.expect("events");
                found.extend(events.iter().map(|stored| stored.pdu.clone()));
            }
            found
        }
        .boxed()
    }
}

/// A user of one server joins a room through another one.
pub(super) async fn join_through(
    host: &Server,
    guest: &Server,
    room: &OwnedRoomId,
    user: &UserId,
) -> Result<(), Error> {
    let theirs = host.room(room).await;
    let wanted = state(user, "m.room.member", user.as_str(), &json!({ "membership": "join" }));
    let draft = host.rooms.draft(&theirs, wanted).await?;
    let own = guest.rooms.identity();
    let join = draft.seal(theirs.rules, &own.server_name, &own.key).expect("a join");
    let became = host.rooms.receive(&theirs, &guest.name, vec![join.clone()], &Ask { servers: vec![] }).await?;
    assert!(matches!(became.as_slice(), [(_, Outcome::Accepted(_))]), "{became:?}");
    let ids = host.rooms.state_ids(&theirs, join.event_id()).await?.expect("the state");
    let adoption = Adoption {
        origin: host.name.clone(),
        version: theirs.rules.version,
        join,
        state: host.rooms.pdus(&theirs, &ids.state).await?,
        auth_chain: host.rooms.pdus(&theirs, &ids.auth_chain).await?,
        partial: false,
    };
    guest.rooms.adopt(adoption).await.map(drop)
}

/// What a server's check of a room has found.
pub(super) async fn faults(server: &Server, room: &OwnedRoomId) -> Vec<String> {
    let room = server.room(room).await;
    server.rooms.check(&room).await.expect("a check").faults
}

struct Simulation {
    rng: Rng,
    servers: Vec<Server>,
    room: OwnedRoomId,
    /// Events on their way: to which server, and from which.
    wire: Vec<(usize, usize, OwnedEventId)>,
}

impl Simulation {
    async fn start(seed: u64) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let clock: Arc<dyn Clock> = Arc::new(Hands(0.into()));
        let mut servers = Vec::new();
        for name in ["a.example", "b.example", "c.example"] {
            servers.push(Server::start(name, clock.clone(), 3).await);
        }
        let version = RoomVersion::ALL[rng.below(RoomVersion::ALL.len())];
        let creator = servers[0].users[0].clone();
        let mut request = CreateRoom::new(&creator);
        request.version = Some(version.as_str().to_owned());
        request.preset = Some(Preset::PublicChat);
        let mut users = serde_json::Map::new();
        if !version.rules().auth.privileged_creators {
            users.insert(creator.to_string(), 100.into());
        }
        for server in &servers {
            users.insert(server.users[1].to_string(), 100.into());
            users.insert(server.users[2].to_string(), 50.into());
        }
        request.power_levels.insert("users".to_owned(), users.into());
        let room = servers[0].rooms.create(request).await.expect("a room");
        let mut simulation = Self { rng, servers, room, wire: Vec::new() };
        for guest in 1..3 {
            simulation.enter(guest).await;
        }
        simulation
    }

    async fn enter(&mut self, guest: usize) {
        let user = self.servers[guest].users[1].clone();
        let before = self.tips(0).await;
        join_through(&self.servers[0], &self.servers[guest], &self.room, &user).await.expect("joined");
        self.announce(0, &before).await;
    }

    async fn tips(&self, at: usize) -> Vec<OwnedEventId> {
        let server = &self.servers[at];
        server.rooms.tip_ids(&server.room(&self.room).await).await.expect("tips")
    }

    /// Sends what a server has newly put at the end of its graph to the others, some of it never or twice.
    async fn announce(&mut self, from: usize, before: &[OwnedEventId]) {
        for id in self.tips(from).await {
            if before.contains(&id) {
                continue;
            }
            for to in (0..self.servers.len()).filter(|to| *to != from) {
                let copies = if self.rng.chance(25) { 0 } else { 1 + usize::from(self.rng.chance(15)) };
                self.wire.extend((0..copies).map(|_| (to, from, id.clone())));
            }
        }
    }

    fn action(&mut self, at: usize) -> NewEvent {
        let user = self.servers[at].users[self.rng.below(3)].clone();
        let (server, other) = (self.rng.below(3), self.rng.below(3));
        let target = self.servers[server].users[other].clone();
        let n = self.rng.below(1000);
        match self.rng.below(20) {
            0..6 => text(&user, &format!("message {n}")),
            6..8 => state(&user, "m.room.topic", "", &json!({ "topic": format!("topic {n}") })),
            8..10 => state(&user, "org.example.thing", &format!("key {}", n % 4), &json!({ "n": n })),
            10..12 => state(&user, "m.room.member", user.as_str(), &json!({ "membership": "join", "n": n })),
            12 => state(&user, "m.room.member", user.as_str(), &json!({ "membership": "leave" })),
            13..15 => state(&user, "m.room.member", target.as_str(), &json!({ "membership": "ban" })),
            15..17 => state(&user, "m.room.member", target.as_str(), &json!({ "membership": "leave" })),
            17 => {
                let rule = ["public", "invite"][self.rng.below(2)];
                state(&user, "m.room.join_rules", "", &json!({ "join_rule": rule }))
            }
            18 => {
                let level = [0, 25, 50, 75][self.rng.below(4)];
                let mut users = serde_json::Map::new();
                for (at, server) in self.servers.iter().enumerate() {
                    users.insert(server.users[1].to_string(), 100.into());
                    users.insert(server.users[2].to_string(), (50 + 10 * at).into());
                }
                let content = json!({ "users": users, "events_default": level, "state_default": 50 });
                state(&user, "m.room.power_levels", "", &content)
            }
            _ => state(&user, "m.room.member", target.as_str(), &json!({ "membership": "invite" })),
        }
    }

    async fn step(&mut self) {
        if self.rng.chance(55) || self.wire.is_empty() {
            let at = self.rng.below(3);
            let before = self.tips(at).await;
            let action = self.action(at);
            match self.servers[at].rooms.append(&self.room, action).await {
                Ok(_) => self.announce(at, &before).await,
                Err(Error::Forbidden(_)) => {}
                Err(error) => panic!("{error}"),
            }
        } else {
            // Not in the order in which they were sent.
            let next = self.rng.below(self.wire.len());
            let (to, from, id) = self.wire.swap_remove(next);
            let reachable = self.rng.chance(80);
            self.deliver(to, from, &[id], reachable).await;
        }
    }

    async fn deliver(&self, to: usize, from: usize, ids: &[OwnedEventId], reachable: bool) -> Vec<Outcome> {
        let (receiver, sender) = (&self.servers[to], &self.servers[from]);
        let sent = sender.rooms.pdus(&sender.room(&self.room).await, ids).await.expect("events");
        let others = self.servers.iter().enumerate().filter(|(at, _)| *at != to && reachable);
        let peers = Ask { servers: others.map(|(_, server)| server).collect() };
        let room = receiver.room(&self.room).await;
        let became = receiver.rooms.receive(&room, &sender.name, sent, &peers).await.expect("received");
        became.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Everybody gets everything; then one event follows all that there is.
    async fn heal(&mut self) -> OwnedEventId {
        for round in 0..4 {
            for from in 0..3 {
                for to in (0..3).filter(|to| *to != from) {
                    let tips = self.tips(from).await;
                    self.deliver(to, from, &tips, true).await;
                }
            }
            let creator = self.servers[0].users[0].clone();
            let said = self.servers[0].rooms.append(&self.room, text(&creator, &format!("round {round}"))).await;
            let id = match said {
                Ok(appended) => appended.event_id,
                // They may have left.
                Err(Error::Forbidden(_)) => {
                    let wanted = json!({ "membership": "join", "round": round });
                    let join = state(&creator, "m.room.member", creator.as_str(), &wanted);
                    match self.servers[0].rooms.append(&self.room, join).await {
                        Ok(appended) => appended.event_id,
                        Err(_) => self.tips(0).await.swap_remove(0),
                    }
                }
                Err(error) => panic!("{error}"),
            };
            for to in 1..3 {
                self.deliver(to, 0, &[id.clone()], true).await;
            }
            if round == 3 {
                return id;
            }
        }
        unreachable!("the last round answers")
    }

    async fn state_before(&self, at: usize, id: &EventId) -> Vec<OwnedEventId> {
        let server = &self.servers[at];
        let ids = server.rooms.state_ids(&server.room(&self.room).await, id).await.expect("ids");
        let mut ids = ids.unwrap_or_else(|| panic!("{} does not have {id}", server.name)).state;
        ids.sort();
        ids
    }
}

async fn simulate(seed: u64, steps: usize) {
    let mut simulation = Simulation::start(seed).await;
    for _ in 0..steps {
        simulation.step().await;
    }
    let last = simulation.heal().await;
    let wanted = simulation.state_before(0, &last).await;
    assert!(!wanted.is_empty());
    for at in 0..3 {
        assert_eq!(simulation.state_before(at, &last).await, wanted, "seed {seed}: server {at} has another state");
        let faults = faults(&simulation.servers[at], &simulation.room).await;
        assert!(faults.is_empty(), "seed {seed}: server {at}: {faults:#?}");
    }
}

/// The seeds that are tried; `ROOST_TEST_SEED` names one, to have a run again, and `ROOST_TEST_SEEDS` says how many.
fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("ROOST_TEST_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("ROOST_TEST_SEEDS").unwrap_or(12)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_were_cut_off_from_each_other_agree_once_they_are_not() {
    for seed in seeds() {
        println!("seed {seed}");
        simulate(seed, 60).await;
    }
}

#[tokio::test]
async fn a_user_of_another_server_joins_and_both_sides_talk() {
    let clock: Arc<dyn Clock> = Arc::new(Hands(0.into()));
    let (host, guest) =
        (Server::start("a.example", clock.clone(), 1).await, Server::start("b.example", clock, 1).await);
    let (alice, bob) = (host.users[0].clone(), guest.users[0].clone());
    for version in RoomVersion::ALL {
        let mut request = CreateRoom::new(&alice);
        (request.version, request.preset) = (Some(version.as_str().to_owned()), Some(Preset::PublicChat));
        let room = host.rooms.create(request).await.expect("a room");
        host.rooms.append(&room, text(&alice, "before")).await.expect("sent");
        join_through(&host, &guest, &room, &bob).await.expect("joined");
        let sent = guest.rooms.append(&room, text(&bob, "hello")).await.expect("sent").event_id;
        let pdus = guest.rooms.pdus(&guest.room(&room).await, &[sent]).await.expect("events");
        let nobody = Ask { servers: vec![] };
        let became = host.rooms.receive(&host.room(&room).await, &guest.name, pdus.clone(), &nobody).await;
        assert!(matches!(became.as_deref(), Ok([(_, Outcome::Accepted(_))])), "{version}: {became:?}");
        let again = host.rooms.receive(&host.room(&room).await, &guest.name, pdus, &nobody).await;
        assert!(matches!(again.as_deref(), Ok([(_, Outcome::Known)])), "{version}: {again:?}");
        for server in [&host, &guest] {
            assert_eq!(faults(server, &room).await, Vec::<String>::new(), "{version}");
        }
        assert!(guest.rooms.is_joined(&room, &bob).await.expect("asked"));
        let left = guest.rooms.leave(&room, &bob, None).await.expect("left").event_id;
        let pdus = guest.rooms.pdus(&guest.room(&room).await, &[left]).await.expect("events");
        host.rooms.receive(&host.room(&room).await, &guest.name, pdus, &nobody).await.expect("received");
        assert!(!host.rooms.is_joined(&room, &bob).await.expect("asked"), "{version}");
        // And back: the room goes on from what the host says.
        host.rooms.append(&room, text(&alice, "meanwhile")).await.expect("sent");
        join_through(&host, &guest, &room, &bob).await.expect("joined again");
        assert!(guest.rooms.is_joined(&room, &bob).await.expect("asked"));
        assert_eq!(faults(&guest, &room).await, Vec::<String>::new(), "{version}");
    }
}
