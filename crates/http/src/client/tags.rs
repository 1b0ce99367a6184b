//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`, `PUT`, `DELETE …/tags/{tag}`
//!
//! The tags that the caller has put on a room.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>

use axum::{
    Json, Router,
    extract::State as Extract,
    routing::{get, put},
};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::account_data::check_own;
use crate::{Caller, Error, PathArgs, RawJson, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/user/{user_id}/rooms/{room_id}/tags", get(list))
        .client("/user/{user_id}/rooms/{room_id}/tags/{tag}", put(set).delete(delete))
}

async fn list(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, room_id)): PathArgs<(OwnedUserId, OwnedRoomId)>,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    let tags = state.users.tags(caller.user_no, &room_id).await?;
    Ok(Json(json!({ "tags": tags })))
}

/// What the specification knows of a tag.
#[derive(Deserialize)]
struct Info {
    #[expect(dead_code, reason = "read to see whether it is a number")]
    order: Option<Number>,
}

async fn set(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, room_id, tag)): PathArgs<(OwnedUserId, OwnedRoomId, String)>,
    RawJson(info): RawJson,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    serde_json::from_str::<Info>(info.get()).map_err(|_| Error::bad_json("order must be a number"))?;
    state.users.set_tag(caller.user_no, &room_id, &tag, info).await?;
    Ok(Json(json!({})))
}

async fn delete(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, room_id, tag)): PathArgs<(OwnedUserId, OwnedRoomId, String)>,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    state.users.delete_tag(caller.user_no, &room_id, &tag).await?;
    Ok(Json(json!({})))
}
