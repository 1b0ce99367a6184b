//! `GET`, `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`, and the same below `/user/{userId}/rooms/{roomId}`
//!
//! What clients keep here for their user, globally or per room.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-config>

use axum::{Json, Router, extract::State as Extract, routing::get};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json, value::RawValue};

use crate::{Caller, Error, PathArgs, RawJson, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/user/{user_id}/account_data/{type}", get(global).put(set_global))
        .client("/user/{user_id}/rooms/{room_id}/account_data/{type}", get(of_room).put(set_of_room))
}

/// Refuses what is another user's.
pub(crate) fn check_own(caller: &Caller, user_id: &UserId) -> Result<(), Error> {
    if caller.user_id == *user_id { Ok(()) } else { Err(Error::forbidden("This belongs to another user")) }
}

async fn read(state: &State, caller: &Caller, room: Option<&RoomId>, kind: &str) -> Result<Json<Box<RawValue>>, Error> {
    let content = match state.users.account_data(caller.user_no, room, kind).await? {
        Some(content) => content,
        // Everybody has push rules, whether or not they were ever changed.
        None if kind == "m.push_rules" && room.is_none() => roost_matrix::push::default_rules_json(&caller.user_id),
        None => return Err(Error::not_found("There is no account data of that type")),
    };
    RawValue::from_string(content).map(Json).map_err(Error::internal)
}

async fn global(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, kind)): PathArgs<(OwnedUserId, String)>,
) -> Result<Json<Box<RawValue>>, Error> {
    check_own(&caller, &user_id)?;
    read(&state, &caller, None, &kind).await
}

async fn set_global(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, kind)): PathArgs<(OwnedUserId, String)>,
    RawJson(content): RawJson,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    state.users.set_account_data(caller.user_no, None, &kind, content.get().to_owned()).await?;
    Ok(Json(json!({})))
}

async fn of_room(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, room_id, kind)): PathArgs<(OwnedUserId, OwnedRoomId, String)>,
) -> Result<Json<Box<RawValue>>, Error> {
    check_own(&caller, &user_id)?;
    read(&state, &caller, Some(&room_id), &kind).await
}

async fn set_of_room(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, room_id, kind)): PathArgs<(OwnedUserId, OwnedRoomId, String)>,
    RawJson(content): RawJson,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    state.users.set_account_data(caller.user_no, Some(&room_id), &kind, content.get().to_owned()).await?;
    Ok(Json(json!({})))
}
