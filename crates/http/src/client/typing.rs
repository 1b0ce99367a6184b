//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`
//!
//! Tells a room that the caller is typing, or has stopped.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#typing-notifications>

use std::time::Duration;

use axum::{Json, Router, extract::State as Extract, routing::put};
use roost_users::DEFAULT_TYPING_TIMEOUT;
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account_data::check_own;
use crate::{Caller, Error, JsonBytes, PathArgs, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/typing/{user_id}", put(typing))
}

#[derive(Deserialize)]
struct Notice {
    typing: bool,
    timeout: Option<u64>,
}

async fn typing(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, user_id)): PathArgs<(OwnedRoomId, OwnedUserId)>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    let notice: Notice = serde_json::from_slice(&body)
        .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))?;
    let timeout = notice.timeout.map_or(DEFAULT_TYPING_TIMEOUT, Duration::from_millis);
    state.users.set_typing(caller.user_no, &user_id, &room_id, notice.typing.then_some(timeout)).await?;
    Ok(Json(json!({})))
}
