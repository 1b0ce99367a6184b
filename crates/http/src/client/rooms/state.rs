//! `GET /_matrix/client/v3/rooms/{roomId}/state`, `GET`, `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
//!
//! Reads a room's state, whole or by key, as of now or, for those who left, as of then; sets a key of it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room>

use std::borrow::Cow;

use axum::{Router, extract::State as Extract, routing::get};
use roost_rooms::NewEvent;
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;

use super::{
    send::event_id,
    splice::{Json, array},
};
use crate::{Caller, Error, PathArgs, QueryArgs, RawJson, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .client("/rooms/{room_id}/state", get(all))
        // Where the state key is empty, the slash before it is optional.
        .client("/rooms/{room_id}/state/{event_type}", get(unkeyed).put(set_unkeyed))
        .client("/rooms/{room_id}/state/{event_type}/", get(unkeyed).put(set_unkeyed))
        .client("/rooms/{room_id}/state/{event_type}/{state_key}", get(keyed).put(set_keyed))
}

#[derive(Deserialize)]
struct Query {
    format: Option<String>,
}

async fn all(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
) -> Result<Json, Error> {
    let events = state.rooms.state(&room_id, &caller.user_id).await?;
    let mut out = Vec::with_capacity(events.iter().map(|event| event.json.len() + 1).sum::<usize>() + 2);
    array(&mut out, &events);
    Ok(Json(out))
}

async fn one(
    state: &State,
    caller: &Caller,
    room: &RoomId,
    kind: &str,
    key: &str,
    query: &Query,
) -> Result<Json, Error> {
    match query.format.as_deref() {
        None | Some("content") => {
            Ok(Json(state.rooms.state_content(room, &caller.user_id, kind, key).await?.into_bytes()))
        }
        Some("event") => Ok(Json(state.rooms.state_event(room, &caller.user_id, kind, key).await?.json)),
        Some(_) => Err(Error::invalid_param("`format` is either `content` or `event`")),
    }
}

async fn unkeyed(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, kind)): PathArgs<(OwnedRoomId, String)>,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json, Error> {
    one(&state, &caller, &room_id, &kind, "", &query).await
}

async fn keyed(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, kind, key)): PathArgs<(OwnedRoomId, String, String)>,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json, Error> {
    one(&state, &caller, &room_id, &kind, &key, &query).await
}

/// Whether this state invites somebody.
fn invites(kind: &str, content: &str) -> bool {
    #[derive(Deserialize)]
    struct Member<'a> {
        #[serde(borrow)]
        membership: Cow<'a, str>,
    }
    kind == "m.room.member"
        && serde_json::from_str::<Member<'_>>(content).is_ok_and(|member| member.membership == "invite")
}

async fn set_unkeyed(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, kind)): PathArgs<(OwnedRoomId, String)>,
    RawJson(content): RawJson,
) -> Result<Json, Error> {
    let event = NewEvent::state(&caller.user_id, &kind, "", content);
    Ok(event_id(&state.rooms.append(&room_id, event).await?.event_id))
}

async fn set_keyed(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, kind, key)): PathArgs<(OwnedRoomId, String, String)>,
    RawJson(content): RawJson,
) -> Result<Json, Error> {
    if invites(&kind, content.get()) {
        state.limits.invitations(caller.user_id.as_str(), 1)?;
    }
    let event = NewEvent::state(&caller.user_id, &kind, &key, content);
    Ok(event_id(&state.rooms.append(&room_id, event).await?.event_id))
}
