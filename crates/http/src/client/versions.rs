//! `GET /_matrix/client/versions`
//!
//! The versions of the specification that this server is written to. Endpoints of theirs that it does not have yet
//! answer `404 M_UNRECOGNIZED`, as the specification wants it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions>

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use crate::State;

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/_matrix/client/versions", get(versions))
}

async fn versions() -> Json<Value> {
    Json(json!({
        "versions": [
            "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12",
            "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
        ],
        "unstable_features": {},
    }))
}
