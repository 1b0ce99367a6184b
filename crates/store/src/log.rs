//! The log: what changed, in the order in which it was committed.

use std::time::Duration;

use roost_world::{Stop, World};

use crate::{Entry, Error, EventNo, Generation, Position, Read, RoomNo, Row, Store, Tx, UserNo, params, statements};

statements! {
    HEAD = "SELECT position, generation, horizon FROM log_head";
    SINCE = "SELECT position, kind, room_no, user_no, item_no, detail FROM log \
             WHERE position > $1 ORDER BY position LIMIT $2";
    SLOWEST = "SELECT CAST(min(position) AS BIGINT) FROM cursors WHERE generation = $1";
    FORGET = "DELETE FROM log WHERE position <= $1";
    RAISE = "UPDATE log_head SET horizon = $1 WHERE horizon < $1";
}

/// Lines of the log that are kept: whoever follows it from further back starts anew from the tables.
pub const KEPT: i64 = 1_000_000;
/// Lines removed by one write, so that it is short.
const STEP: i64 = 5_000;
/// How often there is a look for lines to remove.
const PAUSE: Duration = Duration::from_secs(60);

/// What a user is to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Membership {
    /// Invited.
    Invite,
    /// In the room.
    Join,
    /// Asked to be let in.
    Knock,
    /// Left, was kicked, or was never there.
    Leave,
    /// Banned.
    Ban,
}

impl Membership {
    /// The specification's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Join => "join",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }

    /// From the specification's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Invite, Self::Join, Self::Knock, Self::Leave, Self::Ban].into_iter().find(|known| known.as_str() == word)
    }

    /// As it stands in rows.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Invite => 1,
            Self::Join => 2,
            Self::Knock => 3,
            Self::Leave => 4,
            Self::Ban => 5,
        }
    }

    /// From a row.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        [Self::Invite, Self::Join, Self::Knock, Self::Leave, Self::Ban]
            .into_iter()
            .find(|known| known.number() == number)
    }
}

impl std::str::FromStr for Membership {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::parse(word).ok_or(())
    }
}

impl From<Membership> for crate::Value<'_> {
    fn from(membership: Membership) -> Self {
        Self::Int(membership.number())
    }
}

impl crate::FromCell for Membership {
    const EXPECTED: &'static str = "a membership";

    fn from_cell(cell: crate::Cell<'_>) -> Option<Self> {
        i64::from_cell(cell).and_then(Self::from_number)
    }
}

/// A change that others must hear of. It says where to look, not what is there: the tables have that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A live event in a room.
    Event {
        /// Where.
        room: RoomNo,
        /// Which.
        event: EventNo,
        /// Of a membership event: whose, and what it became.
        member: Option<(UserNo, Membership)>,
    },
    /// A membership became another one without a new event of its own: branches of the room's graph have met.
    Membership {
        /// Where.
        room: RoomNo,
        /// The membership event that counts now, or the event with which it happened when none does.
        event: EventNo,
        /// Whose.
        user: UserNo,
        /// What it became.
        membership: Membership,
    },
    /// A receipt or read marker.
    Receipt {
        /// Where.
        room: RoomNo,
        /// Whose.
        user: UserNo,
        /// Whether only they may see it.
        private: bool,
    },
    /// Account data, tags and push rules included.
    AccountData {
        /// Whose.
        user: UserNo,
        /// For one room, or global.
        room: Option<RoomNo>,
    },
    /// A profile.
    Profile {
        /// Whose.
        user: UserNo,
    },
    /// A user's list of devices or their keys.
    Devices {
        /// Whose.
        user: UserNo,
    },
    /// Sessions were revoked or changed: cached ones are to be dropped.
    Sessions {
        /// Whose.
        user: UserNo,
    },
    /// A message to a user's devices.
    ToDevice {
        /// Whose.
        user: UserNo,
    },
    /// A user has forgotten a room.
    Forgotten {
        /// Which.
        room: RoomNo,
        /// Who.
        user: UserNo,
    },
    /// Less is stored than before of an event, or of any events of a room: what is kept of it in memory is to be dropped.
    Removed {
        /// Where.
        room: RoomNo,
        /// Which; `None` for the room with all that it has.
        event: Option<EventNo>,
    },
    /// Something that a later release knows.
    Unknown {
        /// Its number.
        kind: i64,
    },
}

/// A change as its row has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) kind: i64,
    pub(crate) room: Option<i64>,
    pub(crate) user: Option<i64>,
    pub(crate) item: Option<i64>,
    pub(crate) detail: Option<i64>,
}

impl Change {
    /// As a row.
    pub(crate) fn columns(self) -> Columns {
        let none = Columns { kind: 0, room: None, user: None, item: None, detail: None };
        let of = |kind, user: UserNo| Columns { kind, user: Some(user.0), ..none };
        match self {
            Self::Event { room, event, member } => Columns {
                kind: 1,
                room: Some(room.0),
                user: member.map(|(user, _)| user.0),
                item: Some(event.0),
                detail: member.map(|(_, membership)| membership.number()),
            },
            Self::Membership { room, event, user, membership } => {
                Columns { room: Some(room.0), item: Some(event.0), detail: Some(membership.number()), ..of(9, user) }
            }
            Self::Receipt { room, user, private } => {
                Columns { room: Some(room.0), detail: Some(private.into()), ..of(2, user) }
            }
            Self::AccountData { user, room } => Columns { room: room.map(|room| room.0), ..of(3, user) },
            Self::Profile { user } => of(4, user),
            Self::Devices { user } => of(5, user),
            Self::Sessions { user } => of(6, user),
            Self::ToDevice { user } => of(7, user),
            Self::Forgotten { room, user } => Columns { room: Some(room.0), ..of(8, user) },
            Self::Removed { room, event } => {
                Columns { kind: 24, room: Some(room.0), item: event.map(|event| event.0), ..none }
            }
            Self::Unknown { kind } => Columns { kind, ..none },
        }
    }

    /// From a row; `None` when it lacks what its kind must have.
    pub(crate) fn from_columns(columns: Columns) -> Option<Self> {
        let user = columns.user.map(UserNo);
        let room = columns.room.map(RoomNo);
        Some(match columns.kind {
            1 => Self::Event {
                room: room?,
                event: EventNo(columns.item?),
                member: match (user, columns.detail) {
                    (Some(user), Some(detail)) => Some((user, Membership::from_number(detail)?)),
                    _ => None,
                },
            },
            2 => Self::Receipt { room: room?, user: user?, private: columns.detail == Some(1) },
            3 => Self::AccountData { user: user?, room },
            4 => Self::Profile { user: user? },
            5 => Self::Devices { user: user? },
            6 => Self::Sessions { user: user? },
            7 => Self::ToDevice { user: user? },
            8 => Self::Forgotten { room: room?, user: user? },
            9 => Self::Membership {
                room: room?,
                event: EventNo(columns.item?),
                user: user?,
                membership: Membership::from_number(columns.detail?)?,
            },
            24 => Self::Removed { room: room?, event: columns.item.map(EventNo) },
            kind => Self::Unknown { kind },
        })
    }
}

fn entry(row: &Row<'_>) -> Result<Entry, Error> {
    let columns =
        Columns { kind: row.get(1)?, room: row.get(2)?, user: row.get(3)?, item: row.get(4)?, detail: row.get(5)? };
    let change = Change::from_columns(columns).ok_or(Error::Inconsistent("a row of the log lacks a column"))?;
    Ok(Entry { position: row.get(0)?, change })
}

/// The last position, the generation, and the horizon: up to it the log has been compacted.
pub(crate) fn head(read: &Read<'_>) -> Result<(Position, Generation, Position), Error> {
    read.one(HEAD, params![], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .ok_or(Error::Inconsistent("the log has no head"))
}

/// The lines after `position`, at most `limit`.
pub(crate) fn page(read: &Read<'_>, position: Position, limit: u32) -> Result<Vec<Entry>, Error> {
    read.all(SINCE, params![position, limit], entry)
}

/// What the log holds after a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// The next changes, in order.
    Changes {
        /// At most as many as asked for.
        entries: Vec<Entry>,
        /// Up to where `entries` is complete: the last entry, or the frontier when there are no more.
        position: Position,
    },
    /// The log no longer reaches back to that position: the reader starts anew from the tables.
    Compacted,
}

/// The changes after `position`, at most `limit`, straight from the table: for readers that keep a cursor.
pub fn since(read: &Read<'_>, position: Position, limit: u32) -> Result<Since, Error> {
    let (frontier, _, horizon) = head(read)?;
    if position < horizon {
        return Ok(Since::Compacted);
    }
    let limit = limit.max(1);
    let entries = page(read, position, limit)?;
    let position = match entries.last() {
        Some(last) if entries.len() >= limit as usize => last.position,
        _ => frontier.max(position),
    };
    Ok(Since::Changes { entries, position })
}

/// Removes the oldest lines beyond the newest `keep`, at most [`STEP`] of them, and never what a saved cursor has yet to
/// read. Returns how many it removed.
pub(crate) fn compact(tx: &Tx<'_>, keep: i64) -> Result<u64, Error> {
    let (frontier, generation, horizon) = head(tx)?;
    let slowest: Option<i64> = tx.one(SLOWEST, params![generation], |row| row.get(0))?.flatten();
    let until = (frontier.0 - keep).min(horizon.0 + STEP).min(slowest.unwrap_or(i64::MAX));
    if until <= horizon.0 {
        return Ok(0);
    }
    tx.execute(RAISE, params![until])?;
    tx.execute(FORGET, params![until])
}

impl Store {
    /// Keeps the log from growing without end: the newest [`KEPT`] lines stay. Runs until told to stop.
    pub async fn compact_log(self, world: World, mut stop: Stop) {
        loop {
            match self.write(|tx| compact(tx, KEPT)).await {
                // There may be more.
                Ok(removed) if removed > 0 && !stop.is_set() => continue,
                Ok(_) => (),
                Err(error) => tracing::warn!(%error, "the log could not be compacted"),
            }
            tokio::select! {
                () = stop.wait() => return,
                () = world.clock.sleep(PAUSE) => (),
            }
        }
    }
}

#[cfg(test)]
mod tests;
