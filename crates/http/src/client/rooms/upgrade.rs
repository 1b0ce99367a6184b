//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`
//!
//! Replaces a room by one of another version.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade>

use axum::{Router, extract::State as Extract, routing::post};
use ruma::api::client::room::upgrade_room::v3::{Request, Response};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/upgrade", post(upgrade))
}

async fn upgrade(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<Request>,
) -> Result<Ruma<Response>, Error> {
    let profile = state.rooms.profile(&caller.user_id).await?;
    let version = request.new_version.as_str();
    let creators = &request.additional_creators;
    let room = state.rooms.upgrade(&request.room_id, &caller.user_id, &profile, version, creators).await?;
    super::follow_upgrade(&state, &caller, &room).await;
    Ok(Ruma(Response::new(room)))
}
