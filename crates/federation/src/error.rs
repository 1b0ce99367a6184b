//! What goes wrong between servers.

use roost_matrix::{canonical_json::JsonError, ids::OwnedServerName};

use crate::keys::AnswerError;

/// What can go wrong with another server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] roost_store::Error),
    /// The server can not be reached, or does not speak as it should.
    #[error("{server}: {source}")]
    Net {
        /// The server.
        server: OwnedServerName,
        /// Why.
        source: roost_net::Error,
    },
    /// The server answers with an error.
    #[error("{server} answers {status}")]
    Status {
        /// The server.
        server: OwnedServerName,
        /// The HTTP status.
        status: u16,
    },
    /// What the server says of its keys is of no use.
    #[error("{server}: {source}")]
    Keys {
        /// The server.
        server: OwnedServerName,
        /// Why.
        source: AnswerError,
    },
    /// The server has failed before and is not asked again yet.
    #[error("{server} has not answered lately and is asked again later")]
    BackedOff {
        /// The server.
        server: OwnedServerName,
    },
    /// A body is no JSON that can be signed.
    #[error("not JSON that can be signed: {0}")]
    Json(#[from] JsonError),
}
