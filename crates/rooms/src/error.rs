//! What can go wrong with a room.

use std::sync::Arc;

/// Why a request about a room was not carried out. Cheap to clone, since a whole batch may get the same answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No such room here.
    #[error("This server does not know that room")]
    UnknownRoom,
    /// Something in the room does not exist, or the reader may not know that it does.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The authorisation rules of the room's version, or the endpoint's own conditions, forbid it.
    #[error("{0}")]
    Forbidden(String),
    /// The user wants no invitations.
    #[error("{0} does not accept invitations")]
    InviteBlocked(String),
    /// The request's JSON can not be made into an event.
    #[error("{0}")]
    BadJson(String),
    /// A parameter has a value that makes no sense.
    #[error("{0}")]
    InvalidParam(String),
    /// The event would be larger than events may be.
    #[error("The event is too large")]
    TooLarge,
    /// An alias in `m.room.canonical_alias` does not point to the room.
    #[error("The alias {0} does not point to this room")]
    BadAlias(String),
    /// The alias is taken.
    #[error("The alias {0} is taken")]
    AliasTaken(String),
    /// The room version is not known.
    #[error("This server does not support room version {0}")]
    UnsupportedVersion(String),
    /// What `createRoom` was asked for does not make a room.
    #[error("The room can not be created like this: {0}")]
    InvalidRoomState(String),
    /// The change makes no sense in the present state, such as to lift a ban that does not exist.
    #[error("{0}")]
    BadState(String),
    /// The user is still in the room that they want to forget.
    #[error("You are still in that room: leave it before forgetting it")]
    NotLeft,
    /// What is stored is not what this server would have stored.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// Not all members of the room are known yet.
    #[error("The members of this room are still being fetched, try again")]
    Partial,
    /// Others keep writing to the room.
    #[error("The room is too busy, try again")]
    Contended,
    /// The server is stopping.
    #[error("The server is stopping")]
    Stopping,
    /// The database failed.
    #[error(transparent)]
    Store(Arc<roost_store::Error>),
}

impl From<roost_store::Error> for Error {
    fn from(error: roost_store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Error {
    pub(crate) fn forbidden(why: impl Into<String>) -> Self {
        Self::Forbidden(why.into())
    }
}
