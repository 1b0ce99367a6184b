//! What goes wrong between servers.

use roost_matrix::{
    canonical_json::JsonError,
    ids::{OwnedServerName, ServerName},
    room_version::RoomVersion,
};

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
    /// The server answers with an error of its own.
    #[error("{server} refuses: {message}")]
    Refused {
        /// The server.
        server: OwnedServerName,
        /// The HTTP status.
        status: u16,
        /// The Matrix error code; empty when there is none.
        errcode: String,
        /// What it says.
        message: String,
    },
    /// The server's answer is not what it should be.
    #[error("{server} answers something else than it should: {why}")]
    Answer {
        /// The server.
        server: OwnedServerName,
        /// What is wrong.
        why: String,
    },
    /// The asking server does not know the room's version.
    #[error("your server does not support room version {}", .0.as_str())]
    Incompatible(RoomVersion),
    /// None of the servers that could have helped did.
    #[error("no other server could help")]
    Nobody,
    /// The rooms here.
    #[error(transparent)]
    Rooms(#[from] roost_rooms::Error),
    /// A body is no JSON that can be signed.
    #[error("not JSON that can be signed: {0}")]
    Json(#[from] JsonError),
}

impl Error {
    /// From an answer with an error status.
    pub(crate) fn refused(server: &ServerName, status: u16, body: &[u8]) -> Self {
        #[derive(serde::Deserialize, Default)]
        struct Body {
            #[serde(default)]
            errcode: String,
            #[serde(default)]
            error: String,
        }
        let Body { errcode, error } = serde_json::from_slice(body).unwrap_or_default();
        // It is repeated to people here, so that it must not be a book.
        let message = if error.is_empty() { format!("status {status}") } else { error.chars().take(300).collect() };
        Self::Refused { server: server.to_owned(), status, errcode: errcode.chars().take(100).collect(), message }
    }
}
