//! The project's own tasks: `cargo xtask <task>`.
//!
//! * `arrows` checks which crate uses which (docs/src/architecture.md) and what no crate may use (deny.toml).
//! * `crash [SQLITE POSTGRES]` is the long form of the crash test: so many kills on each database, 200 and 50 if not said.
//! * `test [STAGE…]` runs everything that must hold before a change lands, stage by stage; it installs what it needs.

use std::process::ExitCode;

mod arrows;
mod stages;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["arrows"] => arrows::check(),
        ["crash"] => stages::crash("200", "50"),
        ["crash", sqlite, postgres] => stages::crash(sqlite, postgres),
        ["test", wanted @ ..] => stages::run(wanted),
        _ => Err(format!("usage: cargo xtask arrows | crash [KILLS KILLS] | test [{}]", stages::names().join(" | "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The top of the repository.
fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
