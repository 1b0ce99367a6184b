//! The Client-Server API.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/>

mod capabilities;
mod versions;

use axum::Router;

use crate::State;

/// Every endpoint of the Client-Server API.
pub(crate) fn routes() -> Router<State> {
    Router::new().merge(capabilities::routes()).merge(versions::routes())
}
