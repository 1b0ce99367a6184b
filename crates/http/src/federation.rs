//! The Server-Server API.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/>

mod openid;

use axum::Router;

use crate::State;

/// Every endpoint of the Server-Server API.
pub(crate) fn routes() -> Router<State> {
    Router::new().merge(openid::routes())
}
