//! What is measured. A scenario prepares what it needs and then runs one bounded round at a time, so that the rounds of
//! several servers can be interleaved.

mod accounts;
mod fanout;
mod reads;
mod sends;
mod syncs;

use clap::ValueEnum;
use http::HeaderValue;

use crate::api::{User, room_path};
use crate::client::{Connection, Failure};
use crate::fixtures::Workbench;
use crate::limits::Limits;
use crate::measure::{Bound, Limit, Run};
use crate::target::Target;

/// One thing to measure.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// New accounts, four clients at once
    Registration,
    /// Logins by password, four clients at once
    Login,
    /// Messages: one sender, one room, one after the other
    Send1x1,
    /// Messages: 20 senders at once in one room
    Send1x20,
    /// Messages: 20 senders at once, each in a room of its own
    Send20x20,
    /// Messages into a room of 2,000 members, 20 requests at once, beside the same in a room of two
    SendBig,
    /// From sending a message to its arrival at the last of 50 syncing members
    FanOut,
    /// Incremental /sync of 200 rooms in which nothing is new, 8 clients at once
    SyncIdle,
    /// First /sync of 200 rooms
    SyncInitial,
    /// Joining a room of 2,000 members
    JoinBig,
    /// /members of a room of 2,000
    MembersBig,
    /// createRoom, one after the other
    CreateRoom,
    /// State events: 20 senders at once, each in a room of its own, each event under a key of its own
    State,
    /// /messages of 100 events
    Messages,
}

/// Whether the rate or the time of one operation is the figure that servers are compared by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Rate,
    Time,
}

impl Scenario {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What is measured, in words.
    pub(crate) fn title(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Which figure counts.
    pub(crate) fn figure(self) -> Figure {
        match self {
            Self::FanOut | Self::SyncInitial | Self::JoinBig | Self::MembersBig => Figure::Time,
            _ => Figure::Rate,
        }
    }

    /// What a run without a measured limit of its own is held against.
    pub(crate) fn limit(self, limits: &Limits, bytes: Option<u64>) -> Option<Limit> {
        let times = |what, once: std::time::Duration| Some(Limit { what, rate: 1.0 / once.as_secs_f64().max(1e-9) });
        match self {
            Self::Send1x1 | Self::CreateRoom | Self::JoinBig => {
                times("fsync + signature + SHA-256 of one event", limits.one_event())
            }
            Self::Send1x20 | Self::Send20x20 | Self::State => times("ed25519 signatures of one core", limits.signature),
            Self::FanOut => times("50 socket writes", limits.fifty_writes),
            Self::SyncInitial => {
                let share = f64::from(u32::try_from(bytes?).ok()?) / f64::from(1 << 20);
                times("its bytes at memory speed", limits.megabyte.mul_f64(share))
            }
            _ => None,
        }
    }

    /// Makes what the rounds need, if it is not there yet.
    pub(crate) async fn prepare(self, bench: &mut Workbench) -> Result<(), Failure> {
        match self {
            Self::Registration => Ok(()),
            Self::Login => bench.users(4).await.map(drop),
            Self::Send1x20 => bench.shared_room().await.map(drop),
            Self::Send1x1 | Self::CreateRoom | Self::Send20x20 | Self::State => bench.own_rooms().await.map(drop),
            Self::FanOut => bench.fan_room().await.map(drop),
            Self::SyncIdle | Self::SyncInitial => bench.many_rooms().await.map(drop),
            Self::JoinBig | Self::MembersBig => bench.big_room().await.map(drop),
            Self::SendBig => {
                bench.pair_room().await?;
                bench.big_room().await.map(drop)
            }
            Self::Messages => bench.history_room().await.map(drop),
        }
    }

    /// One round.
    pub(crate) async fn round(self, bench: &mut Workbench, bound: Bound) -> Result<Run, Failure> {
        match self {
            Self::Registration => accounts::registration(bench, bound).await,
            Self::Login => accounts::login(bench, bound).await,
            Self::Send1x1 => sends::one_sender(bench, bound).await,
            Self::Send1x20 => sends::one_room(bench, bound).await,
            Self::Send20x20 => sends::own_rooms(bench, bound).await,
            Self::SendBig => sends::big_room(bench, bound).await,
            Self::FanOut => fanout::fan_out(bench, bound).await,
            Self::SyncIdle => syncs::idle(bench, bound).await,
            Self::SyncInitial => syncs::initial(bench, bound).await,
            Self::JoinBig => accounts::join_big(bench, bound).await,
            Self::MembersBig => reads::members(bench, bound).await,
            Self::CreateRoom => accounts::create_room(bench, bound).await,
            Self::State => sends::state(bench, bound).await,
            Self::Messages => reads::messages(bench, bound).await,
        }
    }
}

/// One client of a round: its connection, who it is, and the room it speaks to.
struct Lane {
    connection: Connection,
    bearer: HeaderValue,
    room: String,
}

impl Lane {
    fn new(target: &Target, user: &User, room: &str) -> Result<Self, Failure> {
        Ok(Self { connection: target.connection(), bearer: user.bearer()?, room: room_path(room) })
    }
}
