//! What the room engine costs by itself, without a server around it.
//!
//! `cargo run --release -p roost-rooms --example engine [MEMBERS]` (SQLite in a temporary folder; with `ROOST_TEST_POSTGRES` also
//! PostgreSQL). Prints appends by how many wait at once beside what the bare store does with rows of the same size, in the same
//! run; a room of many members: bytes for each further membership, reading one and all, two states a hundred changes apart, a
//! resolution; and the memory of many active rooms beside the budgets of their caches.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use roost_matrix::{
    event::{Draft, Pdu},
    ids::{OwnedEventId, OwnedServerName, OwnedUserId, UserId},
    room_version::RoomVersion,
    signing::KeyPair,
};
use roost_rooms::{
    Adoption, CreateRoom, Identity, MemberProfile, NewEvent, Nobody, Options, Outcome, Preset, Room, Rooms,
};
use roost_store::{
    Change, Database, Error, EventNo, RoomNo, Store, params,
    testing::{Scratch, world},
};
use serde_json::{Value, json, value::RawValue};

const ROW: &str = "INSERT INTO store_meta (name, value) VALUES ($1, $2)";
const PAGES: &str = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
const SIZE: &str = "SELECT CAST(pg_database_size(current_database()) AS BIGINT)";
const LAST: Duration = Duration::from_secs(3);

#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
fn now() -> Instant {
    Instant::now()
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("JSON")
}

fn user(name: &str, server: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:{server}")).expect("a user id")
}

fn key(server: &str) -> KeyPair {
    KeyPair::from_seed([server.bytes().fold(3, u8::wrapping_add); 32], "bench")
}

async fn engine(store: &Store) -> Rooms {
    let server_name: OwnedServerName = "here.example".try_into().expect("a name");
    let identity = Identity { key: Arc::new(key(server_name.as_str())), server_name };
    Rooms::open(store.clone(), identity, Options::default(), world()).await.expect("an engine")
}

async fn public(rooms: &Rooms, creator: &UserId) -> Arc<Room> {
    let request = CreateRoom { preset: Some(Preset::PublicChat), ..CreateRoom::new(creator) };
    let id = rooms.create(request).await.expect("a room");
    rooms.room(&id).await.expect("the room")
}

/// How often a second `turn` comes round, in `tasks` tasks at once.
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own load")]
async fn rate<F: Future<Output = ()> + Send + 'static>(
    tasks: usize,
    turn: impl Fn(usize, usize) -> F + Clone + Send + 'static,
) -> f64 {
    let started = now();
    let all: Vec<_> = (0..tasks)
        .map(|task| {
            let turn = turn.clone();
            tokio::spawn(async move {
                let mut turns = 0_u32;
                while started.elapsed() < LAST {
                    turn(task, usize::try_from(turns).unwrap_or(0)).await;
                    turns += 1;
                }
                turns
            })
        })
        .collect();
    let mut turns = 0;
    for task in all {
        turns += task.await.expect("a task that ends");
    }
    f64::from(turns) / started.elapsed().as_secs_f64()
}

async fn bytes(store: &Store) -> i64 {
    let postgres = matches!(store_kind(store).await, Kind::Postgres);
    let sql = if postgres { SIZE } else { PAGES };
    store.read(move |read| read.one(sql, &[], |row| row.get::<i64>(0))).await.expect("a size").expect("a row")
}

enum Kind {
    Sqlite,
    Postgres,
}

async fn store_kind(store: &Store) -> Kind {
    let found: Result<Option<i64>, Error> = store.read(|read| read.one(PAGES, &[], |row| row.get(0))).await;
    if found.is_ok() { Kind::Sqlite } else { Kind::Postgres }
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

async fn appends(store: &Store) {
    println!("| waiting at once | appends/s | state events/s | the bare store's rows/s |");
    println!("|---|---|---|---|");
    let rooms = engine(store).await;
    let alice = user("alice", "here.example");
    let room = public(&rooms, &alice).await;
    for tasks in [1, 8, 64] {
        let (engine, id, sender) = (rooms.clone(), room.id.clone(), alice.clone());
        let messages = rate(tasks, move |task, turn| {
            let (engine, id, sender) = (engine.clone(), id.clone(), sender.clone());
            async move {
                let content =
                    raw(&json!({ "msgtype": "m.text", "body": format!("{task} {turn} {}", "x".repeat(100)) }));
                engine.append(&id, NewEvent::message(&sender, "m.room.message", content, None)).await.expect("sent");
            }
        })
        .await;
        let (engine, id, sender) = (rooms.clone(), room.id.clone(), alice.clone());
        let states = rate(tasks, move |task, turn| {
            let (engine, id, sender) = (engine.clone(), id.clone(), sender.clone());
            async move {
                let content = raw(&json!({ "n": turn, "body": "x".repeat(100) }));
                let event = NewEvent::state(&sender, "org.example.state", &task.to_string(), content);
                engine.append(&id, event).await.expect("set");
            }
        })
        .await;
        let bare = store.clone();
        let rows = rate(tasks, move |task, turn| {
            let store = bare.clone();
            async move {
                let (name, body) = (format!("bench {tasks}/{task}/{turn}"), "x".repeat(700));
                let written = store.write(move |tx| {
                    tx.execute(ROW, params![&name, &body])?;
                    Ok::<_, Error>(tx.log(Change::Event { room: RoomNo(0), event: EventNo(0), member: None }))
                });
                written.await.expect("written");
            }
        })
        .await;
        println!("| {tasks} | {messages:.0} | {states:.0} | {rows:.0} |");
    }
}

/// The state of a room of another server with many members, and its creator's join.
fn large(members: usize) -> (Vec<Pdu>, Pdu, Pdu) {
    let rules = RoomVersion::V11.rules();
    let (server, creator) = ("there.example", user("creator", "there.example"));
    let (name, key) = (OwnedServerName::try_from(server).expect("a name"), key(server));
    let room = roost_matrix::ids::RoomId::parse("!large:there.example").expect("a room id");
    let mut depth = 0;
    let mut make = |sender: &UserId,
                    kind: &str,
                    state_key: &str,
                    content: Value,
                    prev: Vec<OwnedEventId>,
                    auth: Vec<OwnedEventId>| {
        depth += 1;
        Draft {
            room_id: Some(room.clone()),
            sender: sender.to_owned(),
            kind: kind.to_owned(),
            state_key: Some(state_key.to_owned()),
            content: raw(&content),
            redacts: None,
            prev_events: prev,
            auth_events: auth,
            reference_hashes: Vec::new(),
            depth,
            origin_server_ts: 1_700_000_000_000 + depth,
        }
        .seal(rules, &name, &key)
        .expect("an event")
    };
    let id = |pdu: &Pdu| pdu.event_id().to_owned();
    let create = make(&creator, "m.room.create", "", json!({ "room_version": "11" }), vec![], vec![]);
    let joined = json!({ "membership": "join" });
    let member =
        make(&creator, "m.room.member", creator.as_str(), joined.clone(), vec![id(&create)], vec![id(&create)]);
    let levels = make(
        &creator,
        "m.room.power_levels",
        "",
        json!({ "users": { creator.as_str(): 100 } }),
        vec![id(&member)],
        vec![id(&create), id(&member)],
    );
    let rules_event = make(
        &creator,
        "m.room.join_rules",
        "",
        json!({ "join_rule": "public" }),
        vec![id(&levels)],
        vec![id(&create), id(&member), id(&levels)],
    );
    let mut last = id(&rules_event);
    let mut state = vec![create.clone(), member.clone(), levels.clone(), rules_event.clone()];
    let auth = vec![id(&create), id(&levels), id(&rules_event)];
    for n in 0..members {
        let who = user(&format!("member{n}"), server);
        let content = json!({ "membership": "join", "displayname": format!("Member number {n}") });
        let event = make(&who, "m.room.member", who.as_str(), content, vec![last], auth.clone());
        last = id(&event);
        state.push(event);
    }
    let here = user("alice", "here.example");
    // Signed by the wrong server: the engine is given events that are verified, and does not look.
    let own = make(&here, "m.room.member", here.as_str(), joined, vec![last], auth);
    (state, own, levels)
}

async fn many_members(store: &Store, members: usize) {
    let rooms = engine(store).await;
    let (state, join, levels) = large(members);
    let json: usize = state.iter().map(|pdu| pdu.json().len()).sum();
    let before = bytes(store).await;
    let started = now();
    let adoption = Adoption {
        origin: "there.example".try_into().expect("a name"),
        version: RoomVersion::V11,
        join: join.clone(),
        state,
        auth_chain: Vec::new(),
        partial: None,
    };
    let room = rooms.adopt(adoption).await.expect("joined");
    println!(
        "| taking in a room of {members} members: time, memory; bytes for each member, of which JSON | {:.1} s, {} MiB; {}, {} |",
        started.elapsed().as_secs_f64(),
        resident() / 1024,
        (bytes(store).await - before) / i64::try_from(members).unwrap_or(1),
        json / members,
    );
    let alice = user("alice", "here.example");

    let (before, count) = (bytes(store).await, 1000);
    let started = now();
    for n in 0..count {
        let who = user(&format!("local{n}"), "here.example");
        rooms.join(&room.id, &who, &MemberProfile::default(), None).await.expect("joined");
    }
    println!(
        "| a local join, one by one: time; bytes kept for it, JSON and indexes included | {:.2} ms; {} |",
        started.elapsed().as_secs_f64() * 1000.0 / f64::from(count),
        (bytes(store).await - before) / i64::from(count)
    );
    let started = now();
    for n in 0..1000 {
        let who = format!("@member{}:there.example", n * members / 1000);
        rooms.state_event(&room.id, &alice, "m.room.member", &who).await.expect("a member");
    }
    println!("| reading one member | {:.3} ms |", started.elapsed().as_secs_f64());
    let started = now();
    let all = rooms.members(&room.id, &alice, None, |_| true).await.expect("members");
    println!("| reading all {} | {:.0} ms |", all.len(), started.elapsed().as_secs_f64() * 1000.0);

    // A branch of the other server's: what it says follows its own join, and knows nothing of what came since.
    let (name, key) = (OwnedServerName::try_from("there.example").expect("a name"), key("there.example"));
    let creator = user("creator", "there.example");
    let member = rooms.state_event(&room.id, &alice, "m.room.member", creator.as_str()).await.expect("a member");
    let create = rooms.state_event(&room.id, &alice, "m.room.create", "").await.expect("a create event");
    let draft = Draft {
        room_id: Some(room.id.clone()),
        sender: creator.clone(),
        kind: "m.room.topic".to_owned(),
        state_key: Some(String::new()),
        content: raw(&json!({ "topic": "another branch" })),
        redacts: None,
        prev_events: vec![join.event_id().to_owned()],
        auth_events: vec![
            create.stored.pdu.event_id().to_owned(),
            levels.event_id().to_owned(),
            member.stored.pdu.event_id().to_owned(),
        ],
        reference_hashes: Vec::new(),
        depth: join.depth() + 1,
        origin_server_ts: 1_800_000_000_000,
    };
    rooms
        .append(&room.id, NewEvent::message(&alice, "m.room.message", raw(&json!({ "body": "here" })), None))
        .await
        .expect("sent");
    let topic = draft.seal(room.rules, &name, &key).expect("an event");
    let started = now();
    let became = rooms.receive(&room, &name, vec![topic], &Nobody).await.expect("received");
    assert!(matches!(became.as_slice(), [(_, Outcome::Accepted(_))]), "{became:?}");
    println!(
        "| an event of a branch that is {count} memberships behind: judged, resolved, committed | {:.1} ms |",
        started.elapsed().as_secs_f64() * 1000.0
    );
}

async fn active_rooms(store: &Store, count: usize) {
    let rooms = engine(store).await;
    let alice = user("alice", "here.example");
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push(public(&rooms, &alice).await);
    }
    let before = resident();
    for turn in 0..2 {
        for room in &all {
            let content = raw(&json!({ "msgtype": "m.text", "body": turn.to_string() }));
            let event = NewEvent::message(&alice, "m.room.message", content, None);
            rooms.append(&room.id, event).await.expect("sent");
        }
    }
    let options = Options::default();
    let budget = options.event_cache_bytes + options.state_cache_bytes + options.chain_cache_bytes;
    println!(
        "| {count} rooms made and written to: resident after making them, after two rounds of sends; caches' budget | {} MiB, {} MiB; {} MiB |",
        before / 1024,
        resident() / 1024,
        budget >> 20
    );
}

async fn measure(scratch: &Scratch, members: usize) {
    let name = match scratch.options.database {
        Database::Sqlite(_) => "SQLite",
        Database::Postgres(_) => "PostgreSQL",
    };
    println!("\n## {name}\n");
    let store = scratch.open().await;
    appends(&store).await;
    println!("\n| | |\n|---|---|");
    many_members(&store, members).await;
    active_rooms(&store, 5000).await;
    store.close().await;
    std::io::stdout().flush().expect("printed");
}

#[tokio::main]
async fn main() {
    let members = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    measure(&Scratch::sqlite(), members).await;
    if let Some(scratch) = Scratch::postgres() {
        measure(&scratch, members).await;
    }
}
