//! `GET /_matrix/identity/v2/pubkey/{keyId}`, `GET …/pubkey/isvalid`, `GET …/pubkey/ephemeral/isvalid`
//!
//! The keys that associations and invitations are signed with.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#key-management>

use axum::{Json, Router, extract::State as Extract, routing::get};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{IdentityRoutes as _, IdentityState, fields::missing};
use crate::{Error, PathArgs, QueryArgs};

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new()
        .v2("/pubkey/{key_id}", get(key))
        .v2("/pubkey/isvalid", get(is_valid))
        .v2("/pubkey/ephemeral/isvalid", get(is_ephemeral_valid))
}

async fn key(Extract(state): Extract<IdentityState>, PathArgs(key_id): PathArgs<String>) -> Result<Json<Value>, Error> {
    let key = state.identity.key(&key_id).ok_or_else(|| Error::not_found("The public key was not found"))?;
    Ok(Json(json!({ "public_key": key.public_key })))
}

#[derive(Deserialize)]
struct Query {
    public_key: Option<String>,
}

async fn is_valid(
    Extract(state): Extract<IdentityState>,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json<Value>, Error> {
    let public_key = query.public_key.ok_or_else(|| missing("public_key"))?;
    Ok(Json(json!({ "valid": state.identity.is_key(&public_key) })))
}

async fn is_ephemeral_valid(
    Extract(state): Extract<IdentityState>,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json<Value>, Error> {
    let public_key = query.public_key.ok_or_else(|| missing("public_key"))?;
    Ok(Json(json!({ "valid": state.identity.is_ephemeral_key(&public_key).await? })))
}
