//! `POST /_matrix/client/v3/rooms/{roomId}/join`, `POST /_matrix/client/v3/join/{roomIdOrAlias}`
//!
//! Joins a room. Who is in it already gets the same answer, and nothing changes.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#joining-rooms>

use axum::{Router, extract::State as Extract, routing::post};
use ruma::{
    OwnedRoomId,
    api::client::membership::{join_room_by_id, join_room_by_id_or_alias},
};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/join", post(by_id)).client("/join/{room_id_or_alias}", post(by_id_or_alias))
}

async fn join(state: &State, caller: &Caller, room: &OwnedRoomId, reason: Option<&str>) -> Result<(), Error> {
    let profile = state.rooms.profile(&caller.user_id).await?;
    let joined = state.rooms.join(room, &caller.user_id, &profile, reason).await?;
    if joined.position.is_some() {
        super::follow_upgrade(state, caller, room).await;
    }
    Ok(())
}

async fn by_id(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<join_room_by_id::v3::Request>,
) -> Result<Ruma<join_room_by_id::v3::Response>, Error> {
    join(&state, &caller, &request.room_id, request.reason.as_deref()).await?;
    Ok(Ruma(join_room_by_id::v3::Response::new(request.room_id)))
}

async fn by_id_or_alias(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<join_room_by_id_or_alias::v3::Request>,
) -> Result<Ruma<join_room_by_id_or_alias::v3::Response>, Error> {
    let room_id = super::room_id(&state, &request.room_id_or_alias).await?;
    join(&state, &caller, &room_id, request.reason.as_deref()).await?;
    Ok(Ruma(join_room_by_id_or_alias::v3::Response::new(room_id)))
}
