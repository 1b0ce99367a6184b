//! `GET /_matrix/federation/v1/make_join/{roomId}/{userId}`, `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`,
//! `GET /_matrix/federation/v1/make_leave/{roomId}/{userId}`, `PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}`
//!
//! Users of other servers join rooms here, and leave them.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>,
//! <https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites>

use axum::{
    Json, Router,
    extract::State as Extract,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use http::header;
use roost_federation::Handshake;
use roost_matrix::ids::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use super::{events::lists, origin::Origin};
use crate::{Error, PathArgs, QueryArgs, State};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/_matrix/federation/v1/make_join/{room_id}/{user_id}", get(make_join))
        .route("/_matrix/federation/v2/send_join/{room_id}/{event_id}", put(send_join))
        .route("/_matrix/federation/v1/make_leave/{room_id}/{user_id}", get(make_leave))
        .route("/_matrix/federation/v2/send_leave/{room_id}/{event_id}", put(send_leave))
}

type Pairs = Vec<(String, String)>;

async fn make(
    state: &State,
    origin: &Origin,
    room: &OwnedRoomId,
    user: &OwnedUserId,
    handshake: Handshake,
    pairs: Pairs,
) -> Result<Response, Error> {
    let mut versions: Vec<String> =
        pairs.into_iter().filter(|(key, _)| key == "ver").map(|(_, value)| value).take(100).collect();
    if versions.is_empty() {
        // "If this parameter is not provided, it defaults to ["1"]."
        versions.push("1".to_owned());
    }
    let (event, version) = state.exchange.make(&origin.server, room, user, handshake, &versions).await?;
    let version = Value::from(version.as_str());
    let body = format!("{{\"event\":{event},\"room_version\":{version}}}");
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

async fn make_join(
    Extract(state): Extract<State>,
    PathArgs((room, user)): PathArgs<(OwnedRoomId, OwnedUserId)>,
    QueryArgs(pairs): QueryArgs<Pairs>,
    origin: Origin,
) -> Result<Response, Error> {
    make(&state, &origin, &room, &user, Handshake::Join, pairs).await
}

async fn make_leave(
    Extract(state): Extract<State>,
    PathArgs((room, user)): PathArgs<(OwnedRoomId, OwnedUserId)>,
    origin: Origin,
) -> Result<Response, Error> {
    make(&state, &origin, &room, &user, Handshake::Leave, Pairs::new()).await
}

async fn send_join(
    Extract(state): Extract<State>,
    PathArgs((room, event)): PathArgs<(OwnedRoomId, OwnedEventId)>,
    QueryArgs(pairs): QueryArgs<Pairs>,
    origin: Origin,
) -> Result<Response, Error> {
    let omit = pairs.iter().any(|(key, value)| key == "omit_members" && value == "true");
    let answered = state.exchange.take(&origin.server, &room, &event, &origin.body, Handshake::Join, omit).await?;
    let servers = if answered.members_omitted { json!(answered.servers_in_room) } else { Value::Null };
    let mut rest = format!(
        "\"origin\":{},\"members_omitted\":{},\"event\":{}",
        Value::from(state.settings.server_name.as_str()),
        answered.members_omitted,
        answered.event.as_str()
    );
    if !servers.is_null() {
        rest.push_str(",\"servers_in_room\":");
        rest.push_str(&servers.to_string());
    }
    Ok(lists(&[("state", &answered.state), ("auth_chain", &answered.auth_chain)], &rest))
}

async fn send_leave(
    Extract(state): Extract<State>,
    PathArgs((room, event)): PathArgs<(OwnedRoomId, OwnedEventId)>,
    origin: Origin,
) -> Result<Json<Value>, Error> {
    state.exchange.take(&origin.server, &room, &event, &origin.body, Handshake::Leave, false).await?;
    Ok(Json(json!({})))
}
