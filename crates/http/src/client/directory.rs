//! The room directory: aliases, and the published list.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

mod list;
mod room;

use axum::Router;

use crate::State;

pub(super) fn routes() -> Router<State> {
    Router::new().merge(list::routes()).merge(room::routes())
}
