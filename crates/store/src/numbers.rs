//! Numbers: the interned ids of rooms, users and events, positions in the log, and how new ones are handed out.

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for crate::Value<'_> {
            fn from(number: $name) -> Self {
                Self::Int(number.0)
            }
        }

        impl From<&$name> for crate::Value<'_> {
            fn from(number: &$name) -> Self {
                Self::Int(number.0)
            }
        }

        impl From<Option<$name>> for crate::Value<'_> {
            fn from(number: Option<$name>) -> Self {
                number.map_or(Self::Null, Self::from)
            }
        }

        impl From<&[$name]> for crate::Value<'_> {
            fn from(numbers: &[$name]) -> Self {
                Self::Numbers(numbers.iter().map(|number| number.0).collect())
            }
        }

        impl From<&Vec<$name>> for crate::Value<'_> {
            fn from(numbers: &Vec<$name>) -> Self {
                Self::from(numbers.as_slice())
            }
        }

        impl crate::FromCell for $name {
            const EXPECTED: &'static str = stringify!($name);

            fn from_cell(cell: crate::Cell<'_>) -> Option<Self> {
                i64::from_cell(cell).map(Self)
            }
        }
    )*};
}

numbers! {
    /// A user, local or remote.
    UserNo;
    /// A room.
    RoomNo;
    /// An event.
    EventNo;
    /// A pair of event type and state key.
    StateKeyNo;
    /// A snapshot of a room's state.
    SnapshotNo;
    /// A place in the log. Positions are handed out in order of commit, the first change has 1, and 0 is before
    /// everything. They are not always consecutive: a new generation leaps.
    Position;
    /// One life of the log. A restored, imported or copied database begins a new one, and what carries an older one
    /// (a token, a transaction id) is not comparable with its positions.
    Generation;
}

impl Position {
    /// Before the first change.
    pub const START: Self = Self(0);
}

/// A series of numbers. A node takes blocks of them, so they are unique and grow on each node, but they do not
/// order what happened on several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sequence {
    /// [`UserNo`].
    User,
    /// [`RoomNo`].
    Room,
    /// [`EventNo`].
    Event,
    /// [`StateKeyNo`].
    StateKey,
    /// Blocks of state maps.
    StateBlock,
    /// [`SnapshotNo`].
    Snapshot,
    /// Segments of a room's history.
    Segment,
    /// Sessions.
    Session,
    /// Stored filters.
    Filter,
    /// To-device messages.
    ToDevice,
    /// Whatever has few rows and no sequence of its own.
    Other,
}

impl Sequence {
    /// Its name in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Room => "room",
            Self::Event => "event",
            Self::StateKey => "state_key",
            Self::StateBlock => "state_block",
            Self::Snapshot => "snapshot",
            Self::Segment => "segment",
            Self::Session => "session",
            Self::Filter => "filter",
            Self::ToDevice => "to_device",
            Self::Other => "other",
        }
    }
}
