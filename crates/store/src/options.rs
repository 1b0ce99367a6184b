//! Where the data is and how carefully it is kept.

use std::path::{Path, PathBuf};

use crate::Error;

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file, made when it is not there.
    Sqlite(PathBuf),
    /// A `postgres://…` URL or a `key=value` string, as libpq has them. TCP and Unix sockets; TLS is not supported yet.
    Postgres(String),
}

impl Database {
    /// Reads `sqlite:PATH` (a relative path is under `data_dir`) or `postgres://…`.
    pub fn parse(url: &str, data_dir: &Path) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('\0') {
                return Err(Error::Url(without_password(url).into()));
            }
            return Ok(Self::Sqlite(data_dir.join(path)));
        }
        let known = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if known && url.parse::<tokio_postgres::Config>().is_ok() {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(Error::Url(without_password(url).into()))
    }
}

/// A URL as it may be shown: errors go to logs.
pub(crate) fn without_password(url: &str) -> String {
    if url.contains("password=") {
        return "(a URL with a password)".to_owned();
    }
    // The last `@`: one that belongs to a password should have been written as %40, but this text may be any.
    let Some((before, host)) = url.rsplit_once('@') else { return url.to_owned() };
    let scheme = before.find("://").map_or(0, |at| at + 3);
    let user = before.get(scheme..).unwrap_or_default();
    match user.split_once(':') {
        Some((user, _)) => format!("{}{user}:***@{host}", before.get(..scheme).unwrap_or_default()),
        None => url.to_owned(),
    }
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Everything but the loss of the disk: fsync before the answer.
    #[default]
    Full,
    /// A killed process, but not a power cut: the operating system (SQLite) or PostgreSQL writes later.
    Process,
}

/// How to open a store. [`Options::new`] has the usual sizes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the data is.
    pub database: Database,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Connections for readers.
    pub readers: usize,
    /// Writes that may wait at once; more of them wait for room before they are queued.
    pub queue: usize,
    /// Writes that are committed together at most.
    pub group: usize,
    /// Log entries kept in memory for followers.
    pub ring: usize,
}

impl Options {
    /// The usual sizes.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, durability: Durability::Full, readers: 8, queue: 4096, group: 256, ring: 65_536 }
    }

    /// The same with another durability.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_not_understood_is_told_without_its_password() {
        for url in
            ["mysql://roost:secret@db/roost", "postgres://roost:sec@ret@db:x/roost", "mysql://db/?password=secret"]
        {
            let error = Database::parse(url, Path::new("")).unwrap_err().to_string();
            assert!(!error.contains("sec") && !error.contains("ret"), "{error}");
        }
        let error = Database::parse("mysql://roost@db/roost", Path::new("")).unwrap_err().to_string();
        assert!(error.contains("mysql://roost@db/roost"), "{error}");
    }
}
