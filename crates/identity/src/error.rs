//! What can go wrong with identities.

use roost_matrix::ids::OwnedUserId;

/// What can go wrong with identities.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] roost_store::Error),
    /// What is stored or configured is of no use; the text says what.
    #[error("{0}")]
    Unusable(&'static str),

    /// The text is no mail address.
    #[error("this is not a mail address")]
    InvalidEmail,
    /// The text is no phone number.
    #[error("this is not a phone number")]
    InvalidAddress,
    /// A parameter does not keep to its grammar; the text says which.
    #[error("{0}")]
    InvalidParam(&'static str),
    /// No such kind of address is known here.
    #[error("this server knows addresses of the kinds email and msisdn")]
    UnknownMedium,
    /// Invitations are by mail only.
    #[error("only mail addresses can be invited")]
    InviteMedium,

    /// The access token is unknown.
    #[error("the access token is not known")]
    UnknownToken,
    /// The homeserver does not vouch for the OpenID token.
    #[error("the homeserver does not know this OpenID token")]
    OpenId,
    /// The homeserver can not be asked. The text says why, for the operator: to others it would tell what this server can reach.
    #[error("the homeserver can not be asked at the moment")]
    Homeserver(String),
    /// Terms are still to be accepted.
    #[error("please accept the terms of service of this server first")]
    TermsNotSigned,
    /// The caller may not do this; the text says why.
    #[error("{0}")]
    Forbidden(&'static str),

    /// There is no such session, or the secret is not the one that it was begun with.
    #[error("there is no session with this sid and client_secret")]
    NoSession,
    /// The session is too old.
    #[error("this session has expired; begin another one")]
    SessionExpired,
    /// The address has not been proved in this session yet.
    #[error("this session has not been validated yet")]
    NotValidated,
    /// The token is not the one that was sent, or too many wrong ones were tried.
    #[error("this is not the token that was sent")]
    TokenIncorrect,

    /// No mail can be sent at the moment, or none to this address.
    #[error("the mail could not be sent")]
    EmailSend,
    /// No SMS can be sent at the moment, or none to this number.
    #[error("the message could not be sent")]
    SmsSend,
    /// No gateway serves the number's country.
    #[error("this server sends no messages to this country")]
    DestinationRejected,

    /// The pepper is not, or no longer, the server's.
    #[error("this is not the server's pepper; maybe it has changed")]
    InvalidPepper,
    /// The algorithm of a lookup is not one of the server's.
    #[error("this server does not know this algorithm")]
    UnknownAlgorithm,
    /// A lookup asks for too many addresses.
    #[error("at most {0} addresses can be looked up at once")]
    TooManyAddresses(usize),
    /// The address is bound already.
    #[error("this address belongs to somebody already")]
    InUse(OwnedUserId),
    /// No invitation has this token.
    #[error("no invitation has this token")]
    UnknownInvite,
}
