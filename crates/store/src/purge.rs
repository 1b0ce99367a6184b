//! Purging history: events of the graph go, or become outliers, and what followed them follows something that is not here.
//!
//! Each write holds the room at the revision at which it was worked out, and leaves it sound.

use crate::{Change, Error, EventNo, Read, RoomNo, Tx, params, statements, values};

statements! {
    PLACED = "SELECT event_no, idx FROM timeline WHERE room_no = $1 AND idx < $2 ORDER BY idx LIMIT $3";
    ASIDE = "SELECT event_no FROM events WHERE room_no = $1 AND idx IS NULL AND standing IN (2, 3)
             AND event_no < (SELECT min(event_no) FROM timeline WHERE room_no = $1 AND idx >= $2) ORDER BY event_no LIMIT $3";
    OUTLIERS = "SELECT event_no FROM events WHERE room_no = $1 AND idx IS NULL AND standing IN (1, 4)";
    NAMED = "SELECT event_no FROM state_changes WHERE room_no = $1 AND event_no IS NOT NULL
             UNION SELECT event_no FROM current_state WHERE room_no = $1 UNION SELECT event_no FROM memberships WHERE room_no = $1";
    ADVANCE = "UPDATE rooms SET revision = revision + 1 WHERE room_no = $1 AND revision = $2";
    // Of rejected events it must stay known that they were.
    PUT_OUTSIDE = "UPDATE events SET idx = NULL, standing = CASE WHEN standing = 3 THEN 4 ELSE 1 END, before_no = NULL, after_no = NULL
                   WHERE event_no IN ints($1)";
    ANCHOR = "UPDATE events SET after_no = before_no WHERE event_no IN ints($1) AND after_no IS NULL AND before_no IS NOT NULL";
    UNPLACE = "DELETE FROM timeline WHERE room_no = $1 AND idx IN ints($2)";
    STAND_ASIDE = "UPDATE timeline SET aside = TRUE WHERE room_no = $1 AND idx IN ints($2) AND NOT aside";
    UNCITE = "DELETE FROM missing_events WHERE room_no = $1 AND cited_by IN ints($2)";
    // Nobody looks for what was purged of their own accord.
    MISS = "INSERT INTO missing_events (room_no, event_id, cited_by, idx, tries, next_try) VALUES ($1, $2, $3, $4, 0, 9223372036854775807)
            ON CONFLICT DO NOTHING";
    KEEP_REDACTIONS = "INSERT INTO awaited_redactions (room_no, event_id, redaction)
                       SELECT e.room_no, e.event_id, r.redaction FROM redactions r JOIN events e ON e.event_no = r.event_no
                       WHERE r.event_no IN ints($1) AND EXISTS (SELECT 1 FROM events o WHERE o.event_no = r.redaction)
                       ON CONFLICT DO NOTHING";
    UNAWAIT = "DELETE FROM awaited_redactions WHERE room_no = $1 AND redaction IN ints($2)";
    REDACTIONS = "DELETE FROM redactions WHERE event_no IN ints($1)";
    ORIGINS = "DELETE FROM event_origins WHERE event_no IN ints($1)";
    EVENTS = "DELETE FROM events WHERE event_no IN ints($1)";
    SUPERSEDED = "SELECT s.kind, s.state_key, s.idx FROM state_changes s WHERE s.room_no = $1 AND s.idx < $2
                  AND EXISTS (SELECT 1 FROM state_changes n WHERE n.room_no = s.room_no AND n.kind = s.kind AND n.state_key = s.state_key
                              AND n.idx > s.idx AND n.idx < $2)
                  AND NOT (s.kind = 'm.room.member' AND s.word = 'join'
                           AND NOT EXISTS (SELECT 1 FROM state_changes j WHERE j.room_no = s.room_no AND j.kind = s.kind AND j.state_key = s.state_key
                                           AND j.word = 'join' AND j.idx > s.idx AND j.idx < $2)) LIMIT $3";
    UNCHANGE = "DELETE FROM state_changes WHERE room_no = $1 AND kind = $2 AND state_key = $3 AND idx = $4";
    SENT = "SELECT t.digest, t.event_no FROM transactions t WHERE t.room_no = $1
            AND NOT EXISTS (SELECT 1 FROM events e WHERE e.event_no = t.event_no) LIMIT $2";
    UNSEND = "DELETE FROM transactions WHERE room_no = $1 AND digest = $2 AND event_no = $3";
}

/// Events with places before `before`, oldest first: (event, place).
pub fn placed(read: &Read<'_>, room: RoomNo, before: i64, limit: i64) -> Result<Vec<(EventNo, i64)>, Error> {
    read.all(PLACED, params![room, before, limit], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Rejected and soft-failed events of the graph that came before every event with a place from `from` on.
pub fn aside(read: &Read<'_>, room: RoomNo, from: i64, limit: i64) -> Result<Vec<EventNo>, Error> {
    read.all(ASIDE, params![room, from, limit], |row| row.get(0))
}

/// The outliers of a room.
pub fn outliers(read: &Read<'_>, room: RoomNo) -> Result<Vec<EventNo>, Error> {
    read.all(OUTLIERS, params![room], |row| row.get(0))
}

/// The events that the current state, its changes and the memberships of a room name.
pub fn named(read: &Read<'_>, room: RoomNo) -> Result<Vec<EventNo>, Error> {
    read.all(NAMED, params![room], |row| row.get(0))
}

/// Some events of the graph that go, and what that means for others.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// Events that are forgotten.
    pub forgotten: Vec<EventNo>,
    /// Events that others may need as state or to be authorised by: they become outliers.
    pub outside: Vec<EventNo>,
    /// The places of either.
    pub places: Vec<i64>,
    /// Edges that lead to them from what stays: (the id of the event that goes, the event that cites it, the place of that one).
    pub edges: Vec<(String, EventNo, Option<i64>)>,
    /// Places before the kept history that stay; who may see what stands there is judged by the state before it.
    pub lone: Vec<i64>,
}

/// Purges a piece; `false`, and nothing, when the room is no longer at `revision`.
pub fn purge(tx: &Tx<'_>, room: RoomNo, revision: i64, piece: &Piece) -> Result<bool, Error> {
    if tx.execute(ADVANCE, params![room, revision])? == 0 {
        return Ok(false);
    }
    let children: Vec<EventNo> = piece.edges.iter().map(|(_, child, _)| *child).collect();
    tx.execute(ANCHOR, params![&children])?;
    let edges: Vec<_> = piece.edges.iter().map(|(id, child, idx)| values![room, id.as_str(), *child, *idx]).collect();
    tx.execute_many(MISS, &edges)?;
    tx.execute(UNPLACE, params![room, &piece.places])?;
    tx.execute(STAND_ASIDE, params![room, &piece.lone])?;
    tx.execute(PUT_OUTSIDE, params![&piece.outside])?;
    tx.execute(UNCITE, params![room, &piece.outside])?;
    forget(tx, room, &piece.forgotten)?;
    let _ = tx.log(Change::Removed { room, event: None });
    Ok(true)
}

/// Forgets outliers; `false`, and nothing, when the room is no longer at `revision`.
pub fn forget_outliers(tx: &Tx<'_>, room: RoomNo, revision: i64, events: &[EventNo]) -> Result<bool, Error> {
    if tx.execute(ADVANCE, params![room, revision])? == 0 {
        return Ok(false);
    }
    forget(tx, room, events)?;
    let _ = tx.log(Change::Removed { room, event: None });
    Ok(true)
}

/// Should one that was redacted come back, it is redacted again, as long as its redaction is here.
fn forget(tx: &Tx<'_>, room: RoomNo, events: &[EventNo]) -> Result<(), Error> {
    tx.execute(KEEP_REDACTIONS, params![events])?;
    tx.execute(UNAWAIT, params![room, events])?;
    tx.execute(REDACTIONS, params![events])?;
    tx.execute(ORIGINS, params![events])?;
    tx.execute(UNCITE, params![room, events])?;
    tx.execute(EVENTS, params![events])?;
    Ok(())
}

/// A change of the current state: type, state key, place.
pub type ChangeKey = (String, String, i64);

/// Changes of the current state before a place that others, also before it, have overtaken; but not anybody's last joining, since
/// who was once in the room may see more of it than who never was.
pub fn superseded(read: &Read<'_>, room: RoomNo, before: i64, limit: i64) -> Result<Vec<ChangeKey>, Error> {
    read.all(SUPERSEDED, params![room, before, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

/// Forgets such changes.
pub fn forget_changes(tx: &Tx<'_>, room: RoomNo, changes: &[ChangeKey]) -> Result<(), Error> {
    let rows: Vec<_> =
        changes.iter().map(|(kind, state_key, idx)| values![room, kind.as_str(), state_key.as_str(), *idx]).collect();
    tx.execute_many(UNCHANGE, &rows)?;
    Ok(())
}

/// Transaction ids of events that are gone: (digest, event).
pub fn stale_transactions(read: &Read<'_>, room: RoomNo, limit: i64) -> Result<Vec<(i64, EventNo)>, Error> {
    read.all(SENT, params![room, limit], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Forgets them.
pub fn forget_transactions(tx: &Tx<'_>, room: RoomNo, sent: &[(i64, EventNo)]) -> Result<(), Error> {
    let rows: Vec<_> = sent.iter().map(|(digest, event)| values![room, *digest, *event]).collect();
    tx.execute_many(UNSEND, &rows)?;
    Ok(())
}
