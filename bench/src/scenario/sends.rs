//! Sending: messages and state.

use bytes::Bytes;
use http::Method;

use super::Lane;
use crate::api;
use crate::client::Failure;
use crate::fixtures::{SENDERS, Workbench};
use crate::measure::{Bound, Limit, Run};

pub(super) async fn one_sender(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let room = bench.own_rooms().await?.swap_remove(0);
    let user = bench.users(1).await?.swap_remove(0);
    let lanes = vec![Lane::new(&bench.target, &user, &room)?];
    messages(bench, lanes, bound).await
}

pub(super) async fn one_room(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let room = bench.shared_room().await?;
    let users = bench.users(SENDERS).await?;
    let lanes = users.iter().map(|user| Lane::new(&bench.target, user, &room)).collect::<Result<_, _>>()?;
    messages(bench, lanes, bound).await
}

pub(super) async fn own_rooms(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let lanes = own_lanes(bench).await?;
    messages(bench, lanes, bound).await
}

/// The round is shared between the big room and a room of two, which is the limit: size must not matter.
pub(super) async fn big_room(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let (host, big, _) = bench.big_room().await?;
    let small = bench.pair_room().await?;
    let owner = bench.users(1).await?.swap_remove(0);
    let half = Bound { time: bound.time / 2, ..bound };
    let twenty = |bench: &Workbench, user, room: &str| {
        (0..SENDERS).map(|_| Lane::new(&bench.target, user, room)).collect::<Result<Vec<_>, _>>()
    };
    let lanes = twenty(bench, &owner, &small)?;
    let limit = messages(bench, lanes, half).await?;
    let lanes = twenty(bench, &host, &big)?;
    let mut run = messages(bench, lanes, half).await?;
    run.limit = Some(Limit { what: "the same in a room of two", rate: limit.rate() });
    Ok(run)
}

async fn own_lanes(bench: &mut Workbench) -> Result<Vec<Lane>, Failure> {
    let rooms = bench.own_rooms().await?;
    let users = bench.users(SENDERS).await?;
    users.iter().zip(&rooms).map(|(user, room)| Lane::new(&bench.target, user, room)).collect()
}

async fn messages(bench: &mut Workbench, mut lanes: Vec<Lane>, bound: Bound) -> Result<Run, Failure> {
    let batch = bench.fresh();
    bench
        .measure(&mut lanes, bound, async |lane, n| {
            let path = format!("{}/send/m.room.message/{batch}-{n}", lane.room);
            put(lane, &path, api::message(n)).await
        })
        .await
}

pub(super) async fn state(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let mut lanes = own_lanes(bench).await?;
    let batch = bench.fresh();
    bench
        .measure(&mut lanes, bound, async |lane, n| {
            let path = format!("{}/state/org.example.roost.bench/{batch}-{n}", lane.room);
            put(lane, &path, Bytes::from(format!(r#"{{"n":{n},"text":"a small piece of state"}}"#))).await
        })
        .await
}

async fn put(lane: &mut Lane, path: &str, body: Bytes) -> Result<(), Failure> {
    lane.connection.exchange(Method::PUT, path, Some(&lane.bearer), body).await?.success(path).map(drop)
}
