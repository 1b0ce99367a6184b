//! All routes of a listener.

use axum::{Router, middleware};
use http::StatusCode;
use roost_matrix::error::ErrCode;

use crate::{Error, Front, IdentityState, State, admin, client, door, federation, identity, operations, well_known};

/// A family of endpoints that a listener serves. Health answers on every listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Serves {
    /// The Client-Server API and the `.well-known` documents.
    Client,
    /// The Server-Server API (so far, its `.well-known` document and OpenID).
    Federation,
    /// `/_synapse/admin`.
    Admin,
    /// `/_roost/metrics`.
    Metrics,
    /// The Identity Service API.
    Identity,
}

/// What a process can serve: the homeserver, the identity server, or both.
#[derive(Clone)]
pub struct Doors {
    /// What every listener has.
    pub front: Front,
    /// The homeserver.
    pub homeserver: Option<State>,
    /// The identity server.
    pub identity: Option<IdentityState>,
}

/// The routes of a listener that serves `families`, as far as this process has them.
pub fn router(doors: Doors, families: &[Serves]) -> Router {
    let Doors { front, homeserver, identity } = doors;
    let serves = |family| families.contains(&family);
    let mut routes = operations::health();
    if serves(Serves::Metrics) {
        routes = routes.merge(operations::metrics());
    }
    let mut routes = routes.with_state(front.clone());
    if let Some(state) = homeserver {
        routes = routes.merge(homeserver_routes(serves).with_state(state));
    }
    if let Some(state) = identity.filter(|_| serves(Serves::Identity)) {
        routes = routes.merge(identity::routes().with_state(state));
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
        .layer(middleware::from_fn_with_state(front, door::pass))
}

fn homeserver_routes(serves: impl Fn(Serves) -> bool) -> Router<State> {
    let mut routes = Router::new();
    if serves(Serves::Client) {
        routes = routes.merge(client::routes()).merge(well_known::client());
    }
    if serves(Serves::Admin) {
        routes = routes.merge(admin::routes());
    }
    if serves(Serves::Federation) {
        routes = routes.merge(well_known::server()).merge(federation::routes());
    }
    if serves(Serves::Client) || serves(Serves::Federation) {
        routes = routes.merge(well_known::support());
    }
    routes
}
