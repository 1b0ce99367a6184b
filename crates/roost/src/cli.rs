//! The command line.
//!
//! Exit status: 0 when it worked, 1 when it failed, 2 when the command line or the configuration is wrong.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::{
    commands,
    config::{self, Config, Loaded},
    room::{self, RoomCommand},
    telemetry, world,
};

#[derive(Parser)]
#[command(name = "roost", version, about = "A Matrix homeserver", disable_help_subcommand = true)]
struct Cli {
    /// The configuration file; without one, the defaults and the environment (`ROOST_SECTION__KEY`) count.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the homeserver. This is also what happens without a command.
    Serve,
    /// Runs the identity server alone.
    Identity,
    /// Manages accounts.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Reads and explains the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Manages databases.
    Db {
        #[command(subcommand)]
        command: DbCommand,
    },
    /// Looks into rooms, deletes them, purges their history.
    Room {
        #[command(subcommand)]
        command: RoomCommand,
    },
    /// Lists the background loops of the running server.
    Workers,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Creates an account. Without a password, one is made up and printed.
    Create {
        /// The localpart of the user id, or the whole id.
        name: String,
        /// The password. Others on this machine may see it in the list of processes.
        #[arg(long, conflicts_with = "password_stdin")]
        password: Option<String>,
        /// Reads the password from the first line of standard input.
        #[arg(long)]
        password_stdin: bool,
        /// Makes the user an administrator of the server.
        #[arg(long)]
        admin: bool,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Checks the configuration, and names keys that govern nothing yet.
    Check,
    /// Prints a complete configuration file with explanations.
    Example,
}

#[derive(Subcommand)]
enum DbCommand {
    /// Copies everything into an empty database, such as `sqlite:roost.db` to `postgres://roost@localhost/roost`.
    Copy {
        /// The database to read, as in database.url.
        from: String,
        /// The database to fill; it must be empty.
        to: String,
    },
}

/// Why a command ended without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the configuration is wrong.
    Usage(String),
    /// It did not work.
    Failed(String),
}

impl Failure {
    /// It did not work, and this is why.
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs a command line to its end.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come as errors, too, but are none.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match perform(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(problem)) => {
            eprintln!("roost: {problem}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(problem)) => {
            eprintln!("roost: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn perform(cli: Cli) -> Result<(), Failure> {
    let file = cli.config.or_else(|| std::env::var_os("ROOST_CONFIG").map(PathBuf::from));
    let load = || {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Config::load(file.as_deref(), environment)
            .map_err(|problems| Failure::Usage(format!("the configuration is wrong:\n{problems}")))
    };
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let Loaded { config, .. } = load()?;
            telemetry::log(&config.log);
            with_runtime(&config, |runtime| runtime.block_on(commands::serve(&config, runtime.handle())))
        }
        Command::Identity => {
            Err(Failure::failed("the identity server is not part of this build; a later release brings it"))
        }
        Command::User { command: UserCommand::Create { name, password, password_stdin, admin } } => {
            let Loaded { config, .. } = load()?;
            let password = if password_stdin { Some(first_line()?) } else { password };
            with_runtime(&config, |runtime| {
                runtime.block_on(commands::create_user(&config, runtime.handle(), name, password, admin))
            })
        }
        Command::Config { command: ConfigCommand::Check } => {
            commands::report(&load()?);
            Ok(())
        }
        Command::Config { command: ConfigCommand::Example } => {
            print!("{}", config::example());
            Ok(())
        }
        Command::Db { command: DbCommand::Copy { from, to } } => {
            let Loaded { config, .. } = load()?;
            telemetry::log(&config.log);
            with_runtime(&config, |runtime| runtime.block_on(commands::copy(&config, runtime.handle(), &from, &to)))
        }
        Command::Room { command } => {
            let Loaded { config, .. } = load()?;
            telemetry::log(&config.log);
            with_runtime(&config, |runtime| runtime.block_on(room::run(&config, runtime.handle(), command)))
        }
        Command::Workers => {
            let Loaded { config, .. } = load()?;
            with_runtime(&config, |runtime| runtime.block_on(commands::workers(&config)))
        }
    }
}

fn first_line() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Failure::failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn with_runtime(_config: &Config, run: impl FnOnce(&Runtime) -> Result<(), Failure>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(world::BLOCKING_THREADS)
        .build()
        .map_err(Failure::failed)?;
    let result = run(&runtime);
    // Whatever still runs has had its time.
    runtime.shutdown_background();
    result
}
