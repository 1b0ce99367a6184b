//! Transaction ids of sent events.

use crate::{Error, EventNo, Read, RoomNo, Tx, UserNo, params, statements, values};

/// A transaction id, in the scope that makes it unique within a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionKey {
    /// Who sent it.
    pub user: UserNo,
    /// From which device.
    pub device: String,
    /// The endpoint with its path parameters other than the room and the transaction id.
    pub endpoint: String,
    /// The id.
    pub txn_id: String,
}

statements! {
    FIND = "SELECT user_no, device, endpoint, txn_id, event_no FROM transactions WHERE room_no = $1 AND txn_id IN texts($2)";
    OF_EVENTS = "SELECT event_no, txn_id FROM transactions WHERE event_no IN ints($1) AND user_no = $2 AND device = $3";
    INSERT = "INSERT INTO transactions (room_no, txn_id, user_no, device, endpoint, event_no) VALUES ($1, $2, $3, $4, $5, $6)";
}

/// What was sent into the room under any of these transaction ids, by whomever.
pub fn find(read: &Read<'_>, room: RoomNo, txn_ids: &[&str]) -> Result<Vec<(TransactionKey, EventNo)>, Error> {
    read.all(FIND, params![room, txn_ids], |row| {
        Ok((
            TransactionKey { user: row.get(0)?, device: row.get(1)?, endpoint: row.get(2)?, txn_id: row.get(3)? },
            row.get(4)?,
        ))
    })
}

/// The transaction ids under which a device has sent these events.
pub fn of_events(
    read: &Read<'_>,
    events: &[EventNo],
    user: UserNo,
    device: &str,
) -> Result<Vec<(EventNo, String)>, Error> {
    read.all(OF_EVENTS, params![events, user, device], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Remembers what was sent.
pub fn insert(tx: &Tx<'_>, room: RoomNo, sent: &[(&TransactionKey, EventNo)]) -> Result<(), Error> {
    let rows: Vec<_> = sent
        .iter()
        .map(|(key, event)| {
            values![room, key.txn_id.as_str(), key.user, key.device.as_str(), key.endpoint.as_str(), event]
        })
        .collect();
    tx.execute_many(INSERT, &rows)?;
    Ok(())
}
