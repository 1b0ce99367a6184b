//! What a room takes on the disk.

use crate::{Error, Read, RoomNo, params, statements};

statements! {
    EVENTS = "SELECT count(*), CAST(coalesce(sum(length(e.json)), 0) AS BIGINT) FROM timeline t JOIN events e ON e.event_no = t.event_no WHERE t.room_no = $1";
    OUTSIDE = "SELECT count(*), CAST(coalesce(sum(length(json)), 0) AS BIGINT) FROM events WHERE room_no = $1 AND idx IS NULL";
    BLOCKS = "SELECT count(*), CAST(coalesce(sum(length(body)), 0) AS BIGINT) FROM state_blocks WHERE room_no = $1";
    SNAPSHOTS = "SELECT count(*), CAST(coalesce(sum(length(changes) + 40), 0) AS BIGINT) FROM state_snapshots WHERE room_no = $1";
    STATE_CHANGES = "SELECT count(*), CAST(coalesce(sum(length(kind) + length(state_key) + 24), 0) AS BIGINT) FROM state_changes WHERE room_no = $1";
    CURRENT_STATE = "SELECT count(*), CAST(coalesce(sum(length(kind) + length(state_key) + 16), 0) AS BIGINT) FROM current_state WHERE room_no = $1";
    MEMBERSHIPS = "SELECT count(*), CAST(count(*) * 50 AS BIGINT) FROM memberships WHERE room_no = $1";
    AUTH_PLACES = "SELECT count(*), CAST(count(*) * 32 AS BIGINT) FROM auth_places WHERE room_no = $1";
    AUTH_LINKS = "SELECT count(*), CAST(count(*) * 24 AS BIGINT) FROM auth_links WHERE room_no = $1";
    RECEIPTS = "SELECT count(*), CAST(coalesce(sum(length(event_id) + length(thread) + 33), 0) AS BIGINT) FROM receipts WHERE room_no = $1";
    ACCOUNT_DATA = "SELECT count(*), CAST(coalesce(sum(length(kind) + length(content) + 24), 0) AS BIGINT) FROM account_data WHERE room_no = $1 AND room_no <> 0";
    STATE_RESETS = "SELECT count(*), CAST(coalesce(sum(length(evidence) + 24), 0) AS BIGINT) FROM state_resets WHERE room_no = $1";
    AUDITED = "SELECT e.event_id, e.standing, o.origin, o.received_at, o.reason FROM events e LEFT JOIN event_origins o ON o.event_no = e.event_no
               WHERE e.room_no = $1 AND e.idx IS NULL AND e.standing IN (2, 3, 4) ORDER BY e.event_no DESC LIMIT $2";
}

/// Rows of a room in one table, and what they take without the engine's own bookkeeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Which table.
    pub table: &'static str,
    /// Rows.
    pub rows: i64,
    /// Bytes, about.
    pub bytes: i64,
}

/// What a room takes, by table. It looks at every row of it.
pub fn of_room(read: &Read<'_>, room: RoomNo) -> Result<Vec<Usage>, Error> {
    let tables = [
        ("events with a place", EVENTS),
        ("events without a place", OUTSIDE),
        ("state_blocks", BLOCKS),
        ("state_snapshots", SNAPSHOTS),
        ("state_changes", STATE_CHANGES),
        ("current_state", CURRENT_STATE),
        ("memberships", MEMBERSHIPS),
        ("auth_places", AUTH_PLACES),
        ("auth_links", AUTH_LINKS),
        ("receipts", RECEIPTS),
        ("account_data", ACCOUNT_DATA),
        ("state_resets", STATE_RESETS),
    ];
    let mut found = Vec::with_capacity(tables.len());
    for (table, sql) in tables {
        found.extend(read.one(sql, params![room], |row| Ok(Usage { table, rows: row.get(0)?, bytes: row.get(1)? }))?);
    }
    Ok(found)
}

/// An event that clients are not shown, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unshown {
    /// Its id.
    pub event_id: String,
    /// How it stands.
    pub standing: crate::events::Standing,
    /// Which server sent it, when (in milliseconds since the epoch), and why it was not accepted.
    pub origin: Option<(String, i64, Option<String>)>,
}

/// Soft-failed and rejected events of a room, newest first.
pub fn unshown(read: &Read<'_>, room: RoomNo, limit: i64) -> Result<Vec<Unshown>, Error> {
    read.all(AUDITED, params![room, limit], |row| {
        let origin: Option<String> = row.get(2)?;
        let origin = match origin {
            Some(origin) => Some((origin, row.get(3)?, row.get(4)?)),
            None => None,
        };
        Ok(Unshown { event_id: row.get(0)?, standing: row.get(1)?, origin })
    })
}
