//! `GET /_matrix/client/v3/profile/{userId}`, `GET`, `PUT`, `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`
//!
//! Profiles: everybody's to read, one's own to write.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use std::collections::BTreeMap;

use axum::{Json, Router, extract::State as Extract, routing::get};
use roost_users::Field;
use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json, value::RawValue};

use crate::{Caller, Error, PathArgs, RawJson, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/profile/{user_id}", get(whole))
        .client("/profile/{user_id}/{key_name}", get(field).put(set).delete(delete))
}

type Fields = BTreeMap<String, Box<RawValue>>;

async fn profile(state: &State, user_id: &UserId) -> Result<Fields, Error> {
    state.users.profile(user_id).await?.ok_or_else(|| Error::not_found("There is no profile of that user"))
}

async fn whole(
    Extract(state): Extract<State>,
    PathArgs(user_id): PathArgs<OwnedUserId>,
) -> Result<Json<Fields>, Error> {
    profile(&state, &user_id).await.map(Json)
}

async fn field(
    Extract(state): Extract<State>,
    PathArgs((user_id, key)): PathArgs<(OwnedUserId, String)>,
) -> Result<Json<Fields>, Error> {
    let mut fields = profile(&state, &user_id).await?;
    let value = fields.remove(&key).ok_or_else(|| Error::not_found("This profile has no such field"))?;
    Ok(Json(Fields::from([(key, value)])))
}

/// Refuses to change what is not the caller's.
fn check_own(caller: &Caller, user_id: &UserId) -> Result<(), Error> {
    if caller.user_id != *user_id {
        return Err(Error::forbidden("A profile can be changed by its own user only"));
    }
    Ok(())
}

async fn set(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, key)): PathArgs<(OwnedUserId, String)>,
    RawJson(body): RawJson,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    let field = Field::parse(&key)?;
    let body: Fields = serde_json::from_str(body.get()).map_err(|error| Error::bad_json(error.to_string()))?;
    let value = body.get(&key).ok_or_else(|| Error::missing_param(format!("The request body has no {key}")))?;
    state.users.set_profile_field(caller.user_no, &user_id, &field, value).await?;
    Ok(Json(json!({})))
}

async fn delete(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, key)): PathArgs<(OwnedUserId, String)>,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    state.users.delete_profile_field(caller.user_no, &user_id, &Field::parse(&key)?).await?;
    Ok(Json(json!({})))
}
