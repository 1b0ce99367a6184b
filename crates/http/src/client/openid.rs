//! `POST /_matrix/client/v3/user/{userId}/openid/request_token`
//!
//! Gives users a token with which they prove to others who they are.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#openid>

use axum::{Json, Router, extract::State as Extract, routing::post};
use roost_users::OPENID_TOKEN_LIFETIME;
use ruma::OwnedUserId;
use serde_json::{Value, json};

use super::account_data::check_own;
use crate::{Caller, Error, JsonBytes, PathArgs, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new().client("/user/{user_id}/openid/request_token", post(request_token))
}

async fn request_token(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(user_id): PathArgs<OwnedUserId>,
    JsonBytes(_): JsonBytes,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    let token = state.users.new_openid_token(caller.user_no).await?;
    Ok(Json(json!({
        "access_token": token,
        "token_type": "Bearer",
        "matrix_server_name": state.users.server_name(),
        "expires_in": OPENID_TOKEN_LIFETIME.as_secs(),
    })))
}
