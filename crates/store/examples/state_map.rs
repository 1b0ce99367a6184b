//! What room state costs in a room of 100,000 joined members.
//!
//! `cargo run --release -p roost-store --example state_map` (SQLite in a temporary folder; with `ROOST_TEST_POSTGRES` also
//! PostgreSQL, whose log is only counted rightly when nobody else uses the cluster). Bytes are those that the engine itself
//! counts, indexes included: of the database, and of its write-ahead log.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use roost_store::{
    Database, Error, EventNo, RoomNo, StateKeyNo, Store, params,
    state_map::{Snapshot, StateMaps},
    testing::{self, Scratch},
};

const ROOM: RoomNo = RoomNo(1);
const MEMBERS: i64 = 100_000;
const NEW_ROOM: &str = "INSERT INTO rooms (room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published, created_at)
                        VALUES ($1, '!room', '12', 0, 0, 0, '', 0, 0, 0, FALSE, FALSE, 0)";
const PAYLOAD: &str = "SELECT CAST(COALESCE(SUM(length(body)), 0) AS BIGINT), count(*) FROM state_blocks";
const SQLITE_PAGES: &str = "SELECT page_count FROM pragma_page_count";
const POSTGRES_SIZE: &str =
    "SELECT CAST(pg_total_relation_size('state_blocks') + pg_total_relation_size('state_snapshots') AS BIGINT)";
const POSTGRES_WAL: &str = "SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS BIGINT)";

type Steps = Vec<(StateKeyNo, Option<EventNo>)>;

#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Each step a snapshot upon the one before, all in one transaction.
async fn apply(store: &Store, maps: &StateMaps, base: Option<Snapshot>, steps: Vec<Steps>) -> Snapshot {
    let mut planner = maps.planner(ROOM);
    let (planner, snapshot) = store
        .read(move |read| {
            let mut last = base;
            for changes in &steps {
                last = Some(planner.apply(read, last.as_ref(), changes)?);
            }
            Ok::<_, Error>((planner, last.expect("a step")))
        })
        .await
        .expect("a plan");
    let plan = planner.finish().await.expect("numbers");
    let snapshot = plan.snapshot(&snapshot);
    store.write(move |tx| plan.write(tx)).await.expect("a write");
    snapshot
}

struct Meter<'a> {
    store: &'a Store,
    sqlite: Option<PathBuf>,
}

impl Meter<'_> {
    async fn number(&self, sql: &'static str) -> i64 {
        self.store.read(move |read| read.one(sql, params![], |row| row.get(0))).await.expect("a size").expect("a size")
    }

    async fn size(&self) -> i64 {
        match &self.sqlite {
            Some(_) => self.number(SQLITE_PAGES).await * 4096,
            None => self.number(POSTGRES_SIZE).await,
        }
    }

    async fn payload(&self) -> (i64, i64) {
        let sizes = self.store.read(|read| read.one(PAYLOAD, params![], |row| Ok((row.get(0)?, row.get(1)?)))).await;
        sizes.expect("a size").expect("a size")
    }

    /// The write-ahead log so far. On SQLite it starts over with `empty`.
    async fn log(&self, empty: bool) -> i64 {
        let Some(path) = &self.sqlite else { return self.number(POSTGRES_WAL).await };
        if empty {
            let connection = rusqlite::Connection::open(path).expect("the database");
            let truncated = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            assert_eq!(truncated, Ok(0), "the log is in use");
        }
        let path = format!("{}-wal", path.display());
        i64::try_from(std::fs::metadata(path).expect("the log").len()).expect("a size")
    }
}

/// The mean of `turns` turns.
async fn time<F: Future<Output = ()>>(turns: u32, mut turn: impl FnMut(i64) -> F) -> Duration {
    let started = now();
    for at in 0..turns {
        turn(at.into()).await;
    }
    started.elapsed() / turns
}

/// The key of some member, all over the map.
fn member(turn: i64) -> StateKeyNo {
    StateKeyNo(turn * 7_919 % MEMBERS * 2)
}

async fn measure(name: &str, scratch: &Scratch) {
    let store = scratch.open().await;
    let sqlite = match &scratch.options.database {
        Database::Sqlite(path) => Some(path.clone()),
        Database::Postgres(_) => None,
    };
    let meter = Meter { store: &store, sqlite };
    store.write(|tx| tx.execute(NEW_ROOM, params![ROOM])).await.expect("a room");
    let maps = StateMaps::open(&store, &testing::world(), 64 << 20).await.expect("state maps");
    let (started, before) = (now(), meter.size().await);
    // Members joined in another order than their keys were first heard of.
    let joins = (0..MEMBERS).map(|turn| (member(turn), Some(EventNo(turn * 3 + 1)))).collect();
    let first = apply(&store, &maps, None, vec![joins]).await;
    println!(
        "{name}: {} KB for {MEMBERS} members, made in {:?}",
        (meter.size().await - before) / 1000,
        started.elapsed()
    );

    let mut last = first.clone();
    let mut event = 10_000_000;
    let mut hundred = None;
    for (what, new, group) in [
        ("changes of a member", 0, 1),
        ("new members", 1, 1),
        ("changes, 32 at once", 0, 32),
        ("new members, 32 at once", 1, 32),
    ] {
        let turns = 960;
        let (size, payload, log) = (meter.size().await, meter.payload().await, meter.log(true).await);
        let mut done = 0;
        while done < turns {
            let steps = (done..done + group).map(|turn| {
                event += 3;
                vec![(StateKeyNo(member(turn * 31 + group).0 + new), Some(EventNo(event)))]
            });
            last = apply(&store, &maps, Some(last.clone()), steps.collect()).await;
            done += group;
            if new == 0 && group == 1 && done == 100 {
                hundred = Some(last.clone());
            }
        }
        let log = meter.log(false).await - log;
        let after = meter.payload().await;
        println!(
            "{name}: {what}: {} bytes kept each ({} in {:.1} blocks), {} bytes of log",
            (meter.size().await - size) / turns,
            (after.0 - payload.0) / turns,
            per(after.1 - payload.1, turns),
            log / turns
        );
    }

    let hundred = hundred.expect("a hundred changes");
    let cold = || async { StateMaps::open(&store, &testing::world(), 0).await.expect("state maps") };
    for (how, maps) in [("from memory", maps.clone()), ("without a cache", cold().await)] {
        let one = time(1000, |turn| {
            let (maps, last) = (maps.clone(), last.clone());
            let read = store.read(move |read| maps.get(read, &last, member(turn * 17)));
            async { assert!(read.await.expect("a read").is_some()) }
        });
        let one = one.await;
        let all = time(3, |_| {
            let (maps, first) = (maps.clone(), first.clone());
            let read = store.read(move |read| Ok::<_, Error>(maps.all(read, &first)?.len()));
            async { assert_eq!(read.await.ok(), usize::try_from(MEMBERS).ok()) }
        });
        let all = all.await;
        let diff = time(20, |_| {
            let (maps, first, hundred) = (maps.clone(), first.clone(), hundred.clone());
            let read = store.read(move |read| Ok::<_, Error>(maps.diff(read, &first, &hundred)?.len()));
            async { assert_eq!(read.await.ok(), Some(100)) }
        });
        println!("{name}: {how}: one member {one:?}, all {all:?}, two snapshots 100 changes apart {:?}", diff.await);
    }
}

#[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
fn per(count: i64, turns: i64) -> f64 {
    count as f64 / turns as f64
}

#[tokio::main]
async fn main() {
    measure("SQLite", &Scratch::sqlite()).await;
    if let Some(scratch) = Scratch::postgres() {
        measure("PostgreSQL", &scratch).await;
    }
}
