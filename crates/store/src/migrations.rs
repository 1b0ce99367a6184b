//! The schema's history: numbered SQL files, each applied once, in order, in a transaction of its own under a lock, so that
//! an interruption leaves the schema between two of them.
//!
//! A file may start with `-- oldest-reader: N` and `-- oldest-writer: N`: the oldest release, by the number of its newest
//! migration, that may read or write a database in which this migration has run. Expand first, contract in a later
//! release, and raise the numbers only when contracting.

use crate::{
    Error,
    sql::{self, Dialect},
};

macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        &[$(Migration { name: $name, text: include_str!(concat!("../migrations/", $name, ".sql")) }),*]
    };
}

/// All of them, in order.
pub(crate) const ALL: &[Migration] =
    migrations!["0001_log", "0002_graph", "0003_users", "0004_state", "0006_auth_chains", "0011_removal"];

/// One file.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) name: &'static str,
    text: &'static str,
}

/// What must be there before the first migration.
pub(crate) const BOOTSTRAP: &str = "
    CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_ms BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS schema_limits (only_row BIGINT NOT NULL PRIMARY KEY, oldest_reader BIGINT NOT NULL, oldest_writer BIGINT NOT NULL);
    INSERT INTO schema_limits (only_row, oldest_reader, oldest_writer) VALUES (1, 0, 0) ON CONFLICT DO NOTHING;";

impl Migration {
    /// Its number: the file's name starts with it.
    pub(crate) fn number(&self) -> i64 {
        self.name.split('_').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Everything to run in its transaction.
    pub(crate) fn script(&self, dialect: Dialect, now_ms: u64) -> String {
        let limit = |what: &str| {
            let line =
                self.text.lines().find_map(|line| line.strip_prefix("-- ")?.strip_prefix(what)?.strip_prefix(": "));
            line.and_then(|number| number.trim().parse::<i64>().ok()).unwrap_or(0)
        };
        let newer = match dialect {
            Dialect::Sqlite => "max",
            Dialect::Postgres => "greatest",
        };
        format!(
            "{}\nUPDATE schema_limits SET oldest_reader = {newer}(oldest_reader, {}), oldest_writer = {newer}(oldest_writer, {});\n\
             INSERT INTO schema_migrations (number, name, applied_ms) VALUES ({}, '{}', {now_ms});",
            sql::migration(dialect, self.text),
            limit("oldest-reader"),
            limit("oldest-writer"),
            self.number(),
            self.name,
        )
    }
}

/// The migrations still to run, given the newest one in the database and the oldest release that it allows.
pub(crate) fn pending(newest: i64, oldest_writer: i64) -> Result<&'static [Migration], Error> {
    let known = ALL.last().map_or(0, Migration::number);
    if newest > known && oldest_writer > known {
        return Err(Error::TooNew { found: newest, needed: oldest_writer, known });
    }
    let first = ALL.partition_point(|migration| migration.number() <= newest);
    Ok(ALL.get(first..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
