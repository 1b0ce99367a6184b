//! What was answered survives: a killed process, a full disk, a database that goes away.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use roost_store::{
    Change, Database, Error, Options, Store, UserNo, params,
    testing::{self, Scratch},
};

use crate::nodes;

const PUT: &str = "INSERT INTO store_meta (name, value) VALUES ($1, $2)";
const ALL: &str = "SELECT name FROM store_meta ORDER BY name";

/// Writes until it is stopped, or for so many turns, and says what was answered as soon as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer() {
    let Some((options, work)) = nodes::work() else { return };
    let (turns, size) = work.split_once('/').unwrap();
    let (turns, size): (u32, usize) = (turns.parse().unwrap(), size.parse().unwrap());
    let store = Store::open(options, testing::world()).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = store.clone();
            tokio::task::spawn(async move {
                for turn in 0..turns {
                    let name = format!("{task}-{turn}");
                    let (put, value) = (name.clone(), "x".repeat(size));
                    let written = store
                        .write(move |tx| {
                            tx.execute(PUT, params![&put, &value])?;
                            Ok::<_, Error>(tx.log(Change::Profile { user: UserNo(1) }))
                        })
                        .await;
                    let line = match written {
                        Ok(_) => format!("answered {name}\n"),
                        Err(_) => format!("failed {name}\n"),
                    };
                    // In one piece: the lines of several tasks must not mix.
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    println!("done");
}

fn names(lines: &[String], verdict: &str) -> Vec<String> {
    // The harness writes words of its own before the first line.
    lines.iter().filter_map(|line| Some(line.split_once(verdict)?.1.trim().to_owned())).collect()
}

/// What is there, and the frontier, in one snapshot.
async fn stored(options: Options) -> (Vec<String>, i64) {
    let store = Store::open(options, testing::world()).await.unwrap();
    store.read(|read| Ok::<_, Error>((read.all(ALL, params![], |row| row.get(0))?, read.frontier()?.0))).await.unwrap()
}

async fn what_was_answered_survives_sigkill(scratch: Scratch) {
    let mut node = nodes::node("faults::a_writer", &scratch.options, "1000000/100").spawn().unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut told: Vec<String> = lines.by_ref().map(Result::unwrap).take(300).collect();
    node.kill().unwrap();
    node.wait().unwrap();
    told.extend(lines.map_while(Result::ok));
    let answered = names(&told, "answered ");
    assert!(answered.len() > 200, "{}", answered.len());
    let (stored, position) = stored(scratch.options.clone()).await;
    for name in &answered {
        assert!(stored.contains(name), "{name} was answered and is gone");
    }
    assert_eq!(usize::try_from(position).unwrap(), stored.len(), "the log has a line for each");
}

#[tokio::test]
async fn what_was_answered_survives_a_killed_process_on_sqlite() {
    what_was_answered_survives_sigkill(Scratch::sqlite()).await;
}

#[tokio::test]
async fn what_was_answered_survives_a_killed_process_on_postgresql() {
    if let Some(scratch) = Scratch::postgres() {
        what_was_answered_survives_sigkill(scratch).await;
    }
}

/// A file that can not grow is as good as a full disk: each write beyond the limit fails.
#[tokio::test]
async fn nothing_answered_is_lost_when_the_disk_is_full() {
    let scratch = Scratch::sqlite();
    let node = nodes::node("faults::a_writer", &scratch.options, "150/4000");
    let mut limited = Command::new("sh");
    // Blocks of 512 bytes: 1.5 MB for each file, far less than is written. The signal is ignored, so that writes fail instead.
    limited
        .args(["-c", "ulimit -f 3000; trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(node.get_program())
        .args(node.get_args());
    for (name, value) in node.get_envs() {
        limited.env(name, value.unwrap());
    }
    let output = limited.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    let lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    let (answered, failed) = (names(&lines, "answered "), names(&lines, "failed "));
    assert!(answered.len() > 50, "{} were answered", answered.len());
    assert!(failed.len() > 50, "{} failed", failed.len());
    let (stored, position) = stored(scratch.options.clone()).await;
    for name in &answered {
        assert!(stored.contains(name), "{name} was answered and is gone");
    }
    for name in &failed {
        assert!(!stored.contains(name), "{name} failed and is there");
    }
    assert_eq!(usize::try_from(position).unwrap(), stored.len(), "the log has a line for each");
}

#[tokio::test]
async fn a_closed_sqlite_database_is_whole_in_its_one_file() {
    let scratch = Scratch::sqlite();
    let Database::Sqlite(file) = scratch.options.database.clone() else { unreachable!() };
    let store = scratch.open().await;
    store.write(|tx| tx.execute(PUT, params!["kept", "x"])).await.unwrap();
    // From here on a connection that only reads is open, too, and may be closed last.
    assert!(store.read(|read| read.exists(ALL, params![])).await.unwrap());
    store.close().await;
    let alone = file.with_file_name("alone.db");
    std::fs::copy(&file, &alone).unwrap();
    let (names, _) = stored(Options::new(Database::Sqlite(alone))).await;
    assert_eq!(names, ["kept"]);
}

/// Opens the database and stays.
#[tokio::test]
async fn an_opener() {
    let Some((options, _)) = nodes::work() else { return };
    let _store = Store::open(options, testing::world()).await.unwrap();
    println!("open");
    std::future::pending::<()>().await;
}

async fn a_migration_can_be_killed(scratch: Scratch) {
    for turn in 0..8 {
        let mut node = nodes::node("faults::an_opener", &scratch.options, "").spawn().unwrap();
        // Sooner or later in its migrations, or after them.
        std::thread::sleep(Duration::from_millis(10 + 7 * turn));
        node.kill().unwrap();
        node.wait().unwrap();
    }
    let (names, position) = stored(scratch.options.clone()).await;
    assert_eq!((names, position), (Vec::new(), 0));
}

#[tokio::test]
async fn a_migration_that_is_killed_is_taken_up_again_on_sqlite() {
    a_migration_can_be_killed(Scratch::sqlite()).await;
}

#[tokio::test]
async fn a_migration_that_is_killed_is_taken_up_again_on_postgresql() {
    if let Some(scratch) = Scratch::postgres() {
        a_migration_can_be_killed(scratch).await;
    }
}

/// Ends every connection to the test's database but the one that asks.
const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_on_after_its_connections_were_cut() {
    let Some(scratch) = Scratch::postgres() else { return };
    let store = scratch.open().await;
    let other = scratch.open().await;
    let mut follower = other.follow(other.frontier());
    let mut answered = Vec::new();
    for turn in 0..60 {
        if turn % 20 == 10 {
            // The connection that cuts is a reader's of the other node.
            other.read(|read| read.one(CUT, params![], |_| Ok(()))).await.unwrap();
        }
        let name = format!("{turn:03}");
        let put = name.clone();
        let written = store
            .write(move |tx| {
                tx.execute(PUT, params![&put, "x"])?;
                Ok::<_, Error>(tx.log(Change::Profile { user: UserNo(1) }))
            })
            .await;
        match written {
            Ok(_) => answered.push(name),
            // Whether it is there is not known, and that is what was said.
            Err(Error::Unknown(_)) => (),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(answered.len() > 55, "{} were answered", answered.len());
    let stored: Vec<String> = store.read(|read| read.all(ALL, params![], |row| row.get(0))).await.unwrap();
    for name in &answered {
        assert!(stored.contains(name), "{name} was answered and is gone");
    }
    // The other node hears of everything, although its doorbell was cut, too.
    let mut heard = 0;
    while heard < stored.len() {
        let step = tokio::time::timeout(Duration::from_secs(20), follower.next()).await.unwrap();
        let Some(roost_store::Step::Advanced { entries, .. }) = step else { panic!("{step:?}") };
        heard += entries.len();
    }
    assert_eq!(heard, stored.len());
}
