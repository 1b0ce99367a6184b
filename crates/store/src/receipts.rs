//! Receipts: how far users have read, the latest of each user, room, kind and thread.

use std::collections::HashMap;

use ruma::{OwnedEventId, OwnedUserId};

use crate::{Change, Error, Position, Read, RoomNo, Row, Tx, UserNo, params, statements};

statements! {
    OF_ROOMS = "SELECT r.room_no, r.user_no, u.user_id, r.private, r.thread, r.event_id, r.ts \
        FROM receipts r JOIN users_no u ON u.user_no = r.user_no \
        WHERE r.room_no IN ints($1) AND r.position > $2 AND r.position <= $3 AND (r.user_no = $4 OR NOT r.private) \
        ORDER BY r.room_no, r.event_id, r.user_no";
    OF_USER = "SELECT r.room_no, r.user_no, u.user_id, r.private, r.thread, r.event_id, r.ts \
        FROM receipts r JOIN users_no u ON u.user_no = r.user_no WHERE r.room_no = $1 AND r.user_no = $2 ORDER BY r.thread";
    LAST_POSITIONS = "SELECT value, (SELECT MAX(position) FROM receipts WHERE room_no = value) FROM ints($1)";
    SET = "INSERT INTO receipts (room_no, user_no, private, thread, event_id, ts, position) \
        VALUES ($1, $2, $3, $4, $5, $6, position($7)) \
        ON CONFLICT (room_no, user_no, private, thread) \
        DO UPDATE SET event_id = excluded.event_id, ts = excluded.ts, position = excluded.position";
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// In which room.
    pub room: RoomNo,
    /// Whose.
    pub user: UserNo,
    /// The id of that user.
    pub user_id: OwnedUserId,
    /// `m.read.private` (only its owner may see it) or `m.read`.
    pub private: bool,
    /// `main`, or the event id of a thread's root; `None` for the whole room.
    pub thread: Option<String>,
    /// Up to which event they have read.
    pub event_id: OwnedEventId,
    /// When they did, in milliseconds since the epoch.
    pub ts: u64,
}

impl Receipt {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        let thread: String = row.get(4)?;
        Ok(Self {
            room: row.get(0)?,
            user: row.get(1)?,
            user_id: row.get(2)?,
            private: row.get(3)?,
            thread: (!thread.is_empty()).then_some(thread),
            event_id: row.get(5)?,
            ts: row.get(6)?,
        })
    }

    /// The receipt type as the specification has it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.private { "m.read.private" } else { "m.read" }
    }
}

/// The receipts in `rooms` that were set after `after` and not after `up_to` and that `reader` may see, by room, then event.
pub fn of_rooms(
    read: &Read<'_>,
    rooms: &[RoomNo],
    reader: UserNo,
    after: Position,
    up_to: Position,
) -> Result<Vec<Receipt>, Error> {
    read.all(OF_ROOMS, params![rooms, after, up_to, reader], Receipt::from_row)
}

/// The receipts of one user in one room.
pub fn of_user(read: &Read<'_>, room: RoomNo, user: UserNo) -> Result<Vec<Receipt>, Error> {
    read.all(OF_USER, params![room, user], Receipt::from_row)
}

/// A receipt to be.
#[derive(Clone, Copy, Debug)]
pub struct NewReceipt<'a> {
    /// In which room.
    pub room: RoomNo,
    /// Whose.
    pub user: UserNo,
    /// Whether only its owner may see it.
    pub private: bool,
    /// `main`, or the event id of a thread's root; `None` for the whole room.
    pub thread: Option<&'a str>,
    /// Up to which event they have read.
    pub event_id: &'a str,
}

/// Sets a receipt in place of the one before.
pub fn set(tx: &Tx<'_>, new: &NewReceipt<'_>, now_ms: u64) {
    let slot = tx.log(Change::Receipt { room: new.room, user: new.user, private: new.private });
    let thread = new.thread.unwrap_or_default();
    tx.at_position(slot, SET, params![new.room, new.user, new.private, thread, new.event_id, now_ms]);
}

/// The position of the last receipt of each room.
pub fn last_positions(read: &Read<'_>, rooms: &[RoomNo]) -> Result<HashMap<RoomNo, Position>, Error> {
    let found = read.all(LAST_POSITIONS, params![rooms], |row| {
        Ok((row.get(0)?, row.get::<Option<Position>>(1)?.unwrap_or(Position::START)))
    })?;
    Ok(found.into_iter().collect())
}
