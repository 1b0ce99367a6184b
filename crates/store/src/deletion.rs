//! Deleting rooms: at once for whoever looks for them, and piece by piece on the disk.
//!
//! Every table with rows of rooms is named here. Whoever adds one adds it to the list.

use crate::{Change, Error, EventNo, Read, RoomNo, Tx, params, statements};

/// A room that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its number.
    pub room: RoomNo,
    /// Its id.
    pub room_id: String,
}

statements! {
    MARK = "INSERT INTO deletions (room_no, room_id, asked_at) SELECT room_no, room_id, $2 FROM rooms WHERE room_no = $1";
    ROOM = "DELETE FROM rooms WHERE room_no = $1";
    ALIASES = "DELETE FROM aliases WHERE room_no = $1";
    PENDING = "SELECT room_no, room_id FROM deletions ORDER BY asked_at, room_no LIMIT 100";
    IS_PENDING = "SELECT 1 FROM deletions WHERE room_id = $1";
    UNMARK = "DELETE FROM deletions WHERE room_no = $1";
    PLACED = "SELECT event_no, idx FROM timeline WHERE room_no = $1 ORDER BY idx LIMIT $2";
    OUTSIDE = "SELECT event_no FROM events WHERE room_no = $1 AND idx IS NULL ORDER BY event_no LIMIT $2";
    EVENTS = "DELETE FROM events WHERE event_no IN ints($1)";
    ORIGINS = "DELETE FROM event_origins WHERE event_no IN ints($1)";
    REDACTIONS = "DELETE FROM redactions WHERE event_no IN ints($1)";
    TIMELINE = "DELETE FROM timeline WHERE room_no = $1 AND idx IN ints($2)";
    STATE_CHANGES = "DELETE FROM state_changes WHERE room_no = $1 AND (kind, state_key, idx) IN
                     (SELECT kind, state_key, idx FROM state_changes WHERE room_no = $1 LIMIT $2)";
    CURRENT_STATE = "DELETE FROM current_state WHERE room_no = $1 AND (kind, state_key) IN
                     (SELECT kind, state_key FROM current_state WHERE room_no = $1 LIMIT $2)";
    MEMBERSHIPS = "DELETE FROM memberships WHERE room_no = $1 AND user_no IN (SELECT user_no FROM memberships WHERE room_no = $1 LIMIT $2)";
    SNAPSHOTS = "DELETE FROM state_snapshots WHERE room_no = $1 AND snapshot_no IN
                 (SELECT snapshot_no FROM state_snapshots WHERE room_no = $1 LIMIT $2)";
    BLOCKS = "DELETE FROM state_blocks WHERE room_no = $1 AND block_no IN (SELECT block_no FROM state_blocks WHERE room_no = $1 LIMIT $2)";
    AUTH_LINKS = "DELETE FROM auth_links WHERE room_no = $1 AND (target, origin) IN
                  (SELECT target, origin FROM auth_links WHERE room_no = $1 LIMIT $2)";
    AUTH_PLACES = "DELETE FROM auth_places WHERE room_no = $1 AND place IN (SELECT place FROM auth_places WHERE room_no = $1 LIMIT $2)";
    MISSING = "DELETE FROM missing_events WHERE room_no = $1 AND (event_id, cited_by) IN
               (SELECT event_id, cited_by FROM missing_events WHERE room_no = $1 LIMIT $2)";
    AWAITED = "DELETE FROM awaited_redactions WHERE room_no = $1 AND (event_id, redaction) IN
               (SELECT event_id, redaction FROM awaited_redactions WHERE room_no = $1 LIMIT $2)";
    TRANSACTIONS = "DELETE FROM transactions WHERE room_no = $1 AND (digest, event_no) IN
                    (SELECT digest, event_no FROM transactions WHERE room_no = $1 LIMIT $2)";
    RECEIPTS = "DELETE FROM receipts WHERE room_no = $1 AND (user_no, private, thread) IN
                (SELECT user_no, private, thread FROM receipts WHERE room_no = $1 LIMIT $2)";
    ACCOUNT_DATA = "DELETE FROM account_data WHERE room_no = $1 AND room_no <> 0 AND (user_no, kind) IN
                    (SELECT user_no, kind FROM account_data WHERE room_no = $1 AND room_no <> 0 LIMIT $2)";
    STATE_RESETS = "DELETE FROM state_resets WHERE room_no = $1 AND reset_no IN (SELECT reset_no FROM state_resets WHERE room_no = $1 LIMIT $2)";
}

/// What goes by itself, each a piece at a time. Snapshots before blocks: what is there of a snapshot is there whole.
const REST: [&str; 13] = [
    STATE_CHANGES,
    CURRENT_STATE,
    MEMBERSHIPS,
    SNAPSHOTS,
    BLOCKS,
    AUTH_LINKS,
    AUTH_PLACES,
    MISSING,
    AWAITED,
    TRANSACTIONS,
    RECEIPTS,
    ACCOUNT_DATA,
    STATE_RESETS,
];

/// Takes a room out of everybody's sight and marks it for deletion; `false` when there is no such room. Who was about to move its head
/// finds that it has none.
pub fn mark(tx: &Tx<'_>, room: RoomNo, now: i64) -> Result<bool, Error> {
    if tx.execute(MARK, params![room, now])? == 0 {
        return Ok(false);
    }
    tx.execute(ROOM, params![room])?;
    tx.execute(ALIASES, params![room])?;
    let _ = tx.log(Change::Removed { room, event: None });
    Ok(true)
}

/// Rooms that are being deleted, at most a hundred, those first that have waited for the longest.
pub fn pending(read: &Read<'_>) -> Result<Vec<Deletion>, Error> {
    read.all(PENDING, params![], |row| Ok(Deletion { room: row.get(0)?, room_id: row.get(1)? }))
}

/// Whether a room of that id is being deleted.
pub fn is_pending(read: &Read<'_>, room_id: &str) -> Result<bool, Error> {
    read.exists(IS_PENDING, params![room_id])
}

/// Deletes a piece of a marked room, about `limit` rows, and answers how many; with 0 nothing is left, the mark neither.
pub fn step(tx: &Tx<'_>, room: RoomNo, limit: i64) -> Result<u64, Error> {
    let mut places: Vec<i64> = Vec::new();
    let mut events: Vec<EventNo> = tx.all(PLACED, params![room, limit], |row| {
        places.push(row.get(1)?);
        row.get(0)
    })?;
    if events.is_empty() {
        events = tx.all(OUTSIDE, params![room, limit], |row| row.get(0))?;
    }
    if !events.is_empty() {
        let gone = tx.execute(TIMELINE, params![room, &places])?;
        let more = tx.execute(EVENTS, params![&events])?;
        tx.execute(ORIGINS, params![&events])?;
        tx.execute(REDACTIONS, params![&events])?;
        return Ok(gone + more);
    }
    for table in REST {
        let gone = tx.execute(table, params![room, limit])?;
        if gone > 0 {
            return Ok(gone);
        }
    }
    if tx.execute(UNMARK, params![room])? > 0 {
        // Once more: by now nobody reads from before.
        let _ = tx.log(Change::Removed { room, event: None });
    }
    Ok(0)
}
