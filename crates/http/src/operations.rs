//! `GET /_roost/health/live`, `GET /_roost/health/ready`, `GET /_roost/metrics`
//!
//! For whoever runs the server: whether the process lives, whether it can answer, and how it does.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State as Extract,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;
use roost_world::WorkerState;
use serde_json::{Value, json};

use crate::{Error, Front};

pub(crate) fn health() -> Router<Front> {
    Router::new().route("/_roost/health/live", get(live)).route("/_roost/health/ready", get(ready))
}

pub(crate) fn metrics() -> Router<Front> {
    Router::new().route("/_roost/metrics", get(text))
}

/// The process answers.
async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// How long the database may take to answer a server that is ready.
const DATABASE: Duration = Duration::from_secs(3);

/// The server does its work: it is not shutting down, no background loop has died, and the database answers.
async fn ready(Extract(state): Extract<Front>) -> Result<Json<Value>, Error> {
    if state.workers.stop_signal().is_set() {
        return Err(Error::unavailable("The server is shutting down"));
    }
    if let Some(worker) = state.workers.list().into_iter().find(|worker| worker.state == WorkerState::Failed) {
        return Err(Error::unavailable(format!("The worker {} has failed", worker.name)));
    }
    match state.world.timeout(DATABASE, (state.ready)()).await {
        Some(Ok(())) => Ok(Json(json!({ "status": "ready" }))),
        Some(Err(error)) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            Err(Error::unavailable("The database does not answer"))
        }
        None => Err(Error::unavailable("The database does not answer in time")),
    }
}

async fn text(Extract(state): Extract<Front>) -> Response {
    match &state.metrics_text {
        Some(render) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render()).into_response()
        }
        None => Error::not_found("This process keeps no metrics").into_response(),
    }
}
