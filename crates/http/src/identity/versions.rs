//! `GET /_matrix/identity/versions`
//!
//! The versions of the specification that this server speaks.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#get_matrixidentityversions>

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use super::IdentityState;

/// The first version whose Identity Service API has nothing but v2, and the newest one.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=19;

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new().route("/_matrix/identity/versions", get(versions))
}

async fn versions() -> Json<Value> {
    let versions: Vec<String> = VERSIONS.map(|minor| format!("v1.{minor}")).collect();
    Json(json!({ "versions": versions }))
}
