//! `POST /_matrix/client/v3/rooms/{roomId}/join`, `POST /_matrix/client/v3/join/{roomIdOrAlias}`
//!
//! Joins a room. Who is in it already gets the same answer, and nothing changes.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#joining-rooms>

use axum::{Router, extract::State as Extract, routing::post};
use ruma::{
    OwnedRoomId, OwnedServerName,
    api::client::membership::{join_room_by_id, join_room_by_id_or_alias},
};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/join", post(by_id)).client("/join/{room_id_or_alias}", post(by_id_or_alias))
}

async fn join(
    state: &State,
    caller: &Caller,
    room: &OwnedRoomId,
    reason: Option<&str>,
    via: &[OwnedServerName],
) -> Result<(), Error> {
    let profile = state.rooms.profile(&caller.user_id).await?;
    if state.settings.federation && !state.rooms.is_resident(room).await? {
        // Nobody of this server is in it: only others can let them in. Before version 12 the room's id names one of them.
        let mut servers = via.to_vec();
        servers.extend(room.server_name().map(ToOwned::to_owned));
        servers.dedup();
        servers.retain(|server| *server != state.settings.server_name);
        if !servers.is_empty() {
            state.exchange.join(room, &caller.user_id, &profile, reason, &servers).await?;
            super::follow_upgrade(state, caller, room).await;
            return Ok(());
        }
    }
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
    join(&state, &caller, &request.room_id, request.reason.as_deref(), &[]).await?;
    Ok(Ruma(join_room_by_id::v3::Response::new(request.room_id)))
}

async fn by_id_or_alias(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<join_room_by_id_or_alias::v3::Request>,
) -> Result<Ruma<join_room_by_id_or_alias::v3::Response>, Error> {
    let (room_id, mut servers) = super::room_id_and_servers(&state, &request.room_id_or_alias).await?;
    servers.splice(0..0, request.via);
    join(&state, &caller, &room_id, request.reason.as_deref(), &servers).await?;
    Ok(Ruma(join_room_by_id_or_alias::v3::Response::new(room_id)))
}
