//! `GET /_matrix/client/v3/rooms/{roomId}/aliases`
//!
//! The aliases that this server has for a room.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases>

use axum::{Json, Router, extract::State as Extract, routing::get};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{Caller, Error, PathArgs, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/aliases", get(aliases))
}

async fn aliases(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "aliases": state.rooms.aliases(&room_id, &caller.user_id).await? })))
}
