//! The crash test: a server under load is killed at random moments, again and again.
//!
//! In the test command it is short. `cargo xtask crash` is the long form; `ROOST_CRASH_KILLS` and `ROOST_CRASH_SEED` say how often
//! it is killed and when.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use roost_store::{Database, testing::Scratch};

use crate::{
    load::{Chance, Load, Trial},
    process::{Place, err, out},
};

/// Kills that one database lives through: then a new one, so that checking does not take ever longer.
const LIVES: u64 = 10;

pub(crate) fn is_on_postgres() -> bool {
    std::env::var("ROOST_TEST_DATABASE").is_ok_and(|name| name == "postgres")
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: wants a number")))
}

/// A place whose data survives a failure, so that it can be looked at.
pub(crate) struct Kept {
    pub(crate) place: Place,
    /// A database outside of the place, if it is PostgreSQL.
    scratch: Option<Scratch>,
    seed: u64,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.place.keep();
            eprintln!("seed {}; the server's data and log are in {}", self.seed, self.place.path().display());
        }
    }
}

impl Kept {
    pub(crate) fn new(place: Place, scratch: Option<Scratch>, seed: u64) -> Self {
        Self { place, scratch, seed }
    }

    /// `roost` with registration open and rate limits off.
    pub(crate) fn roost(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.place.roost(arguments);
        command.env("ROOST_REGISTRATION__MODE", "open").env("ROOST_RATE_LIMITS__ENABLED", "false");
        if let Some(Scratch { options, .. }) = &self.scratch
            && let Database::Postgres(url) = &options.database
        {
            command.env("ROOST_DATABASE__URL", url);
        }
        command
    }

    /// `roost check` on what the killed server has left; on SQLite on a copy of it, so that the server itself has to take up
    /// what it left.
    pub(crate) fn check(&self) -> String {
        let mut command = self.roost(&["check"]);
        if self.scratch.is_none() {
            let copy = self.place.path().join("copy");
            drop(std::fs::remove_dir_all(&copy));
            copy_files(&self.place.path().join("roost-data"), &copy);
            command.env("ROOST_DATA_DIR", copy);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "roost check: {}{}", out(&output), err(&output));
        let told = out(&output);
        assert!(told.trim_end().ends_with(" 0 faults"), "{told}");
        told.trim_end().to_owned()
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in ["roost.db", "roost.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// One database that is left by so many crashes.
fn crashes(scratch: Option<Scratch>, seed: u64, kills: u64) {
    let kept = Kept::new(Place::new(), scratch, seed);
    let mut chance = Chance::new(seed);
    let mut running = kept.place.serve_with(kept.roost(&["serve"]));
    let mut load = Load::prepare(kept.place.port, seed);
    for kill in 1..=kills {
        let moment = milliseconds(20 + chance.below(900));
        let gone = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| load.run(Trial::Killed, &gone));
            std::thread::sleep(moment);
            running.kill();
            gone.store(true, Ordering::Relaxed);
            sending.join().unwrap();
        });
        let open = load.open();
        let checked = kept.check();
        let mut stillborn = 0;
        while chance.below(4) == 0 {
            // Killed again before it is up, or just then.
            let mut command = kept.roost(&["serve"]);
            let mut child =
                command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
            std::thread::sleep(milliseconds(chance.below(250)));
            child.kill().unwrap();
            child.wait().unwrap();
            stillborn += 1;
        }
        let mut command = kept.roost(&["serve"]);
        // Both survive a killed process.
        command.env("ROOST_DATABASE__DURABILITY", if chance.below(2) == 0 { "full" } else { "process" });
        running = kept.place.serve_with(command);
        let events = load.audit();
        println!(
            "seed {seed}: kill {kill} after {} ms with {open} requests open, {stillborn} more while starting; \
             check: {checked}; {events} events audited",
            moment.as_millis()
        );
    }
    load.run_for(Trial::Killed, milliseconds(100));
    load.audit();
    assert_eq!(running.end("-TERM", Duration::from_secs(5)).and_then(|status| status.code()), Some(0));
    kept.check();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (answered, cut, repeated) = (count(&load.tally.answered), count(&load.tally.cut), count(&load.tally.repeated));
    println!("seed {seed}: {kills} kills, {answered} requests answered, {cut} cut off, {repeated} sent again");
    assert!(answered > 5 * kills, "the load was no load: {answered} answers");
    assert!(repeated > 0, "nothing was sent twice");
}

#[test]
fn what_was_answered_is_there_once_and_in_order_however_often_the_server_is_killed() {
    let on_postgres = is_on_postgres();
    let mut left = number("ROOST_CRASH_KILLS").unwrap_or(if on_postgres { 3 } else { 6 });
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut seed = number("ROOST_CRASH_SEED").unwrap_or(now);
    println!("ROOST_CRASH_SEED={seed} does the same again, as far as threads allow");
    while left > 0 {
        let scratch = if on_postgres { Scratch::postgres() } else { None };
        if on_postgres && scratch.is_none() {
            return;
        }
        let kills = left.min(LIVES);
        crashes(scratch, seed, kills);
        left -= kills;
        seed += 1;
    }
}
