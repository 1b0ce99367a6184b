//! `cargo xtask test`: the stages, their budgets, and what they need.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A stage: its name, what it may take on two cores after a clean clone, what it does.
struct Stage {
    name: &'static str,
    budget_minutes: u64,
    run: fn() -> Result<(), String>,
}

/// In the order in which they run: the cheapest findings first.
const STAGES: &[Stage] = &[
    Stage { name: "format", budget_minutes: 1, run: format },
    Stage { name: "arrows", budget_minutes: 1, run: crate::arrows::check },
    Stage { name: "clippy", budget_minutes: 6, run: clippy },
    Stage { name: "sqlite", budget_minutes: 11, run: sqlite },
    Stage { name: "postgres", budget_minutes: 6, run: postgres },
    Stage { name: "endpoints", budget_minutes: 1, run: endpoints },
    Stage { name: "e2e", budget_minutes: 5, run: e2e },
    Stage { name: "conformance", budget_minutes: 10, run: conformance },
];

/// The names of the stages, in order.
pub(crate) fn names() -> Vec<&'static str> {
    STAGES.iter().map(|stage| stage.name).collect()
}

/// Runs the wanted stages (all when none is named) and prints what each took beside its budget.
pub(crate) fn run(wanted: &[&str]) -> Result<(), String> {
    if let Some(unknown) = wanted.iter().find(|wanted| !names().contains(wanted)) {
        return Err(format!("no stage is called {unknown}; there are: {}", names().join(", ")));
    }
    if let Some(seed) = seed() {
        println!("property tests draw from {SEED}={seed}, the commit's; set it to draw from another");
    }
    let mut report = Vec::new();
    let mut failed = 0;
    for stage in STAGES.iter().filter(|stage| wanted.is_empty() || wanted.contains(&stage.name)) {
        println!("\n=== {} (budget {} min)", stage.name, stage.budget_minutes);
        #[expect(clippy::disallowed_methods, reason = "a build tool times its own stages")]
        let start = Instant::now();
        let outcome = (stage.run)();
        let took = start.elapsed();
        let verdict = match &outcome {
            Ok(()) => "ok",
            Err(problem) => {
                eprintln!("{}: {problem}", stage.name);
                failed += 1;
                "FAILED"
            }
        };
        report.push(line(stage, took, verdict));
    }
    println!("\nstage       took     budget   result");
    for line in &report {
        println!("{line}");
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} stages failed", report.len())) }
}

fn line(stage: &Stage, took: Duration, verdict: &str) -> String {
    let seconds = took.as_secs();
    // Over budget is worth a look, not a failure: machines differ.
    let over = if seconds > stage.budget_minutes * 60 { "  (over its budget)" } else { "" };
    format!(
        "{:<11} {:>3}m{:02}s   {:>3} min   {verdict}{over}",
        stage.name,
        seconds / 60,
        seconds % 60,
        stage.budget_minutes
    )
}

fn format() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"], &[])
}

fn clippy() -> Result<(), String> {
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])
}

fn sqlite() -> Result<(), String> {
    cargo(&["test", "--locked", "--workspace", "--no-fail-fast"], &[("ROOST_TEST_DATABASE", "sqlite")])
}

/// Everything once more with a private PostgreSQL cluster, and with Synapse's own event code as a second opinion, which
/// speaks the room versions that no Rust library does.
///
/// The whole workspace, since a part of it would be built anew with other features of the dependencies.
fn postgres() -> Result<(), String> {
    script("install-test-tools", &["postgres", "oracle"])?;
    let python = target().join("oracle/bin/python").display().to_string();
    let cluster = Cluster::start()?;
    cargo(
        &["test", "--locked", "--workspace", "--no-fail-fast"],
        &[("ROOST_TEST_DATABASE", "postgres"), ("ROOST_TEST_POSTGRES", &cluster.url), ("ROOST_TEST_PYTHON", &python)],
    )
}

/// Which operations of the specification the built binary serves, beside the committed list.
fn endpoints() -> Result<(), String> {
    script("install-test-tools", &["python"])?;
    let binary = built()?;
    finish(Command::new(crate::root().join("conformance/endpoints.py")).arg("--server").arg(binary))
}

/// Two client SDKs of other people, through the built binary, on both engines.
fn e2e() -> Result<(), String> {
    script("install-test-tools", &["postgres", "e2e"])?;
    let binary = built()?;
    for database in ["sqlite", "postgres"] {
        let mut command = Command::new(crate::root().join("e2e/run"));
        command.arg("--server").arg(&binary).args(["--database", database]);
        finish(&mut command)?;
    }
    Ok(())
}

/// What others wrote to measure a server with: the specification's schemas and a fast part of Complement. Whatever of it can
/// not be had here says so in a line that begins with `skipped:`, and is no failure.
fn conformance() -> Result<(), String> {
    script("install-test-tools", &["e2e", "specproxy"])?;
    let binary = built()?;
    let folder = crate::root().join("conformance");
    // The tools' own tests first: what reads results wrongly must not judge.
    let tests = ["-B", "-m", "unittest", "discover", "--start-directory"];
    finish(Command::new("python3").args(tests).arg(folder.join("tests")))?;
    for (tool, arguments) in
        [("spec.py", &[][..]), ("launcher.py", &[]), ("complement.py", &["--fast", "--minutes", "8"])]
    {
        finish(Command::new(folder.join(tool)).arg("--server").arg(&binary).args(arguments))?;
    }
    Ok(())
}

/// The crash test in its long form. The test command has the same in a short one.
pub(crate) fn crash(sqlite: &str, postgres: &str) -> Result<(), String> {
    let test = ["test", "--locked", "--package", "roost", "--test", "it", "--", "crash::", "--nocapture"];
    cargo(&test, &[("ROOST_TEST_DATABASE", "sqlite"), ("ROOST_CRASH_KILLS", sqlite)])?;
    script("install-test-tools", &["postgres"])?;
    let cluster = Cluster::start()?;
    let there = [
        ("ROOST_TEST_DATABASE", "postgres"),
        ("ROOST_TEST_POSTGRES", cluster.url.as_str()),
        ("ROOST_CRASH_KILLS", postgres),
    ];
    cargo(&test, &there)
}

/// A PostgreSQL cluster of our own, stopped when dropped.
struct Cluster {
    folder: PathBuf,
    url: String,
}

impl Cluster {
    fn start() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("roost-postgres-{}", std::process::id()));
        let output = Command::new(scripts().join("postgres"))
            .arg("start")
            .arg(&folder)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("scripts/postgres: {error}"))?;
        if !output.status.success() {
            return Err("scripts/postgres could not start a cluster".to_owned());
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        let url = printed.lines().last().unwrap_or_default().trim().to_owned();
        Ok(Self { folder, url })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(problem) = script("postgres", &[OsStr::new("stop"), self.folder.as_os_str()]) {
            eprintln!("{problem}");
        }
    }
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).envs(environment.iter().copied());
    finish(&mut command)
}

fn script<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Result<(), String> {
    finish(Command::new(scripts().join(name)).args(arguments))
}

fn scripts() -> PathBuf {
    crate::root().join("scripts")
}

/// The binary, built as the tests build it: there is nothing to do when they have run.
fn built() -> Result<PathBuf, String> {
    cargo(&["test", "--locked", "--workspace", "--no-run", "--quiet"], &[])?;
    Ok(target().join("debug/roost"))
}

/// Where cargo builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| crate::root().join("target"), |set| Path::new(&set).to_path_buf())
}

/// What property tests draw from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// The seed of property tests, unless the caller has chosen one: that of the commit. So the same commit always has the same
/// cases, and a failure can be had again, while each new commit looks at others.
fn seed() -> Option<String> {
    if std::env::var_os(SEED).is_some() {
        return None;
    }
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(crate::root()).output().ok()?;
    let head = String::from_utf8(head.stdout).ok()?;
    Some(u64::from_str_radix(head.get(..16)?, 16).ok()?.to_string())
}

fn finish(command: &mut Command) -> Result<(), String> {
    command.current_dir(crate::root()).env("CARGO_TARGET_DIR", target());
    if let Some(seed) = seed() {
        command.env(SEED, seed);
    }
    let status = command.status().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", command.get_program().display())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_stage_is_refused_by_name() {
        let problem = run(&["typo"]).expect_err("there is no such stage");
        assert!(problem.contains("typo"), "{problem}");
    }

    #[test]
    fn the_budgets_leave_room_for_the_conformance_subset() {
        let (subset, others): (Vec<_>, Vec<_>) = STAGES.iter().partition(|stage| stage.name == "conformance");
        let minutes = |stages: Vec<&Stage>| stages.iter().map(|stage| stage.budget_minutes).sum::<u64>();
        let (subset, others) = (minutes(subset), minutes(others));
        assert!((1..=10).contains(&subset), "the conformance subset may take {subset} minutes");
        assert!(others <= 35, "the other stages may take {others} minutes together");
    }
}
