//! Nodes of their own: this test binary, started again as a child process that runs one test function.

use std::process::{Command, Stdio};

use roost_store::{Database, Options};

/// Carries the child's work in its environment; a test function that is a child's body does nothing without it.
const WORK: &str = "ROOST_STORE_TEST_WORK";
const URL: &str = "ROOST_STORE_TEST_URL";

/// A command that runs the test function `body` in a process of its own, with the database and a word of instruction.
pub(crate) fn node(body: &str, options: &Options, work: &str) -> Command {
    let url = match &options.database {
        Database::Sqlite(path) => format!("sqlite:{}", path.display()),
        Database::Postgres(url) => url.clone(),
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([body, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(WORK, work).env(URL, url).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What this process was told to do, if it is such a node.
pub(crate) fn work() -> Option<(Options, String)> {
    let url = std::env::var(URL).ok()?;
    let database = Database::parse(&url, std::path::Path::new("/")).unwrap();
    Some((Options::new(database), std::env::var(WORK).unwrap()))
}
