//! What can go wrong in the store.

use std::sync::Arc;

use tokio_postgres::error::SqlState;

/// What can go wrong in the store. Cheap to clone, since the failure of a group is told to everyone in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused or failed.
    #[error("SQLite: {0}")]
    Sqlite(Arc<rusqlite::Error>),
    /// PostgreSQL refused or failed.
    #[error("PostgreSQL: {message}")]
    Postgres {
        /// What it said.
        message: Arc<str>,
        /// The SQLSTATE, when the server gave one.
        code: Option<SqlState>,
        /// Whether it was the connection that failed.
        disconnected: bool,
    },
    /// The connection broke while a commit was under way: the change may or may not be there.
    #[error("the database went away during a commit, whose outcome is unknown: {0}")]
    Unknown(Arc<str>),
    /// A column does not hold what the code expects.
    #[error("column {column} does not hold {expected}")]
    Column {
        /// Counted from 0.
        column: usize,
        /// What was asked for.
        expected: &'static str,
    },
    /// Rows contradict each other or the code: a fault in this program or a damaged database.
    #[error("the database is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// What a write builds upon has been deleted since it was read: begin again from what is there now.
    #[error("what this builds upon has been deleted meanwhile")]
    Gone,
    /// What is asked about auth chains needs this event, and the index does not have it.
    #[error("event {0} is not in its room's index of auth chains")]
    NotIndexed(crate::EventNo),
    /// A closure panicked. Whatever it had written was rolled back.
    #[error("a job of the store panicked and was undone")]
    Panicked,
    /// The store has been closed, or its threads could not be started.
    #[error("the store is closed")]
    Closed,
    /// The database was made by something else than a release, such as a state of development before the first one.
    #[error(
        "the database was made by another program or by an unreleased version: it has the migration {0}, which no release has"
    )]
    Foreign(String),
    /// The database was written by a later release that this one can not read.
    #[error(
        "the database has schema {found}, which needs a release that knows schema {needed}; this one knows {known}"
    )]
    TooNew {
        /// The newest migration in the database.
        found: i64,
        /// The oldest release, by its newest migration, that may use it.
        needed: i64,
        /// This release's newest migration.
        known: i64,
    },
    /// The database can not be used as it is; the text says why and what to do.
    #[error("{0}")]
    Unusable(Arc<str>),
    /// The database's address is not understood.
    #[error("{0:?} is not a database URL: sqlite:PATH or postgres://USER@HOST/NAME")]
    Url(Arc<str>),
    /// A file of the database could not be read or made.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: Arc<str>,
        /// What the operating system said.
        error: Arc<std::io::Error>,
    },
}

impl Error {
    /// Whether trying the same again may help: the transaction lost against another one, or the connection broke
    /// before its commit.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Postgres { code: Some(code), .. } => {
                *code == SqlState::T_R_SERIALIZATION_FAILURE
                    || *code == SqlState::T_R_DEADLOCK_DETECTED
                    // A prepared statement that a migration has outdated.
                    || *code == SqlState::FEATURE_NOT_SUPPORTED
                    || self.is_disconnected()
            }
            _ => self.is_disconnected(),
        }
    }

    /// Whether it is the database that can not be reached: nothing is wrong with what was asked, and it may be tried again.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Closed) || self.is_disconnected()
    }

    /// Whether the connection is gone or about to go.
    pub(crate) fn is_disconnected(&self) -> bool {
        match self {
            // Class 57 is the operator's, 08 the connection's.
            Self::Postgres { code, disconnected, .. } => {
                *disconnected
                    || code.as_ref().is_some_and(|code| code.code().starts_with("57P") || code.code().starts_with("08"))
            }
            _ => false,
        }
    }

    /// An attempt to connect that failed.
    pub(crate) fn connecting(error: tokio_postgres::Error) -> Self {
        match Self::from(error) {
            Self::Postgres { message, code, .. } => Self::Postgres { message, code, disconnected: true },
            other => other,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let message = match error.as_db_error() {
            Some(db) => format!("{} ({})", db.message(), db.code().code()),
            None => match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        };
        let io = std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        Self::Postgres { message: message.into(), code: error.code().cloned(), disconnected: io || error.is_closed() }
    }
}
