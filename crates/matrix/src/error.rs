//! The specification's error codes.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// An error code of the specification, as it stands in an answer's `errcode`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrCode {
            /// The code's text, such as `M_FORBIDDEN`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

codes! {
    /// Application services can not log in this way here.
    AppserviceLoginUnsupported = "M_APPSERVICE_LOGIN_UNSUPPORTED",
    /// An alias in `m.room.canonical_alias` does not point to the room, or is not an alias.
    BadAlias = "M_BAD_ALIAS",
    /// Valid JSON, but not what the endpoint wants: missing keys, wrong types or values.
    BadJson = "M_BAD_JSON",
    /// The state change can not be performed, such as unbanning a user who is not banned.
    BadState = "M_BAD_STATE",
    /// A third-party server answered with an unexpected status.
    BadStatus = "M_BAD_STATUS",
    /// The room of server notices can not be left.
    CannotLeaveServerNoticeRoom = "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM",
    /// Media with this id is uploaded already.
    CannotOverwriteMedia = "M_CANNOT_OVERWRITE_MEDIA",
    /// The captcha was not solved.
    CaptchaInvalid = "M_CAPTCHA_INVALID",
    /// A captcha is required.
    CaptchaNeeded = "M_CAPTCHA_NEEDED",
    /// The connection to a third party failed.
    ConnectionFailed = "M_CONNECTION_FAILED",
    /// The connection to a third party timed out.
    ConnectionTimeout = "M_CONNECTION_TIMEOUT",
    /// The address or number may not be sent to.
    DestinationRejected = "M_DESTINATION_REJECTED",
    /// The user has reacted to this event with this key already.
    DuplicateAnnotation = "M_DUPLICATE_ANNOTATION",
    /// The e-mail could not be sent.
    EmailSendError = "M_EMAIL_SEND_ERROR",
    /// The resource is reserved by an application service.
    Exclusive = "M_EXCLUSIVE",
    /// Access is forbidden, for example without permission or with a wrong password.
    Forbidden = "M_FORBIDDEN",
    /// The room or resource does not permit guests.
    GuestAccessForbidden = "M_GUEST_ACCESS_FORBIDDEN",
    /// The room has a version the other side does not support.
    IncompatibleRoomVersion = "M_INCOMPATIBLE_ROOM_VERSION",
    /// The address is not valid.
    InvalidAddress = "M_INVALID_ADDRESS",
    /// The e-mail address is not valid.
    InvalidEmail = "M_INVALID_EMAIL",
    /// A parameter has the wrong value.
    InvalidParam = "M_INVALID_PARAM",
    /// The pepper is not the server's current one.
    InvalidPepper = "M_INVALID_PEPPER",
    /// The initial state given to createRoom is invalid.
    InvalidRoomState = "M_INVALID_ROOM_STATE",
    /// A signature is not valid.
    InvalidSignature = "M_INVALID_SIGNATURE",
    /// The user name is not valid.
    InvalidUsername = "M_INVALID_USERNAME",
    /// The invited user does not want this invite.
    InviteBlocked = "M_INVITE_BLOCKED",
    /// A key of a profile field is too long.
    KeyTooLarge = "M_KEY_TOO_LARGE",
    /// Too many requests in a short time.
    LimitExceeded = "M_LIMIT_EXCEEDED",
    /// Too many delayed events are waiting.
    MaxDelayedEventsExceeded = "M_MAX_DELAYED_EVENTS_EXCEEDED",
    /// A required parameter is missing.
    MissingParam = "M_MISSING_PARAM",
    /// Parameters are missing (identity service).
    MissingParams = "M_MISSING_PARAMS",
    /// No access token was given.
    MissingToken = "M_MISSING_TOKEN",
    /// No resource was found for this request.
    NotFound = "M_NOT_FOUND",
    /// The request does not hold valid JSON.
    NotJson = "M_NOT_JSON",
    /// The content is not uploaded yet.
    NotYetUploaded = "M_NOT_YET_UPLOADED",
    /// There is no such validation session.
    NoValidSession = "M_NO_VALID_SESSION",
    /// The profile would grow too large.
    ProfileTooLarge = "M_PROFILE_TOO_LARGE",
    /// The homeserver has reached one of its limits.
    ResourceLimitExceeded = "M_RESOURCE_LIMIT_EXCEEDED",
    /// The room alias is taken.
    RoomInUse = "M_ROOM_IN_USE",
    /// The message could not be sent.
    SendError = "M_SEND_ERROR",
    /// The third-party server is not trusted.
    ServerNotTrusted = "M_SERVER_NOT_TRUSTED",
    /// The validation session has expired.
    SessionExpired = "M_SESSION_EXPIRED",
    /// The validation session is not validated.
    SessionNotValidated = "M_SESSION_NOT_VALIDATED",
    /// Terms of service have to be accepted first.
    TermsNotSigned = "M_TERMS_NOT_SIGNED",
    /// The third-party identifier could not be authenticated.
    ThreepidAuthFailed = "M_THREEPID_AUTH_FAILED",
    /// The third-party identifier is not permitted.
    ThreepidDenied = "M_THREEPID_DENIED",
    /// The third-party identifier is in use.
    ThreepidInUse = "M_THREEPID_IN_USE",
    /// The medium of the third-party identifier is not supported.
    ThreepidMediumNotSupported = "M_THREEPID_MEDIUM_NOT_SUPPORTED",
    /// No such third-party identifier is known.
    ThreepidNotFound = "M_THREEPID_NOT_FOUND",
    /// The validation token is wrong.
    TokenIncorrect = "M_TOKEN_INCORRECT",
    /// The request or entity is too large.
    TooLarge = "M_TOO_LARGE",
    /// No server in the room can tell whether the join is allowed.
    UnableToAuthoriseJoin = "M_UNABLE_TO_AUTHORISE_JOIN",
    /// This server can not grant the join; another one may.
    UnableToGrantJoin = "M_UNABLE_TO_GRANT_JOIN",
    /// The request is not authorised.
    Unauthorized = "M_UNAUTHORIZED",
    /// The device given by an application service is unknown.
    UnknownDevice = "M_UNKNOWN_DEVICE",
    /// The position is unknown to the server; begin anew.
    UnknownPos = "M_UNKNOWN_POS",
    /// The access or refresh token is not known.
    UnknownToken = "M_UNKNOWN_TOKEN",
    /// An unknown error.
    Unknown = "M_UNKNOWN",
    /// The server does not know this endpoint, or not this method.
    Unrecognized = "M_UNRECOGNIZED",
    /// The room version is not supported.
    UnsupportedRoomVersion = "M_UNSUPPORTED_ROOM_VERSION",
    /// The application service has no URL.
    UrlNotSet = "M_URL_NOT_SET",
    /// The user is deactivated.
    UserDeactivated = "M_USER_DEACTIVATED",
    /// The user id is taken.
    UserInUse = "M_USER_IN_USE",
    /// A limit of the user's account is reached.
    UserLimitExceeded = "M_USER_LIMIT_EXCEEDED",
    /// The account is locked.
    UserLocked = "M_USER_LOCKED",
    /// The account is suspended.
    UserSuspended = "M_USER_SUSPENDED",
    /// The password is too weak.
    WeakPassword = "M_WEAK_PASSWORD",
    /// The key backup has another version.
    WrongRoomKeysVersion = "M_WRONG_ROOM_KEYS_VERSION",
}

impl std::fmt::Display for ErrCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ErrCode;

    #[test]
    fn a_code_is_written_as_in_the_specification() {
        assert_eq!(ErrCode::UnknownToken.to_string(), "M_UNKNOWN_TOKEN");
    }
}
