//! `GET`, `PUT`, `DELETE /_matrix/client/v3/directory/room/{roomAlias}`
//!
//! Looks up, makes and removes room aliases.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

use axum::{Json, Router, extract::State as Extract, routing::get};
use ruma::{OwnedRoomAliasId, api::client::alias::create_alias};
use serde_json::{Value, json};

use crate::{Args, Caller, Error, PathArgs, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/directory/room/{room_alias}", get(resolve).put(create).delete(delete))
}

async fn resolve(
    Extract(state): Extract<State>,
    PathArgs(alias): PathArgs<OwnedRoomAliasId>,
) -> Result<Json<Value>, Error> {
    let room_id = state.rooms.resolve(&alias).await?;
    let room_id = room_id.ok_or_else(|| Error::not_found(format!("The alias {alias} is not known")))?;
    Ok(Json(json!({ "room_id": room_id, "servers": [state.settings.server_name] })))
}

async fn create(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<create_alias::v3::Request>,
) -> Result<Ruma<create_alias::v3::Response>, Error> {
    state.rooms.create_alias(&request.room_alias, &request.room_id, &caller.user_id).await?;
    Ok(Ruma(create_alias::v3::Response::new()))
}

async fn delete(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(alias): PathArgs<OwnedRoomAliasId>,
) -> Result<Json<Value>, Error> {
    state.rooms.delete_alias(&alias, &caller.user_id).await?;
    Ok(Json(json!({})))
}
