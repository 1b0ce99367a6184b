//! `POST /_matrix/client/v3/createRoom`
//!
//! Creates a room with everything that was asked for, or not at all.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>

use axum::{Router, extract::State as Extract, routing::post};
use http::StatusCode;
use roost_matrix::error::ErrCode;
use roost_rooms::{CreateRoom, InitialState, Preset};
use ruma::{
    api::client::room::{
        Visibility,
        create_room::v3::{Request, Response, RoomPreset},
    },
    serde::Raw,
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{Args, Caller, Error, Ruma, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/createRoom", post(create))
}

/// The most people that a room can be created with.
const MAX_INVITES: usize = 500;

/// The most state events that a room can be created with: all of them are signed and written at once.
const MAX_STATE: usize = 1000;

#[derive(Deserialize)]
struct Initial {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    state_key: String,
    content: Box<RawValue>,
}

fn map<T>(raw: Option<&Raw<T>>, what: &str) -> Result<Map<String, Value>, Error> {
    match raw {
        Some(raw) => {
            serde_json::from_str(raw.json().get()).map_err(|_| Error::bad_json(format!("`{what}` must be an object")))
        }
        None => Ok(Map::new()),
    }
}

async fn create(
    Extract(state): Extract<State>,
    caller: Caller,
    Args(request): Args<Request>,
) -> Result<Ruma<Response>, Error> {
    if !request.invite_3pid.is_empty() {
        return Err(super::invite::no_addresses());
    }
    if request.invite.len() > MAX_INVITES {
        return Err(Error::invalid_param(format!("A room can be created with at most {MAX_INVITES} invitations")));
    }
    if request.initial_state.len() > MAX_STATE {
        return Err(Error::invalid_param(format!("A room can be created with at most {MAX_STATE} state events")));
    }
    let preset = match &request.preset {
        None => None,
        Some(RoomPreset::PrivateChat) => Some(Preset::PrivateChat),
        Some(RoomPreset::PublicChat) => Some(Preset::PublicChat),
        Some(RoomPreset::TrustedPrivateChat) => Some(Preset::TrustedPrivateChat),
        Some(other) => return Err(Error::bad_json(format!("There is no preset {other}"))),
    };
    let published = match &request.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        other => return Err(Error::bad_json(format!("There is no visibility {other}"))),
    };
    let mut initial_state = Vec::with_capacity(request.initial_state.len());
    for raw in &request.initial_state {
        let initial: Initial = serde_json::from_str(raw.json().get())
            .map_err(|error| Error::bad_json(format!("`initial_state` must hold state events: {error}")))?;
        initial_state.push(InitialState { kind: initial.kind, state_key: initial.state_key, content: initial.content });
    }
    state.limits.invitations(caller.user_id.as_str(), request.invite.len())?;
    let mut invites = Vec::with_capacity(request.invite.len());
    for user in &request.invite {
        invites.push((user.clone(), state.rooms.profile(user).await?));
    }
    let wanted = CreateRoom {
        profile: state.rooms.profile(&caller.user_id).await?,
        version: request.room_version.as_ref().map(ToString::to_string),
        preset,
        published,
        alias: request.room_alias_name.clone(),
        name: request.name.clone(),
        topic: request.topic.clone(),
        invites,
        is_direct: request.is_direct,
        creation_content: map(request.creation_content.as_ref(), "creation_content")?,
        initial_state,
        power_levels: map(request.power_level_content_override.as_ref(), "power_level_content_override")?,
        ..CreateRoom::new(&caller.user_id)
    };
    match state.rooms.create(wanted).await {
        Ok(room_id) => Ok(Ruma(Response::new(room_id))),
        // Elsewhere a taken alias has another code.
        Err(error @ roost_rooms::Error::AliasTaken(_)) => {
            Err(Error::new(StatusCode::BAD_REQUEST, ErrCode::RoomInUse, error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
