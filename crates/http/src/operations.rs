//! `GET /_roost/health/live`, `GET /_roost/health/ready`, `GET /_roost/metrics`
//!
//! For whoever runs the server: whether the process lives, whether it can answer, and how it does.

use axum::{
    Json, Router,
    extract::State as Extract,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;
use roost_world::WorkerState;
use serde_json::{Value, json};

use crate::{Error, State};

pub(crate) fn health() -> Router<State> {
    Router::new().route("/_roost/health/live", get(live)).route("/_roost/health/ready", get(ready))
}

pub(crate) fn metrics() -> Router<State> {
    Router::new().route("/_roost/metrics", get(text))
}

/// The process answers.
async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// The server does its work: it is not shutting down, and no background loop has died.
async fn ready(Extract(state): Extract<State>) -> Result<Json<Value>, Error> {
    if state.workers.stop_signal().is_set() {
        return Err(Error::unavailable("The server is shutting down"));
    }
    if let Some(worker) = state.workers.list().into_iter().find(|worker| worker.state == WorkerState::Failed) {
        return Err(Error::unavailable(format!("The worker {} has failed", worker.name)));
    }
    Ok(Json(json!({ "status": "ready" })))
}

async fn text(Extract(state): Extract<State>) -> Response {
    match &state.metrics_text {
        Some(render) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render()).into_response()
        }
        None => Error::not_found("This process keeps no metrics").into_response(),
    }
}
