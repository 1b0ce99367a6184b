//! The engine for several machines: PostgreSQL, spoken to from the store's own threads.
//!
//! Commits are ordered by the lock of the row `log_head`: the end of a group (its positions, its lines of the log, the
//! statements that wait for a position, COMMIT) goes out as one message, so that no round trip happens while the lock is
//! held. PostgreSQL makes a transaction visible before it lets go of its locks, so whoever sees a position sees all
//! before it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::Duration,
};

use roost_world::World;
use tokio_postgres::{Config, Row as PgRow, Statement, types::ToSql};

use crate::{
    Durability, Error, Position, Row, Value,
    sql::{self, Dialect},
    transaction::{Each, Group, Session},
    writer::{Engine, Failed},
};

use self::{
    link::{Answer, Link, Part},
    param::Param,
};

mod catalogue;
mod link;
mod migrate;
mod param;
mod threads;

pub(crate) use threads::{Readers, listen};

const BUMP: &str = "UPDATE log_head SET position = position + $1 RETURNING position";
const LOG: &str = "INSERT INTO log (position, kind, room_no, user_no, item_no, detail) \
                   SELECT (SELECT position FROM log_head) - $1 + line.number, line.kind, line.room, line.person, line.item, line.detail \
                   FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
                   WITH ORDINALITY AS line (kind, room, person, item, detail, number)";
/// The doorbell and the end, in one message.
const COMMIT: &str = "NOTIFY roost_log; COMMIT";

/// The statements of this engine alone, for the test that prepares them.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[BUMP, LOG];

/// Statements sent at once by [`Session::execute_many`].
const BATCH: usize = 512;

/// What a transaction begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Write,
    Snapshot,
}

impl Begin {
    fn sql(self) -> &'static str {
        match self {
            Self::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

/// A connection with its prepared statements. It belongs to one thread.
pub(crate) struct Postgres {
    config: Config,
    durability: Durability,
    world: World,
    link: RefCell<Link>,
    statements: RefCell<HashMap<(usize, usize), Statement>>,
    /// Sent together with the first statement of the transaction.
    begin: Cell<Option<Begin>>,
    fault: RefCell<Option<Error>>,
}

impl Postgres {
    /// Connects. Must be called on one of the executor's threads.
    pub(crate) fn connect(url: &str, durability: Durability, world: &World) -> Result<Self, Error> {
        let mut config: Config = url.parse().map_err(|_| Error::Url(crate::options::without_password(url).into()))?;
        if config.get_application_name().is_none() {
            config.application_name("roost");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        // A server that vanished without a word must not hold the writer for ever.
        config.tcp_user_timeout(Duration::from_secs(30));
        let link = Link::connect(&config, world)?;
        let session = Self {
            config,
            durability,
            world: world.clone(),
            link: RefCell::new(link),
            statements: RefCell::default(),
            begin: Cell::default(),
            fault: RefCell::default(),
        };
        session.greet()?;
        Ok(session)
    }

    /// What each connection starts with.
    fn greet(&self) -> Result<(), Error> {
        if self.setting("server_encoding")? != "UTF8" {
            return Err(Error::Unusable(
                "the PostgreSQL database is not encoded in UTF8; create it with TEMPLATE template0 ENCODING 'UTF8'"
                    .into(),
            ));
        }
        // An operator may ask for more than `on` (a replica's confirmation), but not for less.
        let commit = match self.durability {
            Durability::Process => "SET synchronous_commit = off;",
            Durability::Full if self.setting("synchronous_commit")? == "off" => "SET synchronous_commit = on;",
            Durability::Full => "",
        };
        self.batch(&format!("{commit} SET jit = off; SET default_transaction_isolation = 'read committed'"))
    }

    /// One of the server's settings.
    pub(crate) fn setting(&self, name: &'static str) -> Result<String, Error> {
        let rows = self.plain(&format!("SHOW {name}"))?;
        Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
    }

    /// A query outside the dialect, unprepared and without parameters.
    pub(crate) fn plain(&self, sql: &str) -> Result<Vec<PgRow>, Error> {
        let link = self.link.borrow();
        Ok(link.drive(&self.world, link.client.query(sql, &[]))??)
    }

    /// Statements outside the dialect.
    pub(crate) fn batch(&self, sql: &str) -> Result<(), Error> {
        let link = self.link.borrow();
        Ok(link.drive(&self.world, link.client.batch_execute(sql))??)
    }

    /// A statement, prepared on this connection.
    pub(crate) fn prepared(&self, sql: &'static str) -> Result<Statement, Error> {
        let key = (sql.as_ptr() as usize, sql.len());
        if let Some(statement) = self.statements.borrow().get(&key) {
            return Ok(statement.clone());
        }
        let text = sql::statement(Dialect::Postgres, sql);
        let link = self.link.borrow();
        let statement = link.drive(&self.world, link.client.prepare(&text))??;
        self.statements.borrow_mut().insert(key, statement.clone());
        Ok(statement)
    }

    /// Sends a statement, once for each row of parameters, behind the BEGIN that may be due.
    fn run(&self, sql: &'static str, rows: &[&[Value<'_>]], answers_rows: bool) -> Result<Vec<Answer>, Error> {
        let result = self.prepared(sql).and_then(|statement| {
            if rows.iter().any(|row| row.len() != statement.params().len()) {
                return Err(Error::Inconsistent("a statement was given the wrong number of parameters"));
            }
            let link = self.link.borrow();
            let begin = self.begin.take();
            let mut parts: Vec<Part<'_>> = Vec::with_capacity(rows.len() + 1);
            parts.extend(begin.map(|begin| batch(&link, begin.sql())));
            for row in rows {
                parts.push(bound(&link, &statement, row, answers_rows));
            }
            let answers = link.send(&self.world, parts)?;
            // The first that failed explains the others.
            answers.into_iter().collect::<Result<Vec<_>, _>>().map(|mut answers| {
                if begin.is_some() {
                    answers.remove(0);
                }
                answers
            })
        });
        self.noted(result)
    }

    fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.fault.borrow_mut().get_or_insert_with(|| error.clone());
            if matches!(error, Error::Postgres { code: Some(code), .. } if *code == tokio_postgres::error::SqlState::FEATURE_NOT_SUPPORTED)
            {
                self.statements.borrow_mut().clear();
            }
        }
        result
    }

    fn rows(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<PgRow>, Error> {
        match self.run(sql, &[params], true)?.pop() {
            Some(Answer::Rows(rows)) => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }

    /// Begins a snapshot for a reader.
    pub(crate) fn snapshot(&self) {
        self.begin.set(Some(Begin::Snapshot));
    }

    /// Ends a reader's snapshot. The connection is of no use when that fails.
    pub(crate) fn end(&self) -> Result<(), Error> {
        self.fault.take();
        if self.begin.take().is_some() { Ok(()) } else { self.batch("COMMIT") }
    }

    /// Whether the connection is gone, as far as can be known without asking.
    pub(crate) fn is_closed(&self) -> bool {
        self.link.borrow().is_closed(&self.world)
    }

    /// The end of a group that has lines of the log, as one message.
    fn commit_logged(&self, group: &Group) -> Result<Position, Failed> {
        let log = group.log.borrow();
        let deferred = group.deferred.borrow();
        let count = group.count();
        // Prepared before the lock is taken.
        let (bump, insert) =
            (self.prepared(BUMP).map_err(Failed::Undone)?, self.prepared(LOG).map_err(Failed::Undone)?);
        let mut waiting = Vec::with_capacity(deferred.len());
        for statement in deferred.iter() {
            let mut params: Vec<Value<'_>> = statement.params.iter().map(|value| value.as_value()).collect();
            params.push(Value::Int(count - 1 - statement.slot));
            let prepared = self.prepared(statement.sql).map_err(Failed::Undone)?;
            if prepared.params().len() != params.len() {
                return Err(Failed::Undone(Error::Inconsistent(
                    "a statement was given the wrong number of parameters",
                )));
            }
            waiting.push((prepared, params));
        }
        let columns: Vec<_> = log.iter().map(|(change, _)| change.columns()).collect();
        let kinds: Vec<i64> = columns.iter().map(|line| line.kind).collect();
        let rooms: Vec<Option<i64>> = columns.iter().map(|line| line.room).collect();
        let users: Vec<Option<i64>> = columns.iter().map(|line| line.user).collect();
        let items: Vec<Option<i64>> = columns.iter().map(|line| line.item).collect();
        let details: Vec<Option<i64>> = columns.iter().map(|line| line.detail).collect();

        let link = self.link.borrow();
        let client = &link.client;
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(waiting.len() + 4);
        parts.extend(self.begin.take().map(|begin| batch(&link, begin.sql())));
        let bump_at = parts.len();
        parts.push(Box::pin(async { client.query(&bump, &[&count]).await.map(Answer::Rows) }));
        let lines: [&(dyn ToSql + Sync); 6] = [&count, &kinds, &rooms, &users, &items, &details];
        parts.push(Box::pin(async { client.execute(&insert, &lines).await.map(Answer::Count) }));
        for (statement, params) in &waiting {
            parts.push(bound(&link, statement, params, false));
        }
        parts.push(batch(&link, COMMIT));
        let mut answers = link.send(&self.world, parts).map_err(|error| unknown(&error))?;
        let committed = answers.pop().unwrap_or(Err(Error::Closed));
        let mut head = None;
        for (at, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(Answer::Rows(rows)) if at == bump_at => {
                    head = rows.first().and_then(|row| row.try_get::<_, i64>(0).ok());
                }
                Ok(_) => (),
                // After an error PostgreSQL refuses everything up to ROLLBACK, COMMIT included. But when it was the
                // connection that failed, COMMIT may have arrived.
                Err(error) if error.is_disconnected() => return Err(unknown(&error)),
                Err(error) => return Err(Failed::Undone(error)),
            }
        }
        judge(committed)?;
        // Committed, so its position is there.
        head.map(Position).ok_or(Failed::Final(Error::Inconsistent("the log has no head")))
    }
}

/// A COMMIT's own answer. Nothing before it failed.
fn judge(answer: Result<Answer, Error>) -> Result<(), Failed> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.is_disconnected() => Err(unknown(&error)),
        Err(error) if error.is_transient() => Err(Failed::Undone(error)),
        Err(error) => Err(Failed::Final(error)),
    }
}

fn unknown(error: &Error) -> Failed {
    Failed::Final(Error::Unknown(error.to_string().into()))
}

fn batch<'a>(link: &'a Link, sql: &'a str) -> Part<'a> {
    Box::pin(async move { link.client.batch_execute(sql).await.map(|()| Answer::Done) })
}

fn bound<'a>(link: &'a Link, statement: &'a Statement, row: &'a [Value<'a>], answers_rows: bool) -> Part<'a> {
    Box::pin(async move {
        let params: Vec<Param<'_>> = row.iter().map(Param).collect();
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        if answers_rows {
            link.client.query(statement, &params).await.map(Answer::Rows)
        } else {
            link.client.execute(statement, &params).await.map(Answer::Count)
        }
    })
}

fn counted(answers: &[Answer]) -> u64 {
    answers.iter().map(|answer| if let Answer::Count(count) = answer { *count } else { 0 }).sum()
}

impl Session for Postgres {
    fn query(&self, sql: &'static str, params: &[Value<'_>], each: &mut Each<'_>) -> Result<(), Error> {
        for row in self.rows(sql, params)? {
            if !each(&Row::postgres(&row))? {
                break;
            }
        }
        Ok(())
    }

    fn change(&self, sql: &'static str, params: &[Value<'_>], each: &mut Each<'_>) -> Result<u64, Error> {
        let rows = self.rows(sql, params)?;
        for row in &rows {
            if !each(&Row::postgres(row))? {
                break;
            }
        }
        Ok(rows.len() as u64)
    }

    fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error> {
        Ok(counted(&self.run(sql, &[params], false)?))
    }

    fn execute_many(&self, sql: &'static str, rows: &[&[Value<'_>]]) -> Result<u64, Error> {
        let mut changed = 0;
        for rows in rows.chunks(BATCH) {
            changed += counted(&self.run(sql, rows, false)?);
        }
        Ok(changed)
    }
}

impl Engine for Postgres {
    fn begin(&self) -> Result<(), Error> {
        if self.is_closed() {
            return Err(Error::Postgres { message: "the connection is closed".into(), code: None, disconnected: true });
        }
        self.begin.set(Some(Begin::Write));
        Ok(())
    }

    fn rollback(&self) {
        if self.begin.take().is_none()
            && let Err(error) = self.batch("ROLLBACK")
            && !error.is_disconnected()
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn commit(&self, group: &Group) -> Result<Option<Position>, Failed> {
        if !group.log.borrow().is_empty() {
            return self.commit_logged(group).map(Some);
        }
        // Without BEGIN nothing was sent at all.
        if self.begin.take().is_none() {
            judge(self.batch("COMMIT").map(|()| Answer::Done))?;
        }
        Ok(None)
    }

    fn fault(&self) -> Option<Error> {
        self.fault.take()
    }

    fn repair(&self) -> Result<bool, Error> {
        if !self.is_closed() {
            return Ok(false);
        }
        let link = Link::connect(&self.config, &self.world)?;
        self.statements.borrow_mut().clear();
        self.begin.take();
        *self.link.borrow_mut() = link;
        self.greet()?;
        Ok(true)
    }
}
