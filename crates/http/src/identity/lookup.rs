//! `GET /_matrix/identity/v2/hash_details`, `POST …/lookup`
//!
//! Which user an address belongs to.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#association-lookup>

use axum::{
    Json, Router,
    extract::State as Extract,
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{IdentityRoutes as _, IdentityState, caller::Caller, fields::Fields};
use crate::Error;

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new().v2("/hash_details", get(hash_details)).v2("/lookup", post(lookup))
}

async fn hash_details(Extract(state): Extract<IdentityState>, _caller: Caller) -> Result<Json<Value>, Error> {
    let details = state.identity.hash_details().await?;
    Ok(Json(json!({ "lookup_pepper": details.pepper, "algorithms": details.algorithms })))
}

async fn lookup(
    Extract(state): Extract<IdentityState>,
    Caller(account): Caller,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let (algorithm, pepper) = (fields.needed("algorithm")?, fields.needed("pepper")?);
    let addresses = fields.texts("addresses")?;
    state.identity.check_lookup(&addresses)?;
    // Not the requests but the addresses are what whoever tries them all needs many of.
    state.limits.looked_up(account.user_id.as_str(), addresses.len())?;
    let mappings = state.identity.lookup(algorithm, pepper, addresses).await?;
    Ok(Json(json!({ "mappings": mappings })))
}
