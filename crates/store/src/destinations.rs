//! Other servers, and what they are still to be sent.

use crate::{Error, EventNo, Position, Read, Row, Tx, params, statements, values};

/// How a server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its name.
    pub server: String,
    /// How often it has failed in a row.
    pub failures: i64,
    /// When to try again, in milliseconds since the epoch.
    pub next_try: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it last took something, in milliseconds since the epoch.
    pub last_success: Option<i64>,
    /// The transaction that is under way.
    pub open: Option<Open>,
}

/// A transaction as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its id.
    pub transaction_id: String,
    /// Its body.
    pub body: Vec<u8>,
    /// Everything up to here is in it.
    pub upto: Position,
}

statements! {
    ONE = "SELECT server, failures, next_try, last_error, last_success, transaction_id, body, upto FROM destinations WHERE server = $1";
    ALL = "SELECT server, failures, next_try, last_error, last_success, transaction_id, body, upto FROM destinations ORDER BY server";
    WAITING = "SELECT server, count(*) FROM outgoing_events GROUP BY server ORDER BY server";
    FIRST = "INSERT INTO destinations (server, failures, next_try) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING";
    PUSH = "INSERT INTO outgoing_events (server, position, event_no) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    NEXT = "SELECT position, event_no FROM outgoing_events WHERE server = $1 ORDER BY position LIMIT $2";
    OPEN = "UPDATE destinations SET transaction_id = $2, body = $3, upto = $4 WHERE server = $1 AND transaction_id IS NULL";
    SENT = "UPDATE destinations SET transaction_id = NULL, body = NULL, upto = NULL, failures = 0, next_try = 0, last_error = NULL, last_success = $3
            WHERE server = $1 AND transaction_id = $2";
    DROP_SENT = "DELETE FROM outgoing_events WHERE server = $1 AND position <= $2";
    FAILED = "UPDATE destinations SET failures = failures + 1, next_try = $2, last_error = $3 WHERE server = $1";
    HEARD = "UPDATE destinations SET failures = 0, next_try = 0 WHERE server = $1 AND failures > 0";
    OLDEST = "DELETE FROM outgoing_events WHERE server = $1 AND position NOT IN
              (SELECT position FROM outgoing_events WHERE server = $1 ORDER BY position DESC LIMIT $2)";
}

fn destination(row: &Row<'_>) -> Result<Destination, Error> {
    let open = match (row.get::<Option<String>>(5)?, row.get::<Option<Position>>(7)?) {
        (Some(transaction_id), Some(upto)) => Some(Open { transaction_id, body: row.bytes(6)?.to_vec(), upto }),
        _ => None,
    };
    Ok(Destination {
        server: row.get(0)?,
        failures: row.get(1)?,
        next_try: row.get(2)?,
        last_error: row.get(3)?,
        last_success: row.get(4)?,
        open,
    })
}

/// One server.
pub fn one(read: &Read<'_>, server: &str) -> Result<Option<Destination>, Error> {
    read.one(ONE, params![server], destination)
}

/// All of them, by name.
pub fn all(read: &Read<'_>) -> Result<Vec<Destination>, Error> {
    read.all(ALL, params![], destination)
}

/// How many events wait for which server.
pub fn waiting(read: &Read<'_>) -> Result<Vec<(String, i64)>, Error> {
    read.all(WAITING, params![], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Has events sent to servers: (server, position, event). What waits already does not wait twice.
pub fn push(tx: &Tx<'_>, events: &[(&str, Position, EventNo)]) -> Result<(), Error> {
    let rows: Vec<_> = events.iter().map(|(server, _, _)| values![*server]).collect();
    tx.execute_many(FIRST, &rows)?;
    let rows: Vec<_> = events.iter().map(|(server, position, event)| values![*server, *position, *event]).collect();
    tx.execute_many(PUSH, &rows)?;
    Ok(())
}

/// The next events for a server.
pub fn next(read: &Read<'_>, server: &str, limit: i64) -> Result<Vec<(Position, EventNo)>, Error> {
    read.all(NEXT, params![server, limit], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Keeps a transaction as it is about to be sent; `false` when there is one under way.
pub fn open(tx: &Tx<'_>, server: &str, open: &Open) -> Result<bool, Error> {
    Ok(tx.execute(OPEN, params![server, open.transaction_id.as_str(), open.body.as_slice(), open.upto])? == 1)
}

/// The server has taken the transaction: what it had does not wait any more. `false` when another node was faster.
pub fn sent(tx: &Tx<'_>, server: &str, open: &Open, now: i64) -> Result<bool, Error> {
    if tx.execute(SENT, params![server, open.transaction_id.as_str(), now])? == 0 {
        return Ok(false);
    }
    tx.execute(DROP_SENT, params![server, open.upto])?;
    Ok(true)
}

/// The server has not taken it. Of what waits, the newest `keep` stay: who was away for long finds its own way back from those.
pub fn failed(tx: &Tx<'_>, server: &str, next_try: i64, error: &str, keep: i64) -> Result<(), Error> {
    tx.execute(FAILED, params![server, next_try, error])?;
    tx.execute(OLDEST, params![server, keep])?;
    Ok(())
}

/// The server was heard from: it need not be waited for. Whether it had been.
pub fn heard(tx: &Tx<'_>, server: &str) -> Result<bool, Error> {
    Ok(tx.execute(HEARD, params![server])? == 1)
}
