//! Bringing the schema up to date, under a lock that all nodes know.

use super::Postgres;
use crate::{
    Error, migrations,
    sql::{self, Dialect},
};

/// Any number, the same in every release: "roost".
const LOCK: i64 = 0x72_6f_6f_73_74;

impl Postgres {
    /// Brings the schema up to date. Each step is a transaction that holds the lock.
    pub(crate) fn migrate(&self, now_ms: u64) -> Result<(), Error> {
        self.locked(|| self.batch(&sql::migration(Dialect::Postgres, migrations::BOOTSTRAP)))?;
        while !self.locked(|| self.step(now_ms))? {}
        Ok(())
    }

    fn step(&self, now_ms: u64) -> Result<bool, Error> {
        let mut ran = Vec::new();
        for row in self.plain(migrations::RAN)? {
            ran.push((row.try_get(0)?, row.try_get(1)?));
        }
        let oldest_writer = match self.plain(migrations::OLDEST_WRITER)?.first() {
            Some(row) => row.try_get(0)?,
            None => 0,
        };
        let Some(next) = migrations::next(&migrations::Applied { ran, oldest_writer })? else { return Ok(true) };
        tracing::info!(migration = next.name, "migrating");
        self.batch(&next.script(Dialect::Postgres, now_ms))?;
        Ok(false)
    }

    fn locked<T>(&self, run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})"))?;
        let result = run().and_then(|value| self.batch("COMMIT").map(|()| value));
        if result.is_err() {
            // The first error is the one to tell.
            drop(self.batch("ROLLBACK"));
        }
        result
    }
}
