//! The embedded engine: one file in WAL mode, one connection that writes, a few that read.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{
    CachedStatement, Connection, OpenFlags, ToSql,
    config::DbConfig,
    types::{ToSqlOutput, ValueRef},
};
use tokio::sync::Semaphore;

use crate::{
    Durability, Error, Position, Read, Row, Value,
    copy::{Catalogue, Kind, Table},
    migrations, params,
    sql::{self, Dialect},
    statements,
    transaction::{Each, Group, Session},
    writer::{Engine, Failed},
};

statements! {
    BUMP = "UPDATE log_head SET position = position + $1 RETURNING position";
    LOG = "INSERT INTO log (position, kind, room_no, user_no, item_no, detail) VALUES ($1, $2, $3, $4, $5, $6)";
}

/// Free pages that are kept, for what is written next: 2 MiB. Of a large database a sixteenth.
const KEPT_FREE: i64 = 512;

/// Prepared statements kept for each connection.
const STATEMENTS_KEPT: usize = 512;

/// A connection. Not shared between threads, but it may move.
pub(crate) struct Sqlite {
    connection: Connection,
    /// The statements in SQLite's dialect, by the address of their text, which is static.
    texts: RefCell<HashMap<(usize, usize), Box<str>>>,
    fault: RefCell<Option<Error>>,
}

impl Sqlite {
    /// The connection that writes. Makes the file when it is not there.
    pub(crate) fn writer(path: &Path, durability: Durability) -> Result<Self, Error> {
        create(path).map_err(|error| Error::File { path: path.display().to_string().into(), error: error.into() })?;
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Process => "NORMAL",
        };
        // The second only matters before the first table is there: from then on free pages can be given back a few at a time.
        connection.execute_batch("PRAGMA busy_timeout = 10000; PRAGMA auto_vacuum = INCREMENTAL")?;
        // Where shared memory does not work (some network file systems) SQLite keeps another mode without an error.
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Error::Unusable(
                "SQLite can not use its write-ahead log here; is this a network file system?".into(),
            ));
        }
        connection.execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;
             PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;"
        ))?;
        Self::new(connection)
    }

    fn reader(path: &Path) -> Result<Self, Error> {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection
            .execute_batch("PRAGMA busy_timeout = 10000; PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY;")?;
        Self::new(connection)
    }

    fn new(connection: Connection) -> Result<Self, Error> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // Otherwise the planner looks at what is bound, to a LIMIT for one, and each new value has the statement parsed and
        // planned again: a third of all the work of a /sync.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(Self { connection, texts: RefCell::default(), fault: RefCell::default() })
    }

    /// The plain connection.
    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Brings the schema up to date.
    pub(crate) fn migrate(&self, now_ms: u64) -> Result<(), Error> {
        let connection = &self.connection;
        self.batch("BEGIN IMMEDIATE", migrations::BOOTSTRAP)?;
        loop {
            // Looked up again under each lock: another process may have been at work in between.
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let next = self.newest().and_then(|(newest, oldest_writer)| migrations::pending(newest, oldest_writer));
            let step = match next {
                Ok([]) => Ok(true),
                Ok([next, ..]) => {
                    tracing::info!(migration = next.name, "migrating");
                    connection.execute_batch(&next.script(Dialect::Sqlite, now_ms)).map(|()| false).map_err(Error::from)
                }
                Err(error) => Err(error),
            };
            let step = step.and_then(|done| connection.execute_batch("COMMIT").map(|()| done).map_err(Error::from));
            match step {
                Ok(true) => return Ok(()),
                Ok(false) => (),
                Err(error) => {
                    self.rollback();
                    return Err(error);
                }
            }
        }
    }

    fn newest(&self) -> Result<(i64, i64), Error> {
        let newest =
            "SELECT coalesce(max(number), 0), (SELECT oldest_writer FROM schema_limits) FROM schema_migrations";
        Ok(self.connection.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    fn batch(&self, begin: &str, text: &str) -> Result<(), Error> {
        let result = self.connection.execute_batch(&format!("{begin};{text};COMMIT"));
        if result.is_err() {
            self.rollback();
        }
        Ok(result?)
    }

    fn with<T>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        run: impl FnOnce(&mut CachedStatement<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut texts = self.texts.borrow_mut();
        let text = texts
            .entry((sql.as_ptr() as usize, sql.len()))
            .or_insert_with(|| sql::statement(Dialect::Sqlite, sql).into());
        let prepared = self.connection.prepare_cached(text);
        // Released before rows are looked at: whoever does may run other statements.
        drop(texts);
        let mut statement = prepared.map_err(Error::from)?;
        bind(&mut statement, params)?;
        run(&mut statement)
    }

    /// Leaves an error behind for the writer.
    fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.fault.borrow_mut().get_or_insert_with(|| error.clone());
        }
        result
    }
}

fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    // Signing keys and hashes are in it. The WAL inherits the mode.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn bind(statement: &mut CachedStatement<'_>, params: &[Value<'_>]) -> Result<(), Error> {
    if statement.parameter_count() != params.len() {
        return Err(Error::Inconsistent("a statement was given the wrong number of parameters"));
    }
    for (at, value) in params.iter().enumerate() {
        statement.raw_bind_parameter(at + 1, value)?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let json = |text: serde_json::Result<String>| {
            text.map(ToSqlOutput::from).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
        };
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Bool(truth) => ToSqlOutput::Borrowed(ValueRef::Integer((*truth).into())),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Ints(numbers) => json(serde_json::to_string(numbers))?,
            Self::Numbers(numbers) => json(serde_json::to_string(numbers))?,
            Self::Texts(texts) => json(serde_json::to_string(texts))?,
            Self::Strings(texts) => json(serde_json::to_string(texts))?,
        })
    }
}

impl Session for Sqlite {
    fn query(&self, sql: &'static str, params: &[Value<'_>], each: &mut Each<'_>) -> Result<(), Error> {
        let mut looked = Ok(true);
        let result = self.with(sql, params, |statement| {
            if !statement.readonly() {
                return Err(Error::Inconsistent("a statement that writes was given to a function that reads"));
            }
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                looked = each(&Row::sqlite(row));
                if !matches!(looked, Ok(true)) {
                    break;
                }
            }
            Ok(())
        });
        self.noted(result).and(looked.map(drop))
    }

    fn change(&self, sql: &'static str, params: &[Value<'_>], each: &mut Each<'_>) -> Result<u64, Error> {
        let mut looked = Ok(true);
        let result = self.with(sql, params, |statement| {
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                if matches!(looked, Ok(true)) {
                    looked = each(&Row::sqlite(row));
                }
            }
            Ok(self.connection.changes())
        });
        self.noted(result).and_then(|changed| looked.map(|_| changed))
    }

    fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error> {
        let result = self.with(sql, params, |statement| Ok(statement.raw_execute()? as u64));
        self.noted(result)
    }

    fn execute_many(&self, sql: &'static str, rows: &[&[Value<'_>]]) -> Result<u64, Error> {
        let Some((first, rest)) = rows.split_first() else { return Ok(0) };
        let result = self.with(sql, first, |statement| {
            let mut changed = statement.raw_execute()? as u64;
            for row in rest {
                bind(statement, row)?;
                changed += statement.raw_execute()? as u64;
            }
            Ok(changed)
        });
        self.noted(result)
    }
}

impl Engine for Sqlite {
    fn begin(&self) -> Result<(), Error> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
        Ok(())
    }

    fn rollback(&self) {
        // A full disk or an I/O error may have ended the transaction already.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn commit(&self, group: &Group) -> Result<Option<Position>, Failed> {
        let head = self.finish(group).map_err(Failed::Undone)?;
        // Without a transaction COMMIT has nothing to keep, whatever the group believes it wrote.
        if self.connection.is_autocommit() {
            return Err(Failed::Undone(Error::Inconsistent("the transaction ended before its commit")));
        }
        let commit = || self.connection.prepare_cached("COMMIT")?.raw_execute();
        commit().map_err(|error| Failed::Final(error.into()))?;
        Ok(head)
    }

    fn fault(&self) -> Option<Error> {
        self.fault.take()
    }

    fn repair(&self) -> Result<bool, Error> {
        Ok(false)
    }

    fn tidy(&self) -> Result<bool, Error> {
        let number = |pragma: &str| -> Result<i64, Error> {
            Ok(self.connection.prepare_cached(pragma)?.query_row([], |row| row.get(0))?)
        };
        let free = number("PRAGMA freelist_count")?;
        if free <= KEPT_FREE || free <= number("PRAGMA page_count")? / 16 {
            return Ok(false);
        }
        let mut vacuum = self.connection.prepare_cached("PRAGMA incremental_vacuum(256)")?;
        // It frees one page for each row that it is asked for.
        let mut rows = vacuum.raw_query();
        while rows.next()?.is_some() {}
        drop(rows);
        let left = number("PRAGMA freelist_count")?;
        if left == free {
            // A database from before it could.
            return Ok(false);
        }
        if left <= KEPT_FREE || left <= number("PRAGMA page_count")? / 16 {
            // The file itself becomes shorter when what is in the WAL comes to it.
            self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            return Ok(false);
        }
        Ok(true)
    }
}

impl Sqlite {
    fn finish(&self, group: &Group) -> Result<Option<Position>, Error> {
        let log = group.log.borrow();
        if log.is_empty() {
            return Ok(None);
        }
        let count = group.count();
        let mut head = None;
        self.change(BUMP, params![count], &mut |row| {
            head = Some(row.get(0)?);
            Ok(true)
        })?;
        let head: i64 = head.ok_or(Error::Inconsistent("the log has no head"))?;
        let before = head - count;
        let rows: Vec<[Value<'_>; 6]> = (before + 1..)
            .zip(log.iter())
            .map(|(position, (change, _))| {
                let columns = change.columns();
                crate::values![position, columns.kind, columns.room, columns.user, columns.item, columns.detail]
            })
            .collect();
        let rows: Vec<&[Value<'_>]> = rows.iter().map(<[_; 6]>::as_slice).collect();
        self.execute_many(LOG, &rows)?;
        for deferred in group.deferred.borrow().iter() {
            let mut params: Vec<Value<'_>> = deferred.params.iter().map(|value| value.as_value()).collect();
            params.push(Value::Int(before + 1 + deferred.slot));
            self.execute(deferred.sql, &params)?;
        }
        Ok(Some(Position(head)))
    }
}

impl Catalogue for Sqlite {
    fn tables(&self) -> Result<Vec<Table>, Error> {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
        let columns = "SELECT name, type, pk FROM pragma_table_info(?1) ORDER BY name";
        let names: Vec<String> =
            self.connection.prepare(names)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut columns = self.connection.prepare(columns)?;
        let table = |name: String| {
            let found: Vec<(String, String, i64)> = columns
                .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<Result<_, _>>()?;
            let mut key: Vec<(i64, String)> =
                found.iter().filter(|(_, _, at)| *at > 0).map(|(name, _, at)| (*at, name.clone())).collect();
            key.sort();
            let columns = found.into_iter().map(|(name, kind, _)| Some((name, kind_of(&kind)?)));
            let columns = columns.collect::<Option<_>>().ok_or(Error::Inconsistent("a column of an unknown type"))?;
            Ok(Table { name, columns, key: key.into_iter().map(|(_, name)| name).collect() })
        };
        names.into_iter().map(table).collect()
    }

    fn begin_snapshot(&self) -> Result<(), Error> {
        Ok(self.connection.execute_batch("BEGIN")?)
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    match name {
        "BIGINT" | "INTEGER" => Some(Kind::Int),
        "BOOLEAN" => Some(Kind::Bool),
        "TEXT" => Some(Kind::Text),
        "BLOB" => Some(Kind::Bytes),
        _ => None,
    }
}

/// The connections that read. A read runs on the caller's thread: most take a few microseconds, less than handing them
/// to another thread would.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Sqlite>>,
    free: Semaphore,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, count: usize) -> Self {
        Self { path, idle: Mutex::default(), free: Semaphore::new(count.clamp(1, 1024)) }
    }

    pub(crate) async fn read<T, E: From<Error>>(&self, job: impl FnOnce(&Read<'_>) -> Result<T, E>) -> Result<T, E> {
        let _permit = self.free.acquire().await.map_err(|_| E::from(Error::Closed))?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match idle {
            Some(session) => session,
            None => Sqlite::reader(&self.path)?,
        };
        let begin = || session.connection.prepare_cached("BEGIN")?.raw_execute();
        begin().map_err(Error::from)?;
        let result = catch_unwind(AssertUnwindSafe(|| job(&Read::new(&session))));
        session.fault.take();
        let end = || session.connection.prepare_cached("COMMIT")?.raw_execute();
        // A connection that can not end its transaction would show an old snapshot for ever: it is dropped.
        if end().is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        result.unwrap_or_else(|_| Err(E::from(Error::Panicked)))
    }

    /// Closes what is idle.
    pub(crate) fn close(&self) {
        self.free.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::{Connection, Sqlite};
    use crate::{Error, params, statements, testing::TestStore};

    statements! {
        FILL = "INSERT INTO store_meta (name, value) VALUES ($1, $2)";
        EMPTY = "DELETE FROM store_meta WHERE name LIKE 'row %'";
    }

    #[tokio::test]
    async fn what_is_deleted_makes_the_file_smaller() {
        let store = TestStore::sqlite().await;
        let crate::Database::Sqlite(path) = &store.scratch.options.database else { panic!("SQLite") };
        let size = || std::fs::metadata(path).expect("the file").len();
        assert!(!STATEMENTS.is_empty());
        for n in 0..200 {
            let name = format!("row {n}");
            let value = "x".repeat(100_000);
            store.write(move |tx| tx.execute(FILL, params![name.as_str(), value.as_str()])).await.expect("written");
        }
        let full = size();
        assert!(full > 10_000_000, "{full}");
        store.write(|tx| tx.execute(EMPTY, params![])).await.expect("deleted");
        // The writer does it when it has nothing else to do.
        for _ in 0..200 {
            if size() < 4_000_000 {
                break;
            }
            crate::testing::world().clock.sleep(std::time::Duration::from_millis(50)).await;
        }
        let left = size();
        assert!(left < 4_000_000, "{full} bytes became {left}");
        // And it is still a database.
        let names =
            store.read(|read| read.all("SELECT name FROM store_meta", params![], |row| row.get::<String>(0))).await;
        assert!(names.is_ok_and(|names| names.iter().all(|name| !name.starts_with("row "))));
        let gone: Result<u64, Error> = store.write(|tx| tx.execute(EMPTY, params![])).await;
        assert_eq!(gone.ok(), Some(0));
    }

    #[test]
    fn a_statement_is_not_planned_again_because_another_value_is_bound() {
        let session = Sqlite::new(Connection::open_in_memory().unwrap()).unwrap();
        let connection = session.connection();
        connection.execute_batch("CREATE TABLE t (a BIGINT PRIMARY KEY, b BIGINT); CREATE INDEX t_b ON t (b)").unwrap();
        let mut statement = connection.prepare("SELECT a FROM t WHERE b > $1 ORDER BY b LIMIT $2").unwrap();
        for value in 1..10 {
            statement.query([value, 10 * value]).unwrap().next().unwrap();
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
