//! A disk that fills up, and one that fails: what was answered is there, what failed is not, and no repair is needed.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
    time::Duration,
};

use roost_store::{Error, Store, params};

use crate::{
    crash::{Kept, is_on_postgres},
    load::{Chance, Load, Trial},
    process::{Place, err, out},
};

const SECOND: Duration = Duration::from_secs(1);

fn failures(load: &Load) -> u64 {
    load.tally.failed.load(Ordering::Relaxed)
}

/// Lets all send until so many requests have failed.
fn run_until_failing(load: &mut Load, count: u64) {
    let before = failures(load);
    for _ in 0..60 {
        if failures(load) >= before + count {
            return;
        }
        load.run_for(Trial::Failing, SECOND / 2);
    }
    panic!(
        "{} requests failed, {} were answered",
        failures(load) - before,
        load.tally.answered.load(Ordering::Relaxed)
    );
}

/// Once there is room again, nothing fails any more and all is as it was answered.
fn all_is_well(load: &mut Load) {
    load.run_for(Trial::Killed, SECOND / 2);
    assert_eq!(load.open(), 0, "who asks again is answered");
    load.audit();
}

/// Whether the tests are for PostgreSQL, whose disk is not the server's. Says so.
fn is_elsewhere() -> bool {
    let elsewhere = is_on_postgres();
    if elsewhere {
        eprintln!("SKIPPED on PostgreSQL: it is about the disk under SQLite");
    }
    elsewhere
}

/// The command without the signal that would end it at a write beyond the limit.
fn undaunted(command: &Command) -> Command {
    let mut through = Command::new("sh");
    through.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    with(&mut through, command);
    through
}

/// Appends a command and takes over its surroundings.
fn with(through: &mut Command, command: &Command) {
    through.arg(command.get_program()).args(command.get_args());
    through.current_dir(command.get_current_dir().unwrap_or(Path::new("/")));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => through.env(name, value),
            None => through.env_remove(name),
        };
    }
}

/// Writes that would make a file longer than its owner allows fail, as on a broken disk: SQLite sees an I/O error in its log.
#[test]
fn an_io_error_loses_nothing_that_was_answered() {
    if is_elsewhere() {
        return;
    }
    for (round, kill) in [(1, false), (2, true)] {
        let kept = Kept::new(Place::new(), None, round);
        let running = kept.place.serve_with(undaunted(&kept.roost(&["serve"])));
        let mut load = Load::prepare(kept.place.port, round);
        let limit = |bytes: &str| {
            let status = Command::new("prlimit")
                .arg(format!("--fsize={bytes}:"))
                .args(["--pid", &running.pid().to_string()])
                .status();
            assert!(status.unwrap().success());
        };
        let grown = std::fs::metadata(kept.place.path().join("roost-data/roost.db-wal")).unwrap().len();
        limit(&(grown + 200_000).to_string());
        run_until_failing(&mut load, 100);
        if kill {
            running.kill();
            kept.check();
            let running = kept.place.serve_with(kept.roost(&["serve"]));
            load.audit();
            all_is_well(&mut load);
            running.kill();
        } else {
            load.audit();
            limit("unlimited");
            all_is_well(&mut load);
            assert_eq!(running.end("-TERM", 5 * SECOND).and_then(|status| status.code()), Some(0));
        }
        kept.check();
    }
}

/// The database may not take another page: a statement in the middle of a group fails, and SQLite drops the whole transaction.
#[test]
fn a_full_disk_in_the_middle_of_a_group_loses_nothing_that_was_answered() {
    if is_elsewhere() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut server = runtime.block_on(roost_testkit::Server::start());
    let store: Store = server.house().store.clone();
    let limit = |pragma: &'static str| {
        let pages = store.clone();
        runtime
            .block_on(pages.write(move |tx| tx.returning(pragma, params![], |row| row.get::<i64>(0))))
            .map_err(|error: Error| error)
    };
    let mut load = Load::prepare(server.address().port(), 3);
    let mut chance = Chance::new(3);
    for _ in 0..4 {
        // Not fewer than there are: it is full from now on.
        limit("PRAGMA max_page_count = 1").unwrap();
        run_until_failing(&mut load, 40 + chance.below(100));
        load.audit();
        limit("PRAGMA max_page_count = 4294967294").unwrap();
        all_is_well(&mut load);
    }
    runtime.block_on(server.stop());
    let checked = Place::new().roost(&["check"]).env("ROOST_DATA_DIR", server.data_dir()).output().unwrap();
    assert!(checked.status.success(), "{}{}", out(&checked), err(&checked));
}

/// A small file system of its own, in a mount namespace that lives as long as this.
struct SmallDisk {
    holder: Child,
    path: PathBuf,
}

impl SmallDisk {
    /// `None`, and a line that says so, where nobody may mount.
    fn new(place: &Place, mebibytes: u32) -> Option<Self> {
        let path = place.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let script = format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$0\" && echo mounted && exec sleep 600");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(&path);
        let holder = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut told = String::new();
        if let Ok(mut holder) = holder {
            let mut lines = BufReader::new(holder.stdout.take().unwrap());
            lines.read_line(&mut told).unwrap();
            let disk = Self { holder, path };
            if told.trim() == "mounted" {
                return Some(disk);
            }
        }
        eprintln!("SKIPPED: no file system can be mounted here, even in a namespace of one's own");
        None
    }

    /// The command, where the disk is seen.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--user", "--mount", "--preserve-credentials", "--target", &self.holder.id().to_string(), "--"]);
        with(&mut inside, command);
        inside.env("ROOST_DATA_DIR", &self.path);
        inside
    }

    fn shell(&self, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&self.path);
        assert!(self.inside(&command).status().unwrap().success(), "{script}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_answered() {
    if is_elsewhere() {
        return;
    }
    let kept = Kept::new(Place::new(), None, 5);
    let Some(disk) = SmallDisk::new(&kept.place, 48) else { return };
    let mut running = kept.place.serve_with(disk.inside(&kept.roost(&["serve"])));
    let mut load = Load::prepare(kept.place.port, 5);
    for killed in [false, true] {
        // All but 300 kB.
        disk.shell(
            "free=$(df --output=avail -B1 \"$0\" | tail -n 1); head -c $((free - 300000)) /dev/zero > \"$0/filler\"",
        );
        run_until_failing(&mut load, 100);
        if killed {
            running.kill();
            disk.shell("rm \"$0/filler\"");
            let checked = disk.inside(&kept.roost(&["check"])).output().unwrap();
            assert!(checked.status.success(), "{}{}", out(&checked), err(&checked));
            running = kept.place.serve_with(disk.inside(&kept.roost(&["serve"])));
            load.audit();
        } else {
            load.audit();
            disk.shell("rm \"$0/filler\"");
        }
        all_is_well(&mut load);
    }
    running.kill();
    let checked = disk.inside(&kept.roost(&["check"])).output().unwrap();
    assert!(checked.status.success(), "{}{}", out(&checked), err(&checked));
}
