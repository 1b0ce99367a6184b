//! `roost-bench`, the load generator: it speaks only the Client-Server API, so that any homeserver can be measured with
//! it, and measures several in turns. See `README.md` beside it.

#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own that measures real time: no simulation will ever run it"
)]

mod api;
mod args;
mod client;
mod fixtures;
mod limits;
mod measure;
mod process;
mod report;
mod scenario;
mod target;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::args::{Args, for_target};
use crate::client::Failure;
use crate::fixtures::{Fixtures, Sizes, Workbench};
use crate::limits::Limits;
use crate::measure::{Bound, Run};
use crate::process::Processes;
use crate::report::{Report, Residence, Row, Table};
use crate::scenario::Scenario;
use crate::target::{Target, locate};

type Saved = BTreeMap<String, Fixtures>;

fn main() -> ExitCode {
    let args = Args::parse();
    // One thread: the servers share the machine with the generator and need the rest of it.
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(run(&args)));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("roost-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything; whether every scenario worked on every server.
async fn run(args: &Args) -> Result<bool, String> {
    let mut benches = workbenches(args)?;
    let names: Vec<String> = benches.iter().map(|bench| bench.target.name.clone()).collect();
    let baseline = args.baseline.clone().unwrap_or_else(|| names[0].clone());
    if !names.contains(&baseline) {
        return Err(format!("--baseline {baseline}: no target has this name"));
    }
    let before: Vec<_> = benches.iter().map(|bench| bench.processes.memory()).collect();
    let measure_limits = || Limits::measure(&args.disk).map_err(|error| format!("{}: {error}", args.disk.display()));
    let mut limits = measure_limits()?;
    let scenarios = if args.scenario.is_empty() { Scenario::value_variants() } else { &args.scenario };
    let mut tables = Vec::new();
    for scenario in scenarios {
        let results = rounds(*scenario, &mut benches, args).await;
        save(args, &mut benches)?;
        limits = limits.best(measure_limits()?);
        let mut table = Table { scenario: scenario.name(), title: scenario.title(), rows: Vec::new() };
        for (bench, result) in benches.iter().zip(results) {
            let name = &bench.target.name;
            table.rows.push(match result {
                Ok(runs) => Row::new(*scenario, name, &runs, bench.processes.memory(), Some(&limits)),
                Err(failure) => Row::failed(name, failure.to_string()),
            });
        }
        table.compare(scenario.figure(), &baseline);
        if !args.json {
            print!("{}", table.text(&baseline));
        }
        tables.push(table);
    }
    let memory = benches.iter().zip(before).map(|(bench, before)| {
        let after = bench.processes.memory();
        Residence {
            target: bench.target.name.clone(),
            before_bytes: before.map(|memory| memory.server),
            after_bytes: after.map(|memory| memory.server),
            others_bytes: after.map(|memory| memory.others),
        }
    });
    let report = Report { limits, memory: memory.collect(), targets: names, baseline, scenarios: tables };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    } else {
        print!("{}", report.text());
    }
    Ok(report.scenarios.iter().flat_map(|table| &table.rows).all(|row| row.failure.is_none()))
}

/// Prepares the scenario everywhere and runs its rounds in turns. A server that fails is left out of the rest of them.
async fn rounds(scenario: Scenario, benches: &mut [Workbench], args: &Args) -> Vec<Result<Vec<Run>, Failure>> {
    let bound = Bound { time: Duration::from_secs(args.seconds), count: args.count };
    // Connections, caches and compiled statements are not what is measured.
    let warm_up = Bound { time: bound.time.min(Duration::from_millis(500)), count: bound.count.min(100) };
    let mut results = Vec::new();
    for bench in benches.iter_mut() {
        let mut ready = scenario.prepare(bench).await;
        if ready.is_ok() {
            ready = scenario.round(bench, warm_up).await.map(drop);
        }
        results.push(ready.map(|()| Vec::new()));
    }
    for round in 0..args.rounds {
        let mut turns: Vec<_> = benches.iter_mut().zip(&mut results).collect();
        // Who goes first alternates, so that nobody always follows the same neighbour.
        if round % 2 == 1 {
            turns.reverse();
        }
        for (bench, result) in turns {
            if let Ok(runs) = result {
                match scenario.round(bench, bound).await {
                    Ok(run) => runs.push(run),
                    Err(failure) => *result = Err(failure),
                }
            }
        }
    }
    results
}

fn workbenches(args: &Args) -> Result<Vec<Workbench>, String> {
    let mut saved: Saved = match &args.state {
        Some(file) if file.exists() => {
            let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))?
        }
        _ => Saved::new(),
    };
    let pairs: Vec<(String, &str)> = args.targets.iter().map(|target| name_and_url(target)).collect();
    let names: Vec<String> = pairs.iter().map(|(name, _)| name.clone()).collect();
    let sizes = Sizes { rooms: args.rooms, messages: args.messages, members: args.members };
    let mut benches: Vec<Workbench> = Vec::new();
    for (name, url) in pairs {
        if benches.iter().any(|bench| bench.target.name == name) {
            return Err(format!("two targets are called {name}"));
        }
        let (address, host) = locate(url, args.i_own_this_server)?;
        let pids = further_processes(&args.target_pid, &name, &names)?;
        let processes = Processes::of(address, pids);
        if !processes.is_known() {
            eprintln!("{name}: no process found, so nothing is said about processor time and memory (--target-pid)");
        }
        let target = Target {
            shared_secret: for_target(&args.shared_secret, &name, &names),
            registration_token: for_target(&args.registration_token, &name, &names),
            room_version: args.room_version.clone(),
            patience: Duration::from_secs(args.patience),
            name: name.clone(),
            address,
            host,
        };
        benches.push(Workbench::new(target, processes, sizes, saved.remove(&name).unwrap_or_default()));
    }
    Ok(benches)
}

fn name_and_url(target: &str) -> (String, &str) {
    match target.split_once('=') {
        Some((name, url)) => (name.to_owned(), url),
        None => (target.trim_start_matches("http://").to_owned(), target),
    }
}

fn further_processes(values: &[String], name: &str, names: &[String]) -> Result<Vec<u32>, String> {
    let mut pids = Vec::new();
    for value in values {
        let (owner, pid) = value.split_once('=').ok_or_else(|| format!("--target-pid {value}: NAME=PID is wanted"))?;
        if !names.iter().any(|name| name == owner) {
            return Err(format!("--target-pid {value}: no target has this name"));
        }
        if owner == name {
            pids.push(pid.parse().map_err(|_| format!("--target-pid {value}: this is no process"))?);
        }
    }
    Ok(pids)
}

/// Writes what was prepared. Targets of earlier runs that are not part of this one are kept.
fn save(args: &Args, benches: &mut [Workbench]) -> Result<(), String> {
    let Some(file) = &args.state else { return Ok(()) };
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut all: BTreeMap<String, serde_json::Value> = match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    };
    for bench in benches {
        let fixtures = serde_json::to_value(&bench.fixtures).map_err(|error| error.to_string())?;
        all.insert(bench.target.name.clone(), fixtures);
    }
    let text = serde_json::to_vec(&all).map_err(|error| error.to_string())?;
    std::fs::write(file, text).map_err(failed)
}
