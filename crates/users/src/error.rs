//! What can go wrong with accounts.

/// What can go wrong with accounts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] roost_store::Error),
    /// The room engine refused or failed.
    #[error(transparent)]
    Rooms(#[from] roost_rooms::Error),
    /// A password could not be hashed or compared; never the user's fault.
    #[error("passwords can not be hashed at the moment")]
    Hashing,

    /// The wanted name is no localpart of a user id.
    #[error("a user name is made of a-z, 0-9 and . _ = - / + and the whole user id is at most 255 bytes long")]
    InvalidUsername,
    /// The wanted name belongs to somebody, or once did.
    #[error("this user name is taken")]
    UserInUse,
    /// A password that is empty or longer than [`MAX_PASSWORD_BYTES`](crate::MAX_PASSWORD_BYTES).
    #[error("a password has between 1 and 512 bytes")]
    UnfitPassword,
    /// The registration token is unknown, expired or used up.
    #[error("this registration token is not valid, or no longer")]
    RegistrationToken,
    /// A registration token's own text does not fit the grammar of one, or is taken.
    #[error("a registration token is made of 1 to 64 of 0-9 A-Z a-z . _ ~ - and unlike the others")]
    UnfitRegistrationToken,
    /// Wrong password, or nobody of that name: the two look alike.
    #[error("wrong user name or password")]
    Credentials,
    /// The account has been locked by an administrator.
    #[error("this account has been locked")]
    Locked,
    /// The account has been deactivated.
    #[error("this account has been deactivated")]
    Deactivated,
    /// A refresh token that is unknown or was replaced.
    #[error("unknown refresh token")]
    RefreshToken,
    /// A device id that is empty or too long.
    #[error("a device id has between 1 and 255 bytes")]
    InvalidDeviceId,
    /// A device name that is too long.
    #[error("a device's name has at most 1024 bytes")]
    DeviceName,
    /// The user has no such device.
    #[error("no such device")]
    UnknownDevice,
    /// No such user here.
    #[error("no such user")]
    UnknownUser,

    /// The name of a profile field does not fit the grammar.
    #[error("not the name of a profile field: displayname, avatar_url, m.tz or like com.example.field")]
    InvalidProfileKey,
    /// The name of a profile field is too long.
    #[error("the name of a profile field has at most 255 bytes")]
    ProfileKeyTooLarge,
    /// The profile would become too large.
    #[error("a profile must stay below 64 KiB")]
    ProfileTooLarge,
    /// A profile field's value is not what the field can hold.
    #[error("{0}")]
    ProfileValue(&'static str),

    /// Account data of a type that only the server may set.
    #[error("{0} can not be set through this API")]
    ServerControlled(&'static str),
    /// The name of a type of account data is too long.
    #[error("a type of account data has between 1 and 255 bytes")]
    AccountDataType,
    /// The user keeps more pieces of account data than anybody needs.
    #[error("this account has too many pieces of account data")]
    TooMuchAccountData,
    /// A tag that is too long.
    #[error("the name of a tag has between 1 and 255 bytes")]
    TagName,
    /// A room with more tags than anybody needs.
    #[error("this room has too many tags")]
    TooManyTags,

    /// A thread that a receipt can not be for; the text says why.
    #[error("{0}")]
    Thread(&'static str),
    /// The room has no such event, or the user may not see it.
    #[error("the room has no such event")]
    UnknownEvent,
    /// The room is not known here.
    #[error("no such room")]
    UnknownRoom,
    /// The user is not joined to the room.
    #[error("you are not joined to this room")]
    NotJoined,
}
