//! `GET /_matrix/client/v3/rooms/{roomId}/members`, `GET /_matrix/client/v3/rooms/{roomId}/joined_members`,
//! `GET /_matrix/client/v3/joined_rooms`
//!
//! Who is in a room, and in which rooms one is.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers>

use axum::{Json as AxumJson, Router, extract::State as Extract, routing::get};
use roost_rooms::Membership;
use ruma::{OwnedRoomId, api::client::membership::joined_rooms};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::splice::{Json, Object};
use crate::{Caller, Error, PathArgs, QueryArgs, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .client("/rooms/{room_id}/members", get(members))
        .client("/rooms/{room_id}/joined_members", get(joined_members))
        .client("/joined_rooms", get(rooms))
}

#[derive(Deserialize)]
struct Query {
    at: Option<String>,
    membership: Option<String>,
    not_membership: Option<String>,
}

fn membership(word: Option<&str>) -> Result<Option<Membership>, Error> {
    match word {
        None => Ok(None),
        Some(word) => match Membership::parse(word) {
            Some(membership) => Ok(Some(membership)),
            None => Err(Error::invalid_param(format!("There is no membership {word}"))),
        },
    }
}

async fn members(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json, Error> {
    let at = super::token(query.at.as_deref())?;
    let wanted = membership(query.membership.as_deref())?;
    let unwanted = membership(query.not_membership.as_deref())?;
    // Given both, a member is wanted who satisfies either.
    let wants = move |membership| match (wanted, unwanted) {
        (None, None) => true,
        _ => wanted == Some(membership) || unwanted.is_some_and(|unwanted| unwanted != membership),
    };
    let members = state.rooms.members(&room_id, &caller.user_id, at, wants).await?;
    Ok(Object::new().events("chunk", &members).end())
}

async fn joined_members(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
) -> Result<AxumJson<Value>, Error> {
    let mut joined = Map::new();
    for (user, profile) in state.rooms.joined_members(&room_id, &caller.user_id).await? {
        // Who has no name or no avatar has no such member: `null` is not what the schema allows.
        let members = [("display_name", profile.displayname), ("avatar_url", profile.avatar_url)];
        let members: Map<_, _> =
            members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?)))).collect();
        joined.insert(user.to_string(), Value::Object(members));
    }
    Ok(AxumJson(json!({ "joined": joined })))
}

async fn rooms(Extract(state): Extract<State>, caller: Caller) -> Result<Ruma<joined_rooms::v3::Response>, Error> {
    Ok(Ruma(joined_rooms::v3::Response::new(state.rooms.joined_rooms(&caller.user_id).await?)))
}
