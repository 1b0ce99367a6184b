//! A look behind a room, for those who run the server: its graph, its state, what is missing of it, what it takes.

use std::{collections::HashSet, sync::Arc};

use roost_matrix::ids::{EventId, RoomId};
use roost_store::{
    Read,
    events::{self, Place, Standing},
    missing_events, rooms, state_resets, timeline, usage,
};
use serde_json::{Map, Value, json};

use crate::{Error, OUTSIDE, Room, Rooms, Stored};

/// How far around an event its neighbourhood reaches, in steps back, and in places ahead.
const BACK: usize = 3;
const AHEAD: i64 = 300;
/// Entries of a list that are told at most.
const TOLD: usize = 200;

impl Rooms {
    /// What there is to know about a room, and about one of its events, as a JSON object:
    ///
    /// * `room_id`, `version`, `revision`, `joined`, `invited`, `partial`, `published`, `appender_open`;
    /// * `history`: the `first` and the `last` place;
    /// * `tips`: the forward extremities, as events are below, with `age_ms`;
    /// * `missing`: edges into the unknown (`event_id`, `cited_by`, `place`, `tries`, `next_try`; `null` when nobody looks for it any more);
    /// * `unshown`: soft-failed and rejected events with `standing`, `origin`, `received_at` and `reason`;
    /// * `state_resets`: `at` and the `evidence`;
    /// * `usage`: `table`, `rows`, `bytes`;
    /// * with an event, `event`: what it is, with the events `before` it (some steps back) and `after` it, what it cites in `auth_events`, where
    ///   it came from, and the `state` before it (`type`, `state_key`, `event_id`).
    ///
    /// Times are milliseconds since the epoch. Of long lists the first two hundred entries are told.
    pub async fn inspect(&self, room: &RoomId, event: Option<&EventId>) -> Result<Value, Error> {
        let room = self.room(room).await?;
        let (rooms, event) = (self.clone(), event.map(ToOwned::to_owned));
        self.0
            .store
            .read(move |read| {
                let mut told = rooms.inspect_room(read, &room)?;
                if let Some(event) = event {
                    told.insert("event".to_owned(), rooms.inspect_event(read, &room, &event)?);
                }
                Ok(Value::Object(told))
            })
            .await
    }

    fn inspect_room(&self, read: &Read<'_>, room: &Room) -> Result<Map<String, Value>, Error> {
        let row = rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?;
        let now = i64::try_from(self.0.world.now_ms()).unwrap_or(i64::MAX);
        let mut tips = Vec::new();
        for tip in self.stored(read, room, &row.head.tips)? {
            let mut told = describe(&tip, None);
            let age = now.saturating_sub(i64::try_from(tip.pdu.origin_server_ts()).unwrap_or(i64::MAX));
            told.insert("age_ms".to_owned(), age.into());
            tips.push(Value::Object(told));
        }
        let all = missing_events::all(read, room.no)?;
        let citing: Vec<_> = all.iter().take(TOLD).map(|missing| missing.cited_by).collect();
        let citing = self.stored_map(read, room, &citing)?;
        let missing: Vec<_> = all
            .iter()
            .take(TOLD)
            .map(|missing| {
                json!({
                    "event_id": missing.event_id,
                    "cited_by": citing.get(&missing.cited_by).map(|stored| stored.pdu.event_id().as_str()),
                    "place": missing.idx,
                    "tries": missing.tries,
                    "next_try": (missing.next_try < i64::MAX).then_some(missing.next_try),
                })
            })
            .collect();
        let limit = i64::try_from(TOLD).unwrap_or(i64::MAX);
        let unshown: Vec<_> = usage::unshown(read, room.no, limit)?
            .into_iter()
            .map(|event| {
                let (origin, received_at, reason) = match event.origin {
                    Some((origin, at, reason)) => (Some(origin), Some(at), reason),
                    None => (None, None, None),
                };
                json!({
                    "event_id": event.event_id, "standing": word(event.standing),
                    "origin": origin, "received_at": received_at, "reason": reason,
                })
            })
            .collect();
        let resets: Vec<_> = state_resets::of_room(read, room.no)?
            .into_iter()
            .map(|(at, evidence)| {
                let evidence = serde_json::from_str(&evidence).unwrap_or(Value::String(evidence));
                json!({ "at": at, "evidence": evidence })
            })
            .collect();
        let usage: Vec<_> = usage::of_room(read, room.no)?
            .into_iter()
            .map(|usage| json!({ "table": usage.table, "rows": usage.rows, "bytes": usage.bytes }))
            .collect();
        let told = json!({
            "room_id": row.room_id,
            "version": row.version,
            "revision": row.revision,
            "joined": row.head.joined,
            "invited": row.head.invited,
            "partial": row.head.partial,
            "published": row.published,
            "appender_open": self.0.doors.is_open(room.no),
            "history": { "first": timeline::first(read, room.no)?, "last": row.head.idx },
            "tips": tips,
            "missing": missing,
            "missing_count": all.len(),
            "unshown": unshown,
            "state_resets": resets,
            "usage": usage,
        });
        match told {
            Value::Object(told) => Ok(told),
            _ => Ok(Map::new()),
        }
    }

    fn inspect_event(&self, read: &Read<'_>, room: &Room, event: &EventId) -> Result<Value, Error> {
        let found = self.known(read, room, std::iter::once(event))?.pop();
        let (stored, place) = found.ok_or(Error::NotFound("Event"))?;
        let mut told = describe(&stored, Some(&place));
        let origin = events::origin(read, stored.no)?.map(
            |origin| json!({ "server": origin.origin, "received_at": origin.received_at, "reason": origin.reason }),
        );
        told.insert("origin".to_owned(), origin.unwrap_or(Value::Null));
        told.insert("redacted".to_owned(), (!events::redactions(read, &[stored.no])?.is_empty()).into());
        told.insert("before".to_owned(), self.back(read, room, &stored)?);
        told.insert("after".to_owned(), self.ahead(read, room, &stored)?);
        let auth: Vec<_> = self.known(read, room, stored.pdu.auth_events().iter().map(|id| &**id))?;
        let auth = auth.iter().map(|(stored, place)| Value::Object(describe(stored, Some(place)))).collect();
        told.insert("auth_events".to_owned(), Value::Array(auth));
        let state = match place.before {
            Some(before) => {
                let mut state = self.events_of(read, room, before)?;
                state.sort_by(|a, b| (a.pdu.kind(), a.pdu.state_key()).cmp(&(b.pdu.kind(), b.pdu.state_key())));
                let entry = |event: &Arc<Stored>| {
                    let (kind, key) = (event.pdu.kind(), event.pdu.state_key());
                    json!({ "type": kind, "state_key": key, "event_id": event.pdu.event_id().as_str() })
                };
                state.iter().map(entry).collect()
            }
            None => Value::Null,
        };
        told.insert("state".to_owned(), state);
        Ok(Value::Object(told))
    }

    /// What an event follows, some steps back.
    fn back(&self, read: &Read<'_>, room: &Room, stored: &Stored) -> Result<Value, Error> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut open = stored.pdu.prev_events().to_vec();
        for _ in 0..BACK {
            open.retain(|id| seen.insert(id.clone()));
            let known = self.known(read, room, open.iter().map(|id| &**id))?;
            for id in &open {
                match known.iter().find(|(stored, _)| stored.pdu.event_id() == &**id) {
                    Some((stored, place)) => found.push(Value::Object(describe(stored, Some(place)))),
                    None => found.push(json!({ "event_id": id.as_str(), "standing": "missing" })),
                }
            }
            open = known.iter().flat_map(|(stored, _)| stored.pdu.prev_events().to_vec()).collect();
            if open.is_empty() || found.len() > TOLD {
                break;
            }
        }
        found.truncate(TOLD);
        Ok(Value::Array(found))
    }

    /// What follows an event, among the next places of the history.
    fn ahead(&self, read: &Read<'_>, room: &Room, stored: &Stored) -> Result<Value, Error> {
        if stored.idx == OUTSIDE {
            return Ok(Value::Array(Vec::new()));
        }
        let entries = timeline::forwards(read, room.no, stored.idx, i64::MAX, AHEAD)?;
        let nos: Vec<_> = entries.iter().map(|entry| entry.event).collect();
        let later = self.stored(read, room, &nos)?;
        let follows = |event: &&Arc<Stored>| event.pdu.prev_events().iter().any(|id| &**id == stored.pdu.event_id());
        Ok(later.iter().filter(follows).map(|event| Value::Object(describe(event, None))).collect())
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Accepted => "accepted",
        Standing::Outlier => "outlier",
        Standing::SoftFailed => "soft-failed",
        Standing::Rejected => "rejected",
        Standing::RejectedOutlier => "rejected outlier",
    }
}

fn describe(stored: &Stored, place: Option<&Place>) -> Map<String, Value> {
    let pdu = &stored.pdu;
    let idx = place.map_or(Some(stored.idx).filter(|idx| *idx != OUTSIDE), |place| place.idx);
    let told = json!({
        "event_id": pdu.event_id().as_str(),
        "type": pdu.kind(),
        "state_key": pdu.state_key(),
        "sender": pdu.sender().as_str(),
        "depth": pdu.depth(),
        "origin_server_ts": pdu.origin_server_ts(),
        "place": idx,
        "standing": word(place.map_or(stored.standing, |place| place.standing)),
        "prev_events": pdu.prev_events().iter().map(|id| id.as_str()).collect::<Vec<_>>(),
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
