//! `POST /_matrix/client/v3/rooms/{roomId}/invite`
//!
//! Invites a user by their Matrix id. Invitations by address are not offered.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite>

use axum::{Router, extract::State as Extract, routing::post};
use roost_matrix::error::ErrCode;
use ruma::api::client::membership::invite_user::v3::{InvitationRecipient, Request, Response};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/invite", post(invite))
}

/// There is no identity server that this server would ask.
pub(super) fn no_addresses() -> Error {
    Error::bad_request(ErrCode::ServerNotTrusted, "This server does not invite by mail address or telephone number")
}

async fn invite(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<Request>,
) -> Result<Ruma<Response>, Error> {
    let InvitationRecipient::UserId(target) = &request.recipient else { return Err(no_addresses()) };
    state.limits.invitations(caller.user_id.as_str(), 1)?;
    let profile = state.rooms.profile(&target.user_id).await?;
    state.rooms.invite(&request.room_id, &caller.user_id, &target.user_id, &profile, target.reason.as_deref()).await?;
    Ok(Ruma(Response::new()))
}
