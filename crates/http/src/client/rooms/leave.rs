//! `POST /_matrix/client/v3/rooms/{roomId}/leave`, `POST /_matrix/client/v3/rooms/{roomId}/forget`
//!
//! Leaves a room, declines an invitation or takes back a knock; and forgets a room that was left.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms>

use axum::{Router, extract::State as Extract, routing::post};
use ruma::api::client::membership::{forget_room, leave_room};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/leave", post(leave)).client("/rooms/{room_id}/forget", post(forget))
}

async fn leave(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<leave_room::v3::Request>,
) -> Result<Ruma<leave_room::v3::Response>, Error> {
    state.rooms.leave(&request.room_id, &caller.user_id, request.reason.as_deref()).await?;
    Ok(Ruma(leave_room::v3::Response::new()))
}

async fn forget(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<forget_room::v3::Request>,
) -> Result<Ruma<forget_room::v3::Response>, Error> {
    state.rooms.forget(&request.room_id, &caller.user_id).await?;
    Ok(Ruma(forget_room::v3::Response::new()))
}
