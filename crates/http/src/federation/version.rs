//! `GET /_matrix/federation/v1/version`
//!
//! What this server is.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version>

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::State;

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/_matrix/federation/v1/version", get(version))
}

async fn version() -> Json<Value> {
    Json(json!({ "server": { "name": "Roost", "version": env!("CARGO_PKG_VERSION") } }))
}
