//! `POST /_matrix/client/v3/rooms/{roomId}/kick`
//!
//! Removes a user who is in the room, is invited to it, or knocks.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidkick>

use axum::{Router, extract::State as Extract, routing::post};
use ruma::api::client::membership::kick_user::v3::{Request, Response};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/kick", post(kick))
}

async fn kick(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<Request>,
) -> Result<Ruma<Response>, Error> {
    state.rooms.kick(&request.room_id, &caller.user_id, &request.user_id, request.reason.as_deref()).await?;
    Ok(Ruma(Response::new()))
}
