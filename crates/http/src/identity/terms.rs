//! `GET`, `POST /_matrix/identity/v2/terms`
//!
//! The terms of service, and accepting them.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#terms-of-service>

use axum::{Json, Router, extract::State as Extract, routing::get};
use serde_json::{Value, json};

use super::{IdentityRoutes as _, IdentityState, caller::AnyCaller, fields::Fields};
use crate::Error;

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new().v2("/terms", get(terms).post(accept))
}

async fn terms(Extract(state): Extract<IdentityState>) -> Json<Value> {
    Json(json!({ "policies": state.identity.terms() }))
}

async fn accept(
    Extract(state): Extract<IdentityState>,
    AnyCaller(account): AnyCaller,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    state.identity.accept_terms(&account, &fields.texts("user_accepts")?).await?;
    Ok(Json(json!({})))
}
