//! `POST /_matrix/client/v3/user/{userId}/filter`, `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`
//!
//! Stores filters, so that /sync can be given their ids.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use axum::{
    Json, Router,
    extract::State as Extract,
    routing::{get, post},
};
use ruma::{OwnedUserId, api::client::filter::FilterDefinition};
use serde_json::{Value, json, value::RawValue};

use super::account_data::check_own;
use crate::{Caller, Error, JsonBytes, PathArgs, State, routes::ClientRoutes as _};

/// The largest filter, in bytes.
const MAX_FILTER_BYTES: usize = 64 * 1024;

pub(crate) fn routes() -> Router<State> {
    Router::new().client("/user/{user_id}/filter", post(store)).client("/user/{user_id}/filter/{filter_id}", get(load))
}

async fn store(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(user_id): PathArgs<OwnedUserId>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    check_own(&caller, &user_id)?;
    if body.len() > MAX_FILTER_BYTES {
        return Err(Error::too_large(format!("A filter can have at most {MAX_FILTER_BYTES} bytes")));
    }
    let shape = |error: serde_json::Error| Error::bad_json(format!("This is not a filter: {error}"));
    // Only to see whether it is one: members that are not known today may be tomorrow, so they are kept.
    serde_json::from_slice::<FilterDefinition>(&body).map_err(shape)?;
    // As a tree its keys are in order, so that the same filter reads the same.
    let definition: Value = serde_json::from_slice(&body).map_err(shape)?;
    let filter_id = state.users.put_filter(caller.user_no, definition.to_string()).await?;
    Ok(Json(json!({ "filter_id": filter_id })))
}

async fn load(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((user_id, filter_id)): PathArgs<(OwnedUserId, String)>,
) -> Result<Json<Box<RawValue>>, Error> {
    check_own(&caller, &user_id)?;
    let definition = state.users.filter(caller.user_no, &filter_id).await?;
    let definition = definition.ok_or_else(|| Error::not_found("There is no such filter"))?;
    RawValue::from_string(definition).map(Json).map_err(Error::internal)
}
