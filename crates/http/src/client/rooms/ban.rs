//! `POST /_matrix/client/v3/rooms/{roomId}/ban`, `POST /_matrix/client/v3/rooms/{roomId}/unban`
//!
//! Bans a user from a room; lifts a ban.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#banning-users-in-a-room>

use axum::{Router, extract::State as Extract, routing::post};
use ruma::api::client::membership::{ban_user, unban_user};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/ban", post(ban)).client("/rooms/{room_id}/unban", post(unban))
}

async fn ban(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<ban_user::v3::Request>,
) -> Result<Ruma<ban_user::v3::Response>, Error> {
    state.rooms.ban(&request.room_id, &caller.user_id, &request.user_id, request.reason.as_deref()).await?;
    Ok(Ruma(ban_user::v3::Response::new()))
}

async fn unban(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<unban_user::v3::Request>,
) -> Result<Ruma<unban_user::v3::Response>, Error> {
    state.rooms.unban(&request.room_id, &caller.user_id, &request.user_id, request.reason.as_deref()).await?;
    Ok(Ruma(unban_user::v3::Response::new()))
}
