//! `GET /_matrix/federation/v1/event/{eventId}`, `…/state/{roomId}`, `…/state_ids/{roomId}`, `…/backfill/{roomId}`,
//! `…/event_auth/{roomId}/{eventId}`, `POST …/get_missing_events/{roomId}`
//!
//! The graph of a room, for servers that are in it. What a server could not have seen is shown redacted.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events>

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Json, Router,
    extract::State as Extract,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::header;
use roost_matrix::{
    event::Pdu,
    ids::{OwnedEventId, OwnedRoomId, ServerName},
};
use roost_rooms::{Admitted, Room};
use serde::Deserialize;
use serde_json::{Value, json};

use super::origin::Origin;
use crate::{Error, PathArgs, QueryArgs, State};

/// Events of one answer at most.
const MAX: usize = 100;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/_matrix/federation/v1/event/{event_id}", get(event))
        .route("/_matrix/federation/v1/state/{room_id}", get(state_of))
        .route("/_matrix/federation/v1/state_ids/{room_id}", get(state_ids))
        .route("/_matrix/federation/v1/backfill/{room_id}", get(backfill))
        .route("/_matrix/federation/v1/event_auth/{room_id}/{event_id}", get(event_auth))
        .route("/_matrix/federation/v1/get_missing_events/{room_id}", post(missing))
}

/// The room, if the server is in it.
async fn shared(state: &State, room: &OwnedRoomId, server: &ServerName) -> Result<Arc<Room>, Error> {
    let room = state.rooms.room(room).await?;
    match state.rooms.admits(&room, server).await? {
        Admitted::Inside => Ok(room),
        Admitted::Outside => Err(Error::forbidden("Your server is not in this room")),
        Admitted::Denied => Err(Error::forbidden("The room's access control list shuts your server out")),
    }
}

/// A JSON object with lists of events, which are spliced as they are.
pub(super) fn lists(lists: &[(&str, &[Pdu])], rest: &str) -> Response {
    let mut out = String::from("{");
    for (name, pdus) in lists {
        // Writing to a String can not fail.
        let _ = write!(out, "\"{name}\":[");
        for (at, pdu) in pdus.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(pdu.as_str());
        }
        out.push_str("],");
    }
    out.push_str(rest);
    out.push('}');
    ([(header::CONTENT_TYPE, "application/json")], out).into_response()
}

fn now_and_origin(state: &State) -> String {
    let origin = Value::from(state.settings.server_name.as_str());
    format!("\"origin\":{origin},\"origin_server_ts\":{}", state.world.now_ms())
}

async fn event(
    Extract(state): Extract<State>,
    PathArgs(event): PathArgs<OwnedEventId>,
    origin: Origin,
) -> Result<Response, Error> {
    let unknown = || Error::not_found("Event not found");
    let room = state.rooms.room_of_event(&event).await?.ok_or_else(unknown)?;
    if state.rooms.admits(&room, &origin.server).await? != Admitted::Inside {
        return Err(unknown());
    }
    let found = state.rooms.pdus(&room, &[event]).await?;
    let found = state.rooms.shown_to(&room, &origin.server, found).await?;
    if found.is_empty() { Err(unknown()) } else { Ok(lists(&[("pdus", &found)], &now_and_origin(&state))) }
}

#[derive(Deserialize)]
struct AtEvent {
    event_id: OwnedEventId,
}

async fn ids(state: &State, room: &Arc<Room>, event: &OwnedEventId) -> Result<roost_rooms::StateIds, Error> {
    state.rooms.state_ids(room, event).await?.ok_or_else(|| Error::not_found("The state at this event is not known"))
}

async fn state_of(
    Extract(state): Extract<State>,
    PathArgs(room): PathArgs<OwnedRoomId>,
    QueryArgs(AtEvent { event_id }): QueryArgs<AtEvent>,
    origin: Origin,
) -> Result<Response, Error> {
    let room = shared(&state, &room, &origin.server).await?;
    let ids = ids(&state, &room, &event_id).await?;
    let pdus = state.rooms.pdus(&room, &ids.state).await?;
    let chain = state.rooms.pdus(&room, &ids.auth_chain).await?;
    Ok(lists(&[("pdus", &pdus), ("auth_chain", &chain)], &now_and_origin(&state)))
}

async fn state_ids(
    Extract(state): Extract<State>,
    PathArgs(room): PathArgs<OwnedRoomId>,
    QueryArgs(AtEvent { event_id }): QueryArgs<AtEvent>,
    origin: Origin,
) -> Result<Json<Value>, Error> {
    let room = shared(&state, &room, &origin.server).await?;
    let ids = ids(&state, &room, &event_id).await?;
    Ok(Json(json!({ "pdu_ids": ids.state, "auth_chain_ids": ids.auth_chain })))
}

async fn backfill(
    Extract(state): Extract<State>,
    PathArgs(room): PathArgs<OwnedRoomId>,
    QueryArgs(pairs): QueryArgs<Vec<(String, String)>>,
    origin: Origin,
) -> Result<Response, Error> {
    let room = shared(&state, &room, &origin.server).await?;
    let named = |wanted: &'static str| pairs.iter().filter(move |(key, _)| key == wanted).map(|(_, value)| value);
    let from: Vec<OwnedEventId> =
        named("v").take(MAX).filter_map(|id| OwnedEventId::try_from(id.as_str()).ok()).collect();
    if from.is_empty() {
        return Err(Error::missing_param("`v` names the events from which to go back"));
    }
    let limit = named("limit").next().ok_or_else(|| Error::missing_param("`limit` is missing"))?;
    let limit: usize = limit.parse().map_err(|_| Error::invalid_param("`limit` is not a number"))?;
    let found = state.rooms.backfill_for(&room, &from, limit.min(MAX)).await?;
    let ids: Vec<_> = found.iter().map(|stored| stored.pdu.event_id().to_owned()).collect();
    let pdus = in_order(state.rooms.pdus(&room, &ids).await?, &ids);
    let pdus = state.rooms.shown_to(&room, &origin.server, pdus).await?;
    Ok(lists(&[("pdus", &pdus)], &now_and_origin(&state)))
}

fn in_order(pdus: Vec<Pdu>, ids: &[OwnedEventId]) -> Vec<Pdu> {
    let mut found: std::collections::HashMap<_, _> =
        pdus.into_iter().map(|pdu| (pdu.event_id().to_owned(), pdu)).collect();
    ids.iter().filter_map(|id| found.remove(id)).collect()
}

async fn event_auth(
    Extract(state): Extract<State>,
    PathArgs((room, event)): PathArgs<(OwnedRoomId, OwnedEventId)>,
    origin: Origin,
) -> Result<Response, Error> {
    let room = shared(&state, &room, &origin.server).await?;
    let ids = state.rooms.auth_chain_of(&room, &event).await?.ok_or_else(|| Error::not_found("Event not found"))?;
    let chain = state.rooms.pdus(&room, &ids).await?;
    Ok(lists(&[("auth_chain", &chain)], &now_and_origin(&state)))
}

#[derive(Deserialize)]
struct Missing {
    earliest_events: Vec<OwnedEventId>,
    latest_events: Vec<OwnedEventId>,
    #[serde(default = "ten")]
    limit: usize,
    #[serde(default)]
    min_depth: u64,
}

fn ten() -> usize {
    10
}

async fn missing(
    Extract(state): Extract<State>,
    PathArgs(room): PathArgs<OwnedRoomId>,
    origin: Origin,
) -> Result<Response, Error> {
    let Missing { mut earliest_events, mut latest_events, limit, min_depth } =
        serde_json::from_slice(&origin.body).map_err(|error| Error::bad_json(error.to_string()))?;
    let room = shared(&state, &room, &origin.server).await?;
    earliest_events.truncate(MAX);
    latest_events.truncate(MAX);
    let limit = limit.min(MAX);
    let found = state.rooms.missing_events(&room, &earliest_events, &latest_events, limit, min_depth).await?;
    let found = state.rooms.shown_to(&room, &origin.server, found).await?;
    Ok(lists(&[("events", &found)], &now_and_origin(&state)))
}
