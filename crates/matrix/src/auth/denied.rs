use thiserror::Error;

/// Which rule refuses an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Denied {
    // m.room.create
    /// A create event has `prev_events`.
    #[error("a create event must be the first event of its room")]
    CreateWithPrevEvents,
    /// Versions 1 to 11: the server in the room id is not the sender's.
    #[error("the room id belongs to another server than the creator's")]
    CreateOfAnotherServer,
    /// Version 12: the create event has a `room_id`.
    #[error("a create event has no room id in this room version")]
    CreateWithRoomId,
    /// `content.room_version` is not a version that is known.
    #[error("the create event names an unknown room version")]
    UnknownRoomVersion,
    /// Versions 1 to 10: no `content.creator`.
    #[error("the create event does not name the creator")]
    NoCreator,
    /// Version 12: `additional_creators` is not a list of user ids.
    #[error("the additional creators are not a list of user ids")]
    BadAdditionalCreators,

    // The event's auth_events
    /// Two auth events have the same type and state key.
    #[error("two auth events have the same type and state key")]
    DuplicateAuthEvent,
    /// An auth event is not one that the selection algorithm names for this event.
    #[error("an auth event is not among those that this event may cite")]
    UnexpectedAuthEvent,
    /// An auth event was itself rejected.
    #[error("an auth event was rejected")]
    RejectedAuthEvent,
    /// An auth event, or the create event of the state, is of another room.
    #[error("an auth event belongs to another room")]
    AnotherRoom,
    /// There is no create event among the auth events, or in the state.
    #[error("there is no create event")]
    NoCreateEvent,

    // Every event
    /// The room does not federate, and the sender is of another server than the creator.
    #[error("this room does not admit users of other servers")]
    NotFederated,
    /// Versions 1 to 5: an `m.room.aliases` event whose state key is not the sender's server.
    #[error("a server can set its own aliases only")]
    AliasesOfAnotherServer,
    /// The sender is not joined.
    #[error("the sender is not in the room")]
    SenderNotJoined,
    /// The sender's power level is below what this event type takes.
    #[error("the sender's power level is too low for this event")]
    RequiredLevel,
    /// The state key is the id of another user.
    #[error("the state key is the id of another user")]
    StateOfAnotherUser,
    /// A level in the room's `m.room.power_levels` event can not be read.
    #[error("the power levels of the room can not be read")]
    UnreadablePowerLevels,

    // m.room.member
    /// No `state_key`, no `membership`, or the state key is not a user id.
    #[error("a membership event needs a user and a membership")]
    BadMember,
    /// A membership that this room version does not know.
    #[error("unknown membership")]
    UnknownMembership,
    /// `join_authorised_via_users_server` is not a user id, so that no server can have signed for it.
    #[error("the authorising user is not a user id")]
    BadAuthorisingUser,
    /// A join or knock for somebody else.
    #[error("nobody can join or knock for another user")]
    JoinForAnother,
    /// The target is banned.
    #[error("the user is banned from the room")]
    Banned,
    /// The room takes an invitation, and there is none.
    #[error("the user is not invited to this room")]
    NotInvited,
    /// Restricted rooms: nobody in the room who may invite vouches for the join.
    #[error("nobody who may invite authorises this join")]
    NotAuthorisedByMember,
    /// The join rule admits nobody.
    #[error("the join rule of the room does not allow to join")]
    JoinRule,
    /// The join rule does not allow knocking.
    #[error("the join rule of the room does not allow to knock")]
    KnockRule,
    /// A knock by somebody who is joined, invited or banned.
    #[error("the user is in the room, invited or banned, and can not knock")]
    KnockWhileKnown,
    /// An invitation to somebody who is in the room.
    #[error("the user is already in the room")]
    AlreadyJoined,
    /// The sender's power level is below the invite level.
    #[error("the sender's power level is too low to invite")]
    InviteLevel,
    /// A user leaves who is not in the room, invited or knocking.
    #[error("the user is not in the room and can not leave it")]
    NothingToLeave,
    /// The sender's power level is below the ban level.
    #[error("the sender's power level is too low to unban")]
    UnbanLevel,
    /// The sender's power level is below the kick level, or not above the target's.
    #[error("the sender's power level is too low to remove this user")]
    KickLevel,
    /// The sender's power level is below the ban level, or not above the target's.
    #[error("the sender's power level is too low to ban this user")]
    BanLevel,
    /// `third_party_invite` without a `signed` object that has `mxid` and `token`.
    #[error("the third-party invite is not signed")]
    ThirdPartyUnsigned,
    /// `signed.mxid` is not the invited user.
    #[error("the third-party invite is for another user")]
    ThirdPartyForAnother,
    /// The room has no `m.room.third_party_invite` event with this token.
    #[error("the third-party invite is not known in the room")]
    ThirdPartyUnknown,
    /// The sender is not the one who made the third-party invite.
    #[error("the third-party invite was made by another user")]
    ThirdPartyByAnother,
    /// No signature in `signed` is by a key of the `m.room.third_party_invite` event.
    #[error("the third-party invite is not signed by a key of the room's event")]
    ThirdPartySignature,

    // m.room.power_levels
    /// A level is not of a form that this room version accepts.
    #[error("a power level is not an integer")]
    BadLevel,
    /// `users` is not an object of user ids and levels.
    #[error("the users of a power levels event must be user ids with levels")]
    BadUsers,
    /// Version 12: `users` names a creator.
    #[error("creators have no entry among the users of a power levels event")]
    CreatorInUsers,
    /// A changed level is, or would be, above the sender's own.
    #[error("a level above the sender's own can not be changed or set")]
    LevelAboveOwn,
    /// The level of a user who has as much power as the sender is changed.
    #[error("the level of a user with as much power can not be changed")]
    LevelOfEqual,

    // m.room.redaction
    /// Versions 1 and 2: neither the redact level nor the same server.
    #[error("the sender's power level is too low to redact this event")]
    RedactLevel,
}
