//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::scenario::Scenario;

/// Loads Matrix homeservers through the Client-Server API and says what they achieve.
///
/// Point it only at servers that may be filled with accounts and rooms: nothing it makes is removed. Their rate limits
/// must be off. Several servers are measured in turns, round by round, so that they meet the same machine.
#[derive(Parser)]
#[command(name = "roost-bench", version)]
pub(crate) struct Args {
    /// A server, as NAME=http://ADDRESS:PORT or just the address; repeatable
    #[arg(long = "target", required = true, value_name = "NAME=URL")]
    pub(crate) targets: Vec<String>,

    /// The target that the others are compared with [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) baseline: Option<String>,

    /// A further process of a target, such as its database; repeatable. The process that listens on the target's port
    /// is found by itself
    #[arg(long, value_name = "NAME=PID")]
    pub(crate) target_pid: Vec<String>,

    /// What to measure; repeatable [default: everything]
    #[arg(long, value_enum)]
    pub(crate) scenario: Vec<Scenario>,

    /// How often each server has its turn in each scenario
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// The longest a round may take
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,

    /// The most operations in a round
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) count: u64,

    /// How long to wait for one answer, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) patience: u64,

    /// The token that registration asks for; NAME=TOKEN for one target alone, repeatable
    #[arg(long, value_name = "TOKEN")]
    pub(crate) registration_token: Vec<String>,

    /// Makes accounts through `POST /_synapse/admin/v1/register` with this secret; NAME=SECRET for one target alone,
    /// repeatable
    #[arg(long, value_name = "SECRET")]
    pub(crate) shared_secret: Vec<String>,

    /// The version of the rooms [default: each server's own]
    #[arg(long)]
    pub(crate) room_version: Option<String>,

    /// Rooms of the account that syncs
    #[arg(long, default_value_t = 200, value_parser = sized)]
    pub(crate) rooms: usize,

    /// Messages in each of these rooms; with what makes a room, 42 give 50 events
    #[arg(long, default_value_t = 42, value_parser = sized)]
    pub(crate) messages: usize,

    /// Members of the big room
    #[arg(long, default_value_t = 2000, value_parser = sized)]
    pub(crate) members: usize,

    /// Keeps the tokens of prepared accounts and rooms here, so that the next run finds them
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Where fsync is measured: the disk on which the servers keep their data
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    pub(crate) disk: PathBuf,

    /// Prints JSON in place of tables
    #[arg(long)]
    pub(crate) json: bool,

    /// Allows a target that is not this machine
    #[arg(long)]
    pub(crate) i_own_this_server: bool,
}

fn sized(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size @ 1..=100_000) => Ok(size),
        _ => Err("a number from 1 to 100000 is wanted".to_owned()),
    }
}

/// The value for a target: that of `NAME=VALUE`, or the last one given without a target's name.
pub(crate) fn for_target(values: &[String], name: &str, names: &[String]) -> Option<String> {
    let addressed = |value: &str| {
        let (owner, rest) = value.split_once('=')?;
        names.iter().any(|name| name == owner).then(|| (owner.to_owned(), rest.to_owned()))
    };
    let own = values.iter().filter_map(|value| addressed(value)).rfind(|(owner, _)| owner == name);
    own.map(|(_, value)| value).or_else(|| values.iter().rfind(|value| addressed(value).is_none()).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_the_target_it_names() {
        let names = ["roost".to_owned(), "peer".to_owned()];
        let values = ["general=x".to_owned(), "peer=own".to_owned()];
        assert_eq!(for_target(&values, "roost", &names).as_deref(), Some("general=x"));
        assert_eq!(for_target(&values, "peer", &names).as_deref(), Some("own"));
        assert_eq!(for_target(&[], "peer", &names), None);
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
