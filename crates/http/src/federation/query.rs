//! `GET /_matrix/federation/v1/query/directory`, `GET /_matrix/federation/v1/query/profile`
//!
//! To which room an alias of this server points, and who its users are.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#querying-for-information>

use axum::{Json, Router, extract::State as Extract, routing::get};
use roost_matrix::ids::{OwnedUserId, RoomAliasId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::origin::Origin;
use crate::{Error, QueryArgs, State};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/_matrix/federation/v1/query/directory", get(directory))
        .route("/_matrix/federation/v1/query/profile", get(profile))
}

#[derive(Deserialize)]
struct Alias {
    room_alias: String,
}

async fn directory(
    Extract(state): Extract<State>,
    QueryArgs(Alias { room_alias }): QueryArgs<Alias>,
    _origin: Origin,
) -> Result<Json<Value>, Error> {
    let alias = RoomAliasId::parse(&room_alias).map_err(|_| Error::invalid_param("This is not a room alias"))?;
    if alias.server_name() != state.settings.server_name {
        return Err(Error::not_found("The alias is of another server"));
    }
    let room = state.rooms.resolve(&alias).await?.ok_or_else(|| Error::not_found("The alias is not known"))?;
    let room = state.rooms.room(&room).await?;
    let mut servers = state.rooms.servers(&room).await?.so_far();
    servers.truncate(1000);
    if !servers.contains(&state.settings.server_name) {
        servers.insert(0, state.settings.server_name.clone());
    }
    Ok(Json(json!({ "room_id": room.id, "servers": servers })))
}

#[derive(Deserialize)]
struct Profile {
    user_id: OwnedUserId,
    field: Option<String>,
}

async fn profile(
    Extract(state): Extract<State>,
    QueryArgs(Profile { user_id, field }): QueryArgs<Profile>,
    _origin: Origin,
) -> Result<Json<Value>, Error> {
    if user_id.server_name() != state.settings.server_name {
        return Err(Error::invalid_param("The user is of another server"));
    }
    let found = state.users.profile(&user_id).await?.ok_or_else(|| Error::not_found("The user does not exist"))?;
    let fields = found.into_iter().filter(|(name, _)| field.as_ref().is_none_or(|field| field == name));
    let fields: Map<String, Value> =
        fields.filter_map(|(name, value)| Some((name, serde_json::from_str(value.get()).ok()?))).collect();
    Ok(Json(Value::Object(fields)))
}
