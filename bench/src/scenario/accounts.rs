//! Accounts, and what an account does once: logging in, making a room, joining one.

use serde_json::json;

use crate::api::{self, User};
use crate::client::{Connection, Failure};
use crate::fixtures::{VISITOR, Workbench};
use crate::measure::{Bound, Run};

const CLIENTS: usize = 4;

fn connections(bench: &Workbench, count: usize) -> Vec<Connection> {
    (0..count).map(|_| bench.target.connection()).collect()
}

pub(super) async fn registration(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let names = bench.fresh();
    let mut lanes = connections(bench, CLIENTS);
    bench
        .measure(&mut lanes, bound, async |connection, n| {
            api::register(connection, &bench.target, &format!("{names}-r{n}")).await.map(drop)
        })
        .await
}

pub(super) async fn login(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let users = bench.users(CLIENTS).await?;
    let mut lanes: Vec<(Connection, User)> = connections(bench, CLIENTS).into_iter().zip(users).collect();
    bench.measure(&mut lanes, bound, async |(connection, user), _| api::login(connection, user).await).await
}

pub(super) async fn create_room(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let user = bench.users(1).await?.swap_remove(0);
    let mut lanes = connections(bench, 1);
    bench
        .measure(&mut lanes, bound, async |connection, _| {
            let body = json!({ "preset": "private_chat", "name": "one more room" });
            api::create_room(connection, &bench.target, &user, body).await.map(drop)
        })
        .await
}

/// Joins are timed; the leaving between them is not.
pub(super) async fn join_big(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let (_, room, _) = bench.big_room().await?;
    let visitor = bench.users(VISITOR + 1).await?.swap_remove(VISITOR);
    let mut lanes = connections(bench, 1);
    let mut whole = Run::default();
    let start = std::time::Instant::now();
    let one = Bound { count: 1, ..bound };
    while (whole.latencies.len() as u64) < bound.count && start.elapsed() < bound.time {
        let run =
            bench.measure(&mut lanes, one, async |connection, _| api::join(connection, &visitor, &room).await).await?;
        api::leave(&mut lanes[0], &visitor, &room).await?;
        whole.latencies.extend(run.latencies);
        whole.wall += run.wall;
    }
    // A single join is shorter than the kernel's unit of processor time, so the figure would be noise.
    whole.cpu = None;
    Ok(whole)
}
