//! `/sync` without and with something to say.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::Lane;
use crate::api;
use crate::client::Failure;
use crate::fixtures::Workbench;
use crate::measure::{Bound, Limit, Run};

const CLIENTS: usize = 8;

/// A quarter of the round goes to the limit: a request to the same server, on as many connections, that asks for nothing.
pub(super) async fn idle(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let (reader, _) = bench.many_rooms().await?;
    let first = api::sync(&mut bench.target.connection(), &reader.bearer()?, None, 0).await?;
    let since = api::next_batch(&first)?;
    let mut lanes = (0..CLIENTS)
        .map(|_| Ok((Lane::new(&bench.target, &reader, "")?, since.clone())))
        .collect::<Result<Vec<_>, Failure>>()?;

    let quarter = Bound { time: bound.time / 4, ..bound };
    let limit = bench
        .measure(&mut lanes, quarter, async |(lane, _), _| {
            let path = "/_matrix/client/versions";
            let answer = lane.connection.exchange(Method::GET, path, None, Bytes::new()).await?;
            answer.success(path).map(drop)
        })
        .await?;

    let rest = Bound { time: quarter.time * 3, ..bound };
    let mut run = bench
        .measure(&mut lanes, rest, async |(lane, since), n| {
            let answer = api::sync(&mut lane.connection, &lane.bearer, Some(since), 0).await?;
            if n == 0 && joined_rooms(&answer) > 0 {
                return Err(Failure::Unexpected("a /sync that should have nothing to say names rooms".to_owned()));
            }
            *since = api::next_batch(&answer)?;
            Ok(())
        })
        .await?;
    run.limit = Some(Limit { what: "a bare HTTP request to the same server", rate: limit.rate() });
    Ok(run)
}

/// Each request asks under a filter of its own, since a server may answer the same question from memory.
pub(super) async fn initial(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let (reader, rooms) = bench.many_rooms().await?;
    let mut lanes = vec![(Lane::new(&bench.target, &reader, "")?, 0)];
    let batch = bench.fresh();
    let mut run = bench
        .measure(&mut lanes, bound, async |(lane, bytes), n| {
            let nobody = format!("%40{batch}-{n}:nowhere");
            let filter = format!("%7B%22presence%22:%7B%22not_senders%22:%5B%22{nobody}%22%5D%7D%7D");
            let path = format!("/_matrix/client/v3/sync?timeout=0&filter={filter}");
            let answer = lane.connection.exchange(Method::GET, &path, Some(&lane.bearer), Bytes::new()).await?;
            let answer = answer.success(&path)?;
            if n == 0 && joined_rooms(&answer) < rooms {
                return Err(Failure::Unexpected(format!("a first /sync leaves out some of {rooms} rooms")));
            }
            *bytes = answer.len() as u64;
            Ok(())
        })
        .await?;
    run.bytes = lanes.first().map(|(_, bytes)| *bytes);
    Ok(run)
}

fn joined_rooms(answer: &[u8]) -> usize {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer.pointer("/rooms/join").and_then(Value::as_object).map_or(0, serde_json::Map::len)
}
