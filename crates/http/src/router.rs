//! All routes of a listener.

use axum::{Router, middleware};
use http::StatusCode;
use roost_matrix::error::ErrCode;

use crate::{Error, State, admin, client, door, federation, operations, well_known};

/// A family of endpoints that a listener serves. Health answers on every listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Serves {
    /// The Client-Server API and the `.well-known` documents.
    Client,
    /// The Server-Server API and its `.well-known` document.
    Federation,
    /// `/_synapse/admin`.
    Admin,
    /// `/_roost/metrics`.
    Metrics,
    /// The Identity Service API.
    Identity,
}

/// The routes of a listener that serves `families`.
pub fn router(state: State, families: &[Serves]) -> Router {
    let serves = |family| families.contains(&family);
    let mut routes = operations::health();
    if serves(Serves::Metrics) {
        routes = routes.merge(operations::metrics());
    }
    if serves(Serves::Client) {
        routes = routes.merge(client::routes()).merge(well_known::client());
    }
    if serves(Serves::Admin) {
        routes = routes.merge(admin::routes());
    }
    if serves(Serves::Federation) {
        routes = routes.merge(well_known::server());
        if state.settings.federation {
            routes = routes.merge(federation::routes());
        }
    }
    if serves(Serves::Client) || serves(Serves::Federation) {
        routes = routes.merge(well_known::support());
    }
    routes
        .fallback(async || Error::unrecognized())
        .method_not_allowed_fallback(async || {
            Error::new(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrCode::Unrecognized,
                "This endpoint does not know the request's method",
            )
        })
        .layer(middleware::from_fn_with_state(state.clone(), door::pass))
        .with_state(state)
}
