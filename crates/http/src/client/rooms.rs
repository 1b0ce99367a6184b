//! Rooms: creating them, being in them, writing to them and reading them.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rooms-1>

mod aliases;
mod ban;
mod context;
mod create;
mod event;
mod invite;
mod join;
mod kick;
mod knock;
mod leave;
mod members;
mod messages;
mod redact;
mod send;
mod splice;
mod state;
mod summary;
mod timestamp;
mod upgrade;

use axum::Router;
use roost_rooms::EventFilter;
use roost_store::token::Token;
use ruma::{OwnedRoomId, OwnedServerName, RoomId, RoomOrAliasId};

use crate::{Caller, Error, State};

pub(super) fn routes() -> Router<State> {
    Router::new()
        .merge(aliases::routes())
        .merge(ban::routes())
        .merge(context::routes())
        .merge(create::routes())
        .merge(event::routes())
        .merge(invite::routes())
        .merge(join::routes())
        .merge(kick::routes())
        .merge(knock::routes())
        .merge(leave::routes())
        .merge(members::routes())
        .merge(messages::routes())
        .merge(redact::routes())
        .merge(send::routes())
        .merge(state::routes())
        .merge(summary::routes())
        .merge(timestamp::routes())
        .merge(upgrade::routes())
}

/// The most events that one request gets.
const MAX_EVENTS: u64 = 1000;

/// How many events a request gets that asks for this many.
fn limit(asked: Option<u64>, filter: &EventFilter) -> usize {
    let asked = asked.or(filter.limit).unwrap_or(10).min(filter.limit.unwrap_or(MAX_EVENTS)).min(MAX_EVENTS);
    usize::try_from(asked).unwrap_or(0)
}

/// A token of the query. Clients send empty ones for "none".
fn token(text: Option<&str>) -> Result<Option<Token>, Error> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| Error::invalid_param("That is not a token of this server")),
    }
}

/// A filter of the query, as JSON.
fn filter(text: Option<&str>) -> Result<EventFilter, Error> {
    match text {
        None | Some("") => Ok(EventFilter::default()),
        Some(text) => serde_json::from_str(text).map_err(|error| Error::invalid_param(format!("`filter`: {error}"))),
    }
}

/// Takes a user's settings over into a room that they have just come into, if it replaces another. They are in it already, so
/// a failure is nothing that they have to hear of.
async fn follow_upgrade(state: &State, caller: &Caller, room: &RoomId) {
    if let Err(error) = state.users.follow_upgrade(caller.user_no, &caller.user_id, room).await {
        tracing::warn!(%error, %room, "a user's settings did not follow them into the room that replaces another");
    }
}

/// The room that an id or an alias stands for.
/// The room, and servers that know it, where its alias is of another server.
async fn room_id_and_servers(
    state: &State,
    named: &RoomOrAliasId,
) -> Result<(OwnedRoomId, Vec<OwnedServerName>), Error> {
    match <&ruma::RoomAliasId>::try_from(named) {
        Ok(alias) if state.settings.federation && alias.server_name() != state.settings.server_name => {
            Ok(state.exchange.resolve_alias(alias.server_name(), alias.as_str()).await?)
        }
        _ => Ok((room_id(state, named).await?, Vec::new())),
    }
}

async fn room_id(state: &State, named: &RoomOrAliasId) -> Result<OwnedRoomId, Error> {
    match <&ruma::RoomId>::try_from(named) {
        Ok(id) => Ok(id.to_owned()),
        Err(alias) => {
            let found = state.rooms.resolve(alias).await?;
            found.ok_or_else(|| Error::not_found(format!("The alias {alias} is not known")))
        }
    }
}
