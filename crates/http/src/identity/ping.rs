//! `GET /_matrix/identity/v2`
//!
//! Tells that an identity server is here.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#get_matrixidentityv2>

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use super::{IdentityRoutes as _, IdentityState};

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new().v2("", get(ping)).v2("/", get(ping))
}

async fn ping() -> Json<Value> {
    Json(json!({}))
}
