//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`
//!
//! One event, if the caller may see it. One that they may not see looks like one that does not exist.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid>

use axum::{Router, extract::State as Extract, routing::get};
use ruma::{OwnedEventId, OwnedRoomId};

use super::splice::Json;
use crate::{Caller, Error, PathArgs, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/event/{event_id}", get(event))
}

async fn event(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, event_id)): PathArgs<(OwnedRoomId, OwnedEventId)>,
) -> Result<Json, Error> {
    let event = state.rooms.event(&room_id, &event_id, &caller.user_id, Some(&caller.device_id)).await?;
    Ok(Json(event.json))
}
