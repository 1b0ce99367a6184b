//! Logs and metrics.

use std::{
    fmt::Write as _,
    io::IsTerminal as _,
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use roost_world::{Workers, World};
use tracing_subscriber::EnvFilter;

use crate::config::{Format, Log};

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 14] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0];

/// Reads a log filter; a bare level is one.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| error.to_string())
}

/// Sends the process's log to standard error, and panics to the log.
pub(crate) fn log(config: &Log) {
    let Ok(filter) = filter(&config.level) else { return };
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // An error means that there is a log already.
    let _ = match config.format {
        Format::Human => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
        let message: &str = text.unwrap_or("no message");
        tracing::error!(place, message, "panic");
    }));
}

/// The recorder is the process's, as the `metrics` crate has it; all servers of a process share it.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts to keep metrics; gives what writes them as text.
pub(crate) fn metrics() -> Option<Arc<dyn Fn() -> String + Send + Sync>> {
    let handle = RECORDER.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .ok()?
            .install_recorder()
            .ok()
    });
    let handle = handle.clone()?;
    Some(Arc::new(move || {
        let mut text = handle.render();
        process(&mut text);
        text
    }))
}

/// Keeps what the recorder holds between two scrapes from growing.
pub(crate) fn keep_metrics(workers: &Workers, world: &World) {
    let Some(handle) = RECORDER.get().cloned().flatten() else { return };
    let clock = Arc::clone(&world.clock);
    workers.start_future("metrics", move |mut stop| async move {
        loop {
            tokio::select! {
                () = stop.wait() => break,
                () = clock.sleep(Duration::from_secs(5)) => handle.run_upkeep(),
            }
        }
    });
}

/// What the kernel knows of this process, in the names that dashboards expect.
fn process(text: &mut String) {
    let mut gauge = |name: &str, kind: &str, help: &str, value: f64| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    };
    if let Some((resident, virtual_size)) = memory() {
        gauge("process_resident_memory_bytes", "gauge", "Resident memory.", resident);
        gauge("process_virtual_memory_bytes", "gauge", "Virtual memory.", virtual_size);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the listing's own.
        let open = u32::try_from(open.count().saturating_sub(1)).unwrap_or(u32::MAX);
        gauge("process_open_fds", "gauge", "Open file descriptors.", open.into());
    }
    if let Some(seconds) = cpu_seconds() {
        gauge("process_cpu_seconds_total", "counter", "Processor time used.", seconds);
    }
}

fn memory() -> Option<(f64, f64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kib| kib * 1024.0)
    };
    Some((bytes("VmRSS:")?, bytes("VmSize:")?))
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything, so fields are counted behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    // Linux counts in hundredths on every platform that Rust supports.
    Some((user + system) / 100.0)
}
