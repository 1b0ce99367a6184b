//! `/_synapse/admin`: the few administration endpoints that tools of the ecosystem expect.

pub(crate) mod register;

use axum::Router;

use crate::State;

/// Every administration endpoint.
pub(crate) fn routes() -> Router<State> {
    Router::new().merge(register::routes())
}
