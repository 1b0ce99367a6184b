//! Reading a room: its members, its history.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::Lane;
use crate::client::Failure;
use crate::fixtures::Workbench;
use crate::measure::{Bound, Run};

pub(super) async fn members(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let (host, room, members) = bench.big_room().await?;
    let lane = Lane::new(&bench.target, &host, &room)?;
    let path = format!("{}/members", lane.room);
    read(bench, lane, &path, bound, members).await
}

pub(super) async fn messages(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let (user, room) = bench.history_room().await?;
    let lane = Lane::new(&bench.target, &user, &room)?;
    let path = format!("{}/messages?dir=b&limit=100", lane.room);
    read(bench, lane, &path, bound, 100).await
}

/// Reads the path over and over; its first answer must hold a chunk of at least so many events.
async fn read(bench: &Workbench, lane: Lane, path: &str, bound: Bound, at_least: usize) -> Result<Run, Failure> {
    let mut lanes = vec![(lane, 0)];
    let mut run = bench
        .measure(&mut lanes, bound, async |(lane, bytes), n| {
            let answer = lane.connection.exchange(Method::GET, path, Some(&lane.bearer), Bytes::new()).await?;
            let answer = answer.success(path)?;
            if n == 0 {
                let parsed: Value = serde_json::from_slice(&answer).unwrap_or_default();
                let events = parsed.get("chunk").and_then(Value::as_array).map_or(0, Vec::len);
                if events < at_least {
                    return Err(Failure::Unexpected(format!("{path}: {events} events instead of {at_least}")));
                }
            }
            *bytes = answer.len() as u64;
            Ok(())
        })
        .await?;
    run.bytes = lanes.first().map(|(_, bytes)| *bytes);
    Ok(run)
}
