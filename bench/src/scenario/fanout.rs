//! From sending a message to its arrival at the last of fifty syncing members.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::api;
use crate::client::{Connection, Failure};
use crate::fixtures::{SYNCERS, Workbench};
use crate::measure::{Bound, Run};

/// What stands before the number in a message's text.
const MARK: &[u8] = b"fan-out-";
const DIGITS: usize = 12;
/// Time for everybody to wait again before the next message; it is not counted.
const PAUSE: Duration = Duration::from_millis(30);

/// A member saw the numbered message; the round's first number says that it has begun to listen.
type Seen = Result<(u64, Instant), Failure>;

pub(super) async fn fan_out(bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
    let (users, room) = bench.fan_room().await?;
    let Some((sender, members)) = users.split_first() else { return Ok(Run::default()) };
    let batch = bench.fresh();
    // A server may answer a first /sync from memory, so that messages of an earlier round come once more.
    let base = bench.serial() * 1_000_000;
    let (seen, mut arrivals) = unbounded_channel();
    let mut listeners = JoinSet::new();
    for member in members {
        listeners.spawn(listen(bench.target.connection(), member.bearer()?, base, seen.clone()));
    }
    drop(seen);
    wait_for_all(&mut arrivals, base, bench.target.patience).await?;

    let mut connection = bench.target.connection();
    let bearer = sender.bearer()?;
    let before = bench.processes.cpu();
    let start = Instant::now();
    let mut run = Run::default();
    let mut number = base;
    while number - base < bound.count.min(999_999) && start.elapsed() < bound.time {
        tokio::time::sleep(PAUSE).await;
        number += 1;
        let body = Bytes::from(format!(r#"{{"msgtype":"m.text","body":"fan-out-{number:012}"}}"#));
        let begin = Instant::now();
        api::send(&mut connection, &bearer, &room, &format!("{batch}-{number}"), body).await?;
        let last = wait_for_all(&mut arrivals, number, bench.target.patience).await?;
        let taken = last.saturating_duration_since(begin);
        run.latencies.push(taken);
        run.wall += taken;
    }
    run.cpu = before.zip(bench.processes.cpu()).map(|(before, after)| after.saturating_sub(before));
    Ok(run)
}

/// Waits until every member has seen the message; the time at which the last one did.
async fn wait_for_all(
    arrivals: &mut UnboundedReceiver<Seen>,
    wanted: u64,
    patience: Duration,
) -> Result<Instant, Failure> {
    let all = async {
        let mut last = Instant::now();
        for _ in 0..SYNCERS {
            let gone = || Failure::Unexpected("the listeners are gone".to_owned());
            let (number, at) = arrivals.recv().await.ok_or_else(gone)??;
            if number != wanted {
                return Err(Failure::Unexpected(format!("message {number} arrived in place of {wanted}")));
            }
            last = last.max(at);
        }
        Ok(last)
    };
    let late = || Failure::Unexpected(format!("message {wanted} has not reached every member"));
    tokio::time::timeout(patience, all).await.map_err(|_| late())?
}

/// Syncs until the round drops it.
async fn listen(mut connection: Connection, bearer: HeaderValue, base: u64, seen: UnboundedSender<Seen>) {
    let heard = async {
        let first = api::sync(&mut connection, &bearer, None, 0).await?;
        let mut since = api::next_batch(&first)?;
        let mut newest = base;
        let _ = seen.send(Ok((base, Instant::now())));
        loop {
            let answer = api::sync(&mut connection, &bearer, Some(&since), 10_000).await?;
            let now = Instant::now();
            since = api::next_batch(&answer)?;
            for number in numbers(&answer) {
                if number > newest {
                    newest = number;
                    let _ = seen.send(Ok((number, now)));
                }
            }
        }
    };
    let result: Result<(), Failure> = heard.await;
    if let Err(failure) = result {
        let _ = seen.send(Err(failure));
    }
}

/// The numbers of the messages in an answer, found without parsing it.
fn numbers(answer: &[u8]) -> impl Iterator<Item = u64> {
    let length = MARK.len() + DIGITS;
    answer
        .windows(length)
        .filter(|window| window.starts_with(MARK))
        .filter_map(|window| std::str::from_utf8(&window[MARK.len()..]).ok()?.parse().ok())
}
