//! The Server-Server API.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/>

mod events;
mod keys;
mod membership;
mod origin;
mod query;
mod transactions;
mod version;

use axum::Router;

use crate::State;

/// Every endpoint of the Server-Server API.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .merge(keys::routes())
        .merge(version::routes())
        .merge(transactions::routes())
        .merge(events::routes())
        .merge(membership::routes())
        .merge(query::routes())
}
