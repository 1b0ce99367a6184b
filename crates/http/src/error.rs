//! The one place where errors become Matrix errors.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#standard-error-response>

use std::{borrow::Cow, fmt::Display, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use roost_matrix::error::ErrCode;
use serde_json::{Map, Value};

/// A Matrix error: an HTTP status and a JSON body with `errcode` and `error`.
#[derive(Debug)]
pub struct Error {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code; `None` only where the specification wants a body without one (the first step of user-interactive
    /// authentication).
    pub errcode: Option<ErrCode>,
    /// For humans.
    pub message: Cow<'static, str>,
    /// Further members of the body.
    pub extra: Map<String, Value>,
}

impl Error {
    /// An error with a status, a code and a message.
    pub fn new(status: StatusCode, errcode: ErrCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, errcode: Some(errcode), message: message.into(), extra: Map::new() }
    }

    /// The 401 of user-interactive authentication: `body` says what is left to do.
    #[must_use]
    pub fn interactive(body: Map<String, Value>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, errcode: None, message: Cow::Borrowed(""), extra: body }
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// 400 with a code.
    pub fn bad_request(errcode: ErrCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, errcode, message)
    }

    /// 400 `M_NOT_JSON`.
    pub fn not_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request(ErrCode::NotJson, message)
    }

    /// 400 `M_BAD_JSON`.
    pub fn bad_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request(ErrCode::BadJson, message)
    }

    /// 400 `M_MISSING_PARAM`.
    pub fn missing_param(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request(ErrCode::MissingParam, message)
    }

    /// 400 `M_INVALID_PARAM`.
    pub fn invalid_param(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request(ErrCode::InvalidParam, message)
    }

    /// 401 `M_MISSING_TOKEN`.
    #[must_use]
    pub fn missing_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrCode::MissingToken, "This endpoint needs an access token")
    }

    /// 401 `M_UNKNOWN_TOKEN`; `soft_logout` tells the client to keep its data and log in or refresh again.
    #[must_use]
    pub fn unknown_token(soft_logout: bool) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrCode::UnknownToken, "The access token is not known")
            .with("soft_logout", soft_logout)
    }

    /// 401 `M_USER_LOCKED`: the account can do nothing until an administrator unlocks it, and keeps its session.
    #[must_use]
    pub fn user_locked() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrCode::UserLocked, "This account has been locked")
            .with("soft_logout", true)
    }

    /// 403 `M_FORBIDDEN`.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrCode::Forbidden, message)
    }

    /// 404 `M_NOT_FOUND`.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrCode::NotFound, message)
    }

    /// 404 `M_UNRECOGNIZED`: no such endpoint.
    #[must_use]
    pub fn unrecognized() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrCode::Unrecognized, "There is no such endpoint")
    }

    /// 413 `M_TOO_LARGE`.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrCode::TooLarge, message)
    }

    /// 429 `M_LIMIT_EXCEEDED`, with `Retry-After` and `retry_after_ms`.
    #[must_use]
    pub fn limit_exceeded(wait: Duration) -> Self {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        Self::new(StatusCode::TOO_MANY_REQUESTS, ErrCode::LimitExceeded, "Too many requests; try again later")
            .with("retry_after_ms", wait)
    }

    /// 500 `M_UNKNOWN`; the cause goes to the log, not to the client.
    pub fn internal(cause: impl Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrCode::Unknown, "The server failed to answer this request")
    }

    /// 503 `M_UNKNOWN`: it can not be done now, and may be tried again.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrCode::Unknown, message)
    }
}

impl From<roost_users::Error> for Error {
    fn from(error: roost_users::Error) -> Self {
        use roost_users::Error as E;

        let text = error.to_string();
        let (status, errcode) = match error {
            E::Store(_) => return Self::internal(error),
            E::Rooms(error) => return error.into(),
            // More logins wait than there are cores to check them.
            E::Hashing => return Self::unavailable(text),
            E::RefreshToken => return Self::unknown_token(false),
            E::Locked => return Self::user_locked(),
            E::InvalidUsername => (StatusCode::BAD_REQUEST, ErrCode::InvalidUsername),
            E::UserInUse => (StatusCode::BAD_REQUEST, ErrCode::UserInUse),
            E::UnfitPassword
            | E::UnfitRegistrationToken
            | E::InvalidDeviceId
            | E::DeviceName
            | E::InvalidProfileKey
            | E::AccountDataType
            | E::TagName
            | E::TooManyTags
            | E::Thread(_) => (StatusCode::BAD_REQUEST, ErrCode::InvalidParam),
            E::ProfileKeyTooLarge => (StatusCode::BAD_REQUEST, ErrCode::KeyTooLarge),
            E::ProfileTooLarge => (StatusCode::BAD_REQUEST, ErrCode::ProfileTooLarge),
            E::ProfileValue(_) => (StatusCode::BAD_REQUEST, ErrCode::BadJson),
            E::TooMuchAccountData => (StatusCode::BAD_REQUEST, ErrCode::TooLarge),
            // The specification wants this code with this status.
            E::ServerControlled(_) => (StatusCode::METHOD_NOT_ALLOWED, ErrCode::BadJson),
            E::RegistrationToken | E::Credentials | E::NotJoined => (StatusCode::FORBIDDEN, ErrCode::Forbidden),
            E::Deactivated => (StatusCode::FORBIDDEN, ErrCode::UserDeactivated),
            E::UnknownDevice | E::UnknownUser | E::UnknownEvent | E::UnknownRoom => {
                (StatusCode::NOT_FOUND, ErrCode::NotFound)
            }
        };
        Self::new(status, errcode, text)
    }
}

impl From<roost_rooms::Error> for Error {
    fn from(error: roost_rooms::Error) -> Self {
        use roost_rooms::Error as E;

        let text = error.to_string();
        let (status, errcode) = match error {
            E::Store(_) | E::Damaged(_) => return Self::internal(error),
            E::Stopping => return Self::unavailable(text),
            E::UnknownRoom | E::NotFound(_) => (StatusCode::NOT_FOUND, ErrCode::NotFound),
            E::Forbidden(_) => (StatusCode::FORBIDDEN, ErrCode::Forbidden),
            E::InviteBlocked(_) => (StatusCode::FORBIDDEN, ErrCode::InviteBlocked),
            E::BadJson(_) => (StatusCode::BAD_REQUEST, ErrCode::BadJson),
            E::InvalidParam(_) => (StatusCode::BAD_REQUEST, ErrCode::InvalidParam),
            E::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrCode::TooLarge),
            E::BadAlias(_) => (StatusCode::BAD_REQUEST, ErrCode::BadAlias),
            E::AliasTaken(_) => (StatusCode::CONFLICT, ErrCode::Unknown),
            E::UnsupportedVersion(_) => (StatusCode::BAD_REQUEST, ErrCode::UnsupportedRoomVersion),
            E::InvalidRoomState(_) => (StatusCode::BAD_REQUEST, ErrCode::InvalidRoomState),
            E::BadState(_) => (StatusCode::FORBIDDEN, ErrCode::BadState),
            E::NotLeft => (StatusCode::BAD_REQUEST, ErrCode::Unknown),
        };
        Self::new(status, errcode, text)
    }
}

impl From<roost_identity::Error> for Error {
    fn from(error: roost_identity::Error) -> Self {
        use roost_identity::Error as E;

        let text = error.to_string();
        let (status, errcode) = match error {
            E::Store(_) | E::Unusable(_) => return Self::internal(error),
            E::InvalidEmail => (StatusCode::BAD_REQUEST, ErrCode::InvalidEmail),
            E::InvalidAddress => (StatusCode::BAD_REQUEST, ErrCode::InvalidAddress),
            E::InvalidParam(_) | E::UnknownMedium | E::UnknownAlgorithm => {
                (StatusCode::BAD_REQUEST, ErrCode::InvalidParam)
            }
            E::InviteMedium => (StatusCode::BAD_REQUEST, ErrCode::Unrecognized),
            E::UnknownToken | E::OpenId => (StatusCode::UNAUTHORIZED, ErrCode::Unauthorized),
            E::Homeserver(problem) => {
                tracing::info!(problem, "a homeserver can not be asked");
                (StatusCode::BAD_REQUEST, ErrCode::ConnectionFailed)
            }
            E::TermsNotSigned => (StatusCode::FORBIDDEN, ErrCode::TermsNotSigned),
            E::Forbidden(_) => (StatusCode::FORBIDDEN, ErrCode::Forbidden),
            E::NoSession => (StatusCode::NOT_FOUND, ErrCode::NoValidSession),
            E::SessionExpired => (StatusCode::BAD_REQUEST, ErrCode::SessionExpired),
            E::NotValidated => (StatusCode::BAD_REQUEST, ErrCode::SessionNotValidated),
            E::TokenIncorrect => (StatusCode::BAD_REQUEST, ErrCode::TokenIncorrect),
            E::EmailSend => (StatusCode::BAD_REQUEST, ErrCode::EmailSendError),
            E::SmsSend => (StatusCode::BAD_REQUEST, ErrCode::SendError),
            E::DestinationRejected => (StatusCode::BAD_REQUEST, ErrCode::DestinationRejected),
            E::InvalidPepper => (StatusCode::BAD_REQUEST, ErrCode::InvalidPepper),
            E::TooManyAddresses(_) => (StatusCode::PAYLOAD_TOO_LARGE, ErrCode::TooLarge),
            E::InUse(user) => {
                return Self::bad_request(ErrCode::ThreepidInUse, text).with("mxid", user.as_str());
            }
            E::UnknownInvite => (StatusCode::NOT_FOUND, ErrCode::Unrecognized),
        };
        Self::new(status, errcode, text)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut body = self.extra;
        let wait = body.get("retry_after_ms").and_then(Value::as_u64);
        if let Some(errcode) = self.errcode {
            body.insert("errcode".to_owned(), errcode.as_str().into());
            body.insert("error".to_owned(), self.message.into_owned().into());
        }
        let mut response = (self.status, Value::Object(body).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let (StatusCode::TOO_MANY_REQUESTS, Some(wait)) = (self.status, wait) {
            headers.insert(header::RETRY_AFTER, wait.div_ceil(1000).into());
        }
        response
    }
}

impl From<roost_users::PushRuleError> for Error {
    fn from(error: roost_users::PushRuleError) -> Self {
        use roost_users::PushRuleError as E;

        let text = error.to_string();
        let (status, errcode) = match error {
            E::Store(_) => return Self::internal(error),
            E::NotFound => return Self::not_found(text),
            E::NoSuchNeighbour(_) => (StatusCode::BAD_REQUEST, ErrCode::Unknown),
            E::InvalidId(_) | E::Invalid(_) => (StatusCode::BAD_REQUEST, ErrCode::InvalidParam),
            E::Missing(_) => (StatusCode::BAD_REQUEST, ErrCode::MissingParam),
            E::TooLarge(_) => return Self::too_large(text),
        };
        Self::new(status, errcode, text)
    }
}

impl From<roost_sync::Error> for Error {
    fn from(error: roost_sync::Error) -> Self {
        // Nothing that a client asks of /sync can be wrong at this point.
        Self::internal(error)
    }
}

impl From<roost_sync::FilterError> for Error {
    fn from(error: roost_sync::FilterError) -> Self {
        match &error {
            roost_sync::FilterError::NotJson(_) => Self::not_json(error.to_string()),
            roost_sync::FilterError::Malformed(_) => Self::bad_json(error.to_string()),
        }
    }
}
