//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`
//!
//! What a room looks like from outside, for those who could get in.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>

use axum::{Json, Router, extract::State as Extract, routing::get};
use ruma::OwnedRoomOrAliasId;
use serde_json::Value;

use crate::{Caller, Error, PathArgs, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client_v1("/room_summary/{room_id_or_alias}", get(summary))
}

async fn summary(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(named): PathArgs<OwnedRoomOrAliasId>,
) -> Result<Json<Value>, Error> {
    let room_id = super::room_id(&state, &named).await?;
    let summary = state.rooms.room_summary(&room_id, &caller.user_id).await?;
    Ok(Json(serde_json::to_value(summary).map_err(Error::internal)?))
}
