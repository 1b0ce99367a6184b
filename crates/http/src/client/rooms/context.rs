//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`
//!
//! An event with what is around it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid>

use axum::{Router, extract::State as Extract, routing::get};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;

use super::splice::{Json, Object};
use crate::{Caller, Error, PathArgs, QueryArgs, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/context/{event_id}", get(context))
}

#[derive(Deserialize)]
struct Query {
    limit: Option<u64>,
    filter: Option<String>,
}

async fn context(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, event_id)): PathArgs<(OwnedRoomId, OwnedEventId)>,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json, Error> {
    let filter = super::filter(query.filter.as_deref())?;
    let limit = super::limit(query.limit, &filter);
    let device = Some(&*caller.device_id);
    let found = state.rooms.context(&room_id, &event_id, &caller.user_id, device, limit, filter).await?;
    Ok(Object::new()
        .token("start", &found.start)
        .token("end", &found.end)
        .event("event", &found.event)
        .events("events_before", &found.before)
        .events("events_after", &found.after)
        .events("state", &found.state)
        .end())
}
