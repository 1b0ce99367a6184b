//! `POST /_matrix/identity/v2/sign-ed25519`
//!
//! Signs that a user accepts an invitation, for clients that can not do it themselves.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#ephemeral-invitation-signing>

use axum::{Json, Router, extract::State as Extract, routing::post};
use serde_json::Value;

use super::{IdentityRoutes as _, IdentityState, caller::Caller, fields::Fields};
use crate::Error;

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new().v2("/sign-ed25519", post(sign))
}

async fn sign(Extract(state): Extract<IdentityState>, _caller: Caller, fields: Fields) -> Result<Json<Value>, Error> {
    let (token, private_key) = (fields.needed("token")?, fields.needed("private_key")?);
    Ok(Json(state.identity.sign_invite(&fields.user_id("mxid")?, token, private_key).await?))
}
