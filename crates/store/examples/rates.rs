//! What the store itself costs, without a server around it: writes in groups, and reads that find nothing new.
//!
//! `cargo run --release -p roost-store --example rates` (SQLite in a temporary folder; with `ROOST_TEST_POSTGRES` also
//! PostgreSQL). Prints rates beside what they are held against, measured in the same run: a bare fsync, and a read of an atomic.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use roost_store::{Change, Error, EventNo, RoomNo, Store, params, testing::Scratch};

const EVENT: &str = "INSERT INTO store_meta (name, value) VALUES ($1, $2)";
const NOTHING: &str = "SELECT value FROM store_meta WHERE name = $1";
const LAST: Duration = Duration::from_secs(3);

#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
fn now() -> Instant {
    Instant::now()
}

/// How often a second `turn` comes round, in `tasks` tasks at once.
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own load")]
async fn rate<F: Future<Output = ()> + Send + 'static>(
    tasks: u32,
    turn: impl Fn(u32, u32) -> F + Clone + Send + 'static,
) -> f64 {
    let started = now();
    let all: Vec<_> = (0..tasks)
        .map(|task| {
            let turn = turn.clone();
            tokio::spawn(async move {
                let mut turns = 0;
                while started.elapsed() < LAST {
                    turn(task, turns).await;
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

async fn measure(name: &str, store: &Store) {
    for tasks in [1, 16, 128] {
        let shared = store.clone();
        let writes = rate(tasks, move |task, turn| {
            let store = shared.clone();
            async move {
                let (key, body) = (format!("{tasks}/{task}/{turn}"), "x".repeat(700));
                let written = store.write(move |tx| {
                    tx.execute(EVENT, params![&key, &body])?;
                    let event = EventNo(i64::from(task) << 32 | i64::from(turn));
                    Ok::<_, Error>(tx.log(Change::Event { room: RoomNo(1), event, member: None }))
                });
                written.await.expect("a write");
            }
        });
        println!("{name}: {:8.0} writes/s from {tasks} at once", writes.await);
    }
    for tasks in [1, 16] {
        let shared = store.clone();
        let reads = rate(tasks, move |_, _| {
            let store = shared.clone();
            async move {
                let found = store.read(|read| read.exists(NOTHING, params!["nobody"])).await;
                assert_eq!(found.ok(), Some(false));
            }
        });
        println!("{name}: {:8.0} reads/s from {tasks} at once", reads.await);
    }
    let mut follower = store.follow(store.frontier());
    let (started, turns) = (now(), 1_000_000);
    for _ in 0..turns {
        follower.drain();
    }
    println!(
        "{name}: {:8.0} ns for a follower to learn that there is nothing new",
        started.elapsed().as_secs_f64() * 1e9 / f64::from(turns)
    );
}

fn fsync() -> std::io::Result<f64> {
    let mut file = tempfile::tempfile()?;
    let (started, mut turns) = (now(), 0);
    while started.elapsed() < LAST {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        turns += 1;
    }
    Ok(f64::from(turns) / started.elapsed().as_secs_f64())
}

#[tokio::main]
async fn main() {
    println!("the disk:   {:8.0} writes of 4 KB with fsync/s", fsync().expect("a temporary file"));
    let scratch = Scratch::sqlite();
    measure("SQLite", &scratch.open().await).await;
    if let Some(scratch) = Scratch::postgres() {
        measure("PostgreSQL", &scratch.open().await).await;
    }
}
