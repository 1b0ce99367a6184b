//! `POST /_matrix/client/v3/knock/{roomIdOrAlias}`
//!
//! Asks to be let into a room.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias>

use axum::{Router, extract::State as Extract, routing::post};
use ruma::api::client::knock::knock_room::v3::{Request, Response};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/knock/{room_id_or_alias}", post(knock))
}

async fn knock(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<Request>,
) -> Result<Ruma<Response>, Error> {
    let room_id = super::room_id(&state, &request.room_id_or_alias).await?;
    let profile = state.rooms.profile(&caller.user_id).await?;
    state.rooms.knock(&room_id, &caller.user_id, &profile, request.reason.as_deref()).await?;
    Ok(Ruma(Response::new(room_id)))
}
