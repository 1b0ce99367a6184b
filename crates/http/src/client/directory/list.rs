//! `GET`, `POST /_matrix/client/v3/publicRooms`, `GET`, `PUT /_matrix/client/v3/directory/list/room/{roomId}`
//!
//! The published room directory.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>

use axum::{Json, Router, extract::State as Extract, routing::get};
use roost_rooms::{DirectoryPage, DirectoryQuery};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Caller, Error, JsonBytes, MaybeCaller, PathArgs, QueryArgs, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .client("/publicRooms", get(list).post(search))
        .client("/directory/list/room/{room_id}", get(visibility).put(set_visibility))
}

/// The most rooms on a page, and how many there are on one whose size nobody named.
const PAGE: u64 = 100;

/// The longest search term, in bytes, and the most room types of one search.
const MAX_TERM: usize = 1024;
const MAX_TYPES: usize = 100;

#[derive(Deserialize)]
struct Query {
    limit: Option<u64>,
    since: Option<String>,
    server: Option<String>,
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    filter: Option<Filter>,
}

#[derive(Default, Deserialize)]
struct Filter {
    #[serde(default)]
    generic_search_term: Option<String>,
    #[serde(default)]
    room_types: Option<Vec<Option<String>>>,
}

#[derive(Deserialize)]
struct SetVisibility {
    #[serde(default = "public")]
    visibility: String,
}

fn public() -> String {
    "public".to_owned()
}

fn limit(asked: Option<u64>) -> usize {
    usize::try_from(asked.filter(|asked| *asked > 0).unwrap_or(PAGE).min(PAGE)).unwrap_or(1)
}

/// Other servers' lists can not be had.
fn check_server(state: &State, server: Option<&str>) -> Result<(), Error> {
    match server {
        Some(server) if server != state.settings.server_name.as_str() => {
            Err(Error::not_found(format!("The server {server} can not be reached")))
        }
        _ => Ok(()),
    }
}

async fn list(
    Extract(state): Extract<State>,
    MaybeCaller(caller): MaybeCaller,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json<DirectoryPage>, Error> {
    if state.settings.directory_requires_authentication && caller.is_none() {
        return Err(Error::missing_token());
    }
    check_server(&state, query.server.as_deref())?;
    let wanted = DirectoryQuery { limit: limit(query.limit), since: query.since, ..DirectoryQuery::default() };
    Ok(Json(state.rooms.directory(wanted).await?))
}

async fn search(
    Extract(state): Extract<State>,
    _caller: Caller,
    QueryArgs(query): QueryArgs<Query>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<DirectoryPage>, Error> {
    check_server(&state, query.server.as_deref())?;
    let search: Search = serde_json::from_slice(&body).map_err(|error| Error::bad_json(error.to_string()))?;
    let filter = search.filter.unwrap_or_default();
    // Both are compared with every published room.
    let term = filter.generic_search_term.as_ref().map_or(0, String::len);
    let types = filter.room_types.as_ref().map_or(0, Vec::len);
    if term > MAX_TERM || types > MAX_TYPES {
        return Err(Error::invalid_param("The search term is too long, or there are too many room types"));
    }
    let wanted = DirectoryQuery {
        limit: limit(search.limit),
        since: search.since,
        search: filter.generic_search_term.filter(|term| !term.is_empty()),
        room_types: filter.room_types,
    };
    Ok(Json(state.rooms.directory(wanted).await?))
}

async fn visibility(
    Extract(state): Extract<State>,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
) -> Result<Json<Value>, Error> {
    let published = state.rooms.is_published(&room_id).await?;
    Ok(Json(json!({ "visibility": if published { "public" } else { "private" } })))
}

async fn set_visibility(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let wanted: SetVisibility = serde_json::from_slice(&body).map_err(|error| Error::bad_json(error.to_string()))?;
    let published = match wanted.visibility.as_str() {
        "public" => true,
        "private" => false,
        other => return Err(Error::bad_json(format!("There is no visibility {other}"))),
    };
    state.rooms.publish(&room_id, &caller.user_id, published).await?;
    Ok(Json(json!({})))
}
