//! `GET /_matrix/client/v3/voip/turnServer`, `/thirdparty/protocols`, `/pushers`, `/room_keys/version`
//!
//! What clients ask for at their start and this server does not have: each is told so in the way that the endpoint has for it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver>,
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocols>,
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers>,
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion>

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::{Caller, Error, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/voip/turnServer", get(turn_server))
        .client("/thirdparty/protocols", get(protocols))
        .client("/pushers", get(pushers))
        .client("/room_keys/version", get(key_backup))
}

/// The specification has no answer for "none", and an answer without an address would break calls that work without one.
async fn turn_server(_caller: Caller) -> Error {
    Error::not_found("This server offers no TURN server")
}

async fn protocols(_caller: Caller) -> Json<Value> {
    Json(json!({}))
}

async fn pushers(_caller: Caller) -> Json<Value> {
    Json(json!({ "pushers": [] }))
}

async fn key_backup(_caller: Caller) -> Error {
    Error::not_found("There is no key backup")
}
