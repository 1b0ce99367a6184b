//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`
//!
//! The event nearest to a moment.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event>

use axum::{Json, Router, extract::State as Extract, routing::get};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::messages::Dir;
use crate::{Caller, Error, PathArgs, QueryArgs, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client_v1("/rooms/{room_id}/timestamp_to_event", get(nearest))
}

#[derive(Deserialize)]
struct Query {
    ts: u64,
    dir: Dir,
}

async fn nearest(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json<Value>, Error> {
    let (event_id, timestamp) = state.rooms.event_at(&room_id, &caller.user_id, query.ts, query.dir.into()).await?;
    Ok(Json(json!({ "event_id": event_id, "origin_server_ts": timestamp })))
}
