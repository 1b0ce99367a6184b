//! The figures as a table and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::limits::Limits;
use crate::measure::{Limit, Run, percentile};
use crate::process::Memory;
use crate::scenario::{Figure, Scenario};

/// Everything one call of the program measured.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) limits: Limits,
    pub(crate) targets: Vec<String>,
    pub(crate) baseline: String,
    pub(crate) memory: Vec<Residence>,
    pub(crate) scenarios: Vec<Table>,
}

/// Resident memory of one server before the first round and after the last.
#[derive(Serialize)]
pub(crate) struct Residence {
    pub(crate) target: String,
    pub(crate) before_bytes: Option<u64>,
    pub(crate) after_bytes: Option<u64>,
    /// Of the other named processes, such as a database, at the end.
    pub(crate) others_bytes: Option<u64>,
}

/// One scenario on all servers.
#[derive(Serialize)]
pub(crate) struct Table {
    pub(crate) scenario: String,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// One scenario on one server.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) target: String,
    /// Why there are no figures.
    pub(crate) failure: Option<String>,
    pub(crate) operations: usize,
    pub(crate) per_second: f64,
    /// The slowest and the fastest round.
    pub(crate) per_second_range: (f64, f64),
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_ms_per_operation: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) answer_bytes: Option<u64>,
    /// How many times as good as the baseline.
    pub(crate) ratio: Option<f64>,
    pub(crate) limit: Option<&'static str>,
    pub(crate) limit_per_second: Option<f64>,
    /// The share of the limit that was reached.
    pub(crate) share_of_limit: Option<f64>,
}

impl Row {
    /// The row of a server that could not be measured.
    pub(crate) fn failed(target: &str, failure: String) -> Self {
        Self { failure: Some(failure), ..Self::new(Scenario::Send1x1, target, &[], None, None) }
    }

    /// The figures of some rounds; the rate is that of the median round.
    pub(crate) fn new(
        scenario: Scenario,
        target: &str,
        rounds: &[Run],
        memory: Option<Memory>,
        limits: Option<&Limits>,
    ) -> Self {
        let mut latencies: Vec<Duration> = rounds.iter().flat_map(|run| run.latencies.iter().copied()).collect();
        latencies.sort_unstable();
        let mut rates: Vec<f64> = rounds.iter().map(Run::rate).collect();
        rates.sort_by(f64::total_cmp);
        let per_second = rates.get(rates.len() / 2).copied().unwrap_or_default();
        let (p50, p99) = (percentile(&latencies, 0.5), percentile(&latencies, 0.99));
        let cpu: Option<Duration> = rounds.iter().map(|run| run.cpu).sum();
        let bytes = rounds.last().and_then(|run| run.bytes);
        let own = rounds.iter().filter_map(|run| run.limit).max_by(|a, b| a.rate.total_cmp(&b.rate));
        let limit: Option<Limit> = own.or_else(|| scenario.limit(limits?, bytes));
        let reached = match scenario.figure() {
            Figure::Rate => per_second,
            Figure::Time => 1.0 / p50.as_secs_f64().max(1e-9),
        };
        Self {
            target: target.to_owned(),
            failure: None,
            operations: latencies.len(),
            per_second,
            per_second_range: (rates.first().copied().unwrap_or_default(), rates.last().copied().unwrap_or_default()),
            p50_ms: p50.as_secs_f64() * 1e3,
            p99_ms: p99.as_secs_f64() * 1e3,
            cpu_ms_per_operation: cpu.map(|cpu| cpu_ms(cpu, latencies.len())),
            resident_bytes: memory.map(|memory| memory.server),
            answer_bytes: bytes,
            ratio: None,
            limit: limit.map(|limit| limit.what),
            limit_per_second: limit.map(|limit| limit.rate),
            share_of_limit: limit.map(|limit| reached / limit.rate),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no round holds 2^53 operations")]
fn cpu_ms(cpu: Duration, operations: usize) -> f64 {
    cpu.as_secs_f64() * 1e3 / (operations.max(1) as f64)
}

impl Table {
    /// Fills in how each server compares with the baseline.
    pub(crate) fn compare(&mut self, figure: Figure, baseline: &str) {
        let worth = |row: &Row| match figure {
            Figure::Rate => row.per_second,
            Figure::Time if row.p50_ms > 0.0 => 1.0 / row.p50_ms,
            Figure::Time => 0.0,
        };
        let base = self.rows.iter().find(|row| row.target == baseline && row.failure.is_none()).map(worth);
        let Some(base) = base.filter(|base| *base > 0.0) else { return };
        for row in self.rows.iter_mut().filter(|row| row.failure.is_none() && row.target != baseline) {
            row.ratio = Some(worth(row) / base);
        }
    }

    /// The table for people.
    pub(crate) fn text(&self, baseline: &str) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "\n{}: {}", self.scenario, self.title);
        let ratio = format!("× {baseline}");
        let _ = writeln!(
            out,
            "  {:<14} {:>7} {:>10} {:>17} {:>9} {:>9} {:>9} {:>7} {:>10}  share of its limit",
            "", "count", "per s", "(rounds)", "p50 ms", "p99 ms", "CPU ms", "MB", ratio
        );
        for row in &self.rows {
            if let Some(failure) = &row.failure {
                let _ = writeln!(out, "  {:<14} failed: {failure}", row.target);
                continue;
            }
            let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
            let _ = write!(
                out,
                "  {:<14} {:>7} {:>10} {:>17} {:>9.3} {:>9.3} {:>9} {:>7} {:>10}",
                row.target,
                row.operations,
                number(row.per_second),
                format!("{}…{}", number(row.per_second_range.0), number(row.per_second_range.1)),
                row.p50_ms,
                row.p99_ms,
                or_dash(row.cpu_ms_per_operation.map(|cpu| format!("{cpu:.3}"))),
                or_dash(row.resident_bytes.map(megabytes)),
                or_dash(row.ratio.map(|ratio| format!("{ratio:.1}"))),
            );
            if let (Some(what), Some(rate), Some(share)) = (row.limit, row.limit_per_second, row.share_of_limit) {
                let _ = write!(out, "  {:.1} % of {what} ({}/s)", share * 100.0, number(rate));
            }
            if let Some(bytes) = row.answer_bytes {
                let _ = write!(out, "; {} kB", bytes / 1000);
            }
            out.push('\n');
        }
        out
    }
}

impl Report {
    /// What the machine can do, and the memory of the servers, for people.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let l = &self.limits;
        let _ = writeln!(
            out,
            "\nthis machine: fsync {:.1} µs, ed25519 signature {:.1} µs, SHA-256 of 1 KB {:.2} µs, 50 socket writes {:.0} µs, copying 1 MB {:.0} µs",
            micros(l.fsync),
            micros(l.signature),
            micros(l.sha256),
            micros(l.fifty_writes),
            micros(l.megabyte)
        );
        for memory in &self.memory {
            if let (Some(before), Some(after)) = (memory.before_bytes, memory.after_bytes) {
                let _ = write!(
                    out,
                    "{}: {} MB resident before, {} MB after",
                    memory.target,
                    megabytes(before),
                    megabytes(after)
                );
                if let Some(others) = memory.others_bytes.filter(|others| *others > 0) {
                    let _ = write!(out, ", and {} MB in other processes", megabytes(others));
                }
                out.push('\n');
            }
        }
        out
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn megabytes(bytes: u64) -> String {
    (bytes / 1_000_000).to_string()
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
