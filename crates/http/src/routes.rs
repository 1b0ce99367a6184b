//! The paths of the Client-Server API.

use axum::{Router, routing::MethodRouter};

use crate::State;

/// Puts endpoints under the prefixes that clients use.
pub(crate) trait ClientRoutes {
    /// `path` (from the slash on) below `/_matrix/client/v3` and `/_matrix/client/r0`.
    fn client(self, path: &str, handlers: MethodRouter<State>) -> Self;
    /// `path` below `/_matrix/client/v1`.
    fn client_v1(self, path: &str, handlers: MethodRouter<State>) -> Self;
}

impl ClientRoutes for Router<State> {
    fn client(self, path: &str, handlers: MethodRouter<State>) -> Self {
        self.route(&format!("/_matrix/client/v3{path}"), handlers.clone())
            .route(&format!("/_matrix/client/r0{path}"), handlers)
    }

    fn client_v1(self, path: &str, handlers: MethodRouter<State>) -> Self {
        self.route(&format!("/_matrix/client/v1{path}"), handlers)
    }
}
