//! Running an operation over and over on several lanes, and counting.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::client::Failure;

/// When a round ends: at whichever comes first.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) time: Duration,
    pub(crate) count: u64,
}

/// What one round measured.
#[derive(Default)]
pub(crate) struct Run {
    /// How long each operation took.
    pub(crate) latencies: Vec<Duration>,
    /// How long the round took.
    pub(crate) wall: Duration,
    /// Processor time of the server in that time.
    pub(crate) cpu: Option<Duration>,
    /// What the figure is held against, when that was measured in this round.
    pub(crate) limit: Option<Limit>,
    /// Bytes of one answer, where their number matters.
    pub(crate) bytes: Option<u64>,
}

/// What a figure is held against.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    /// What was measured, in words.
    pub(crate) what: &'static str,
    /// How many of it a second.
    pub(crate) rate: f64,
}

impl Run {
    /// Operations per second.
    pub(crate) fn rate(&self) -> f64 {
        per_second(self.latencies.len(), self.wall)
    }
}

/// Things per second.
#[expect(clippy::cast_precision_loss, reason = "no round holds 2^53 operations")]
pub(crate) fn per_second(count: usize, wall: Duration) -> f64 {
    if wall.is_zero() { 0.0 } else { count as f64 / wall.as_secs_f64() }
}

/// The time below which the given share of the sorted times lies.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is a small positive number"
)]
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Runs the operation on each lane, one after the other there and all lanes at once, until the bound is reached. The
/// operation gets its number in the round. The first failure ends the round.
pub(crate) async fn drive<L>(
    lanes: &mut [L],
    bound: Bound,
    operation: impl AsyncFn(&mut L, u64) -> Result<(), Failure>,
) -> Result<Run, Failure> {
    let started = Cell::new(0);
    let start = Instant::now();
    let latencies = try_join_all(lanes.iter_mut().map(async |lane| {
        let mut latencies = Vec::new();
        while started.get() < bound.count && start.elapsed() < bound.time {
            let number = started.replace(started.get() + 1);
            let begin = Instant::now();
            operation(lane, number).await?;
            latencies.push(begin.elapsed());
        }
        Ok::<_, Failure>(latencies)
    }))
    .await?;
    Ok(Run { latencies: latencies.concat(), wall: start.elapsed(), ..Run::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&times, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&times[..1], 0.99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
