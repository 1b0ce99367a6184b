//! Who is typing where. Kept in memory only: a notice lives for seconds, and nobody asks for it after a restart.
//!
//! Every change of a room's list gets a serial. Serials start at the time of day, so that those of an earlier run of the
//! server lie below all of this run's, and a client that comes back after a restart is told anew.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use roost_matrix::ids::{OwnedUserId, UserId};
use roost_store::RoomNo;
use roost_world::{Stop, World};
use tokio::sync::{Notify, watch};

/// How long a notice lasts when the client does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that a notice lasts, whatever the client says.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(120);

/// Rooms in which nobody types any more but somebody did, kept so that readers hear of the end.
const MAX_EMPTIED: usize = 10_000;

/// The typing notices of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Typing(Arc<Inner>);

/// A room's typing list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypingRoom {
    /// The room.
    pub room: RoomNo,
    /// When the list last changed.
    pub serial: i64,
    /// Who is typing, in the order of their ids; empty when they have all stopped.
    pub users: Vec<OwnedUserId>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    started_at: i64,
    lists: Mutex<Lists>,
    serial: watch::Sender<i64>,
    /// Rung when the next deadline may have come nearer.
    rescheduled: Notify,
}

#[derive(Debug, Default)]
struct Lists {
    rooms: HashMap<RoomNo, List>,
    /// The rooms of `rooms` by their serials, so that readers touch only what changed.
    by_serial: BTreeMap<i64, RoomNo>,
    /// Those of them in which nobody types any more.
    emptied: BTreeMap<i64, RoomNo>,
    deadlines: BTreeSet<(Duration, RoomNo, OwnedUserId)>,
}

#[derive(Debug, Default)]
struct List {
    serial: i64,
    /// User and end of the notice.
    users: BTreeMap<OwnedUserId, Duration>,
}

impl Typing {
    pub(crate) fn new(world: World) -> Self {
        let started_at = i64::try_from(world.now_ms()).unwrap_or(i64::MAX / 2);
        Self(Arc::new(Inner {
            world,
            started_at,
            lists: Mutex::default(),
            serial: watch::Sender::new(started_at),
            rescheduled: Notify::new(),
        }))
    }

    /// The user types in the room for `timeout` from now, or no longer (`None`). The caller has checked that they may.
    pub fn set(&self, room: RoomNo, user: &UserId, timeout: Option<Duration>) {
        let now = self.0.world.clock.monotonic();
        let mut lists = self.lists();
        match timeout {
            Some(timeout) => {
                let until = now + timeout.min(MAX_TIMEOUT);
                let list = lists.rooms.entry(room).or_default();
                let before = list.users.insert(user.to_owned(), until);
                if let Some(before) = before {
                    // The list reads the same as before: only its end moved.
                    lists.deadlines.remove(&(before, room, user.to_owned()));
                } else {
                    self.changed(&mut lists, room);
                }
                lists.deadlines.insert((until, room, user.to_owned()));
                drop(lists);
                self.0.rescheduled.notify_one();
            }
            None => self.remove(&mut lists, room, user),
        }
    }

    /// The serial of the last change.
    #[must_use]
    pub fn serial(&self) -> i64 {
        *self.0.serial.borrow()
    }

    /// The serial with which this run of the server began: a reader whose serial is lower may show people typing of whom
    /// this run knows nothing.
    #[must_use]
    pub fn started_at(&self) -> i64 {
        self.0.started_at
    }

    /// Tells of every new serial.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.0.serial.subscribe()
    }

    /// The rooms whose lists changed after `serial`, oldest change first, each with its list as it is now.
    #[must_use]
    pub fn since(&self, serial: i64) -> Vec<TypingRoom> {
        let lists = self.lists();
        let changed = lists.by_serial.range(serial.saturating_add(1)..);
        changed.filter_map(|(_, room)| lists.rooms.get(room).map(|list| list.describe(*room))).collect()
    }

    /// The list of one room.
    #[must_use]
    pub fn in_room(&self, room: RoomNo) -> Option<TypingRoom> {
        self.lists().rooms.get(&room).map(|list| list.describe(room))
    }

    /// Ends notices when their time is over, until told to stop.
    pub(crate) async fn expire(self, mut stop: Stop) {
        loop {
            let now = self.0.world.clock.monotonic();
            let next = self.end_overdue(now);
            let due = async {
                match next {
                    Some(deadline) => self.0.world.clock.sleep(deadline.saturating_sub(now)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.wait() => return,
                () = self.0.rescheduled.notified() => {}
                () = due => {}
            }
        }
    }

    /// Ends what is overdue; the next deadline.
    fn end_overdue(&self, now: Duration) -> Option<Duration> {
        let mut lists = self.lists();
        loop {
            let (deadline, room, user) = lists.deadlines.first()?.clone();
            if deadline > now {
                return Some(deadline);
            }
            self.remove(&mut lists, room, &user);
        }
    }

    fn remove(&self, lists: &mut Lists, room: RoomNo, user: &UserId) {
        let Some(list) = lists.rooms.get_mut(&room) else { return };
        let Some((user, until)) = list.users.remove_entry(user) else { return };
        lists.deadlines.remove(&(until, room, user));
        self.changed(lists, room);
    }

    /// Gives the room the next serial, after a user came or went.
    fn changed(&self, lists: &mut Lists, room: RoomNo) {
        let serial = self.serial() + 1;
        lists.renumber(room, serial);
        self.0.serial.send_replace(serial);
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists {
    fn renumber(&mut self, room: RoomNo, serial: i64) {
        let Some(list) = self.rooms.get_mut(&room) else { return };
        self.by_serial.remove(&list.serial);
        self.emptied.remove(&list.serial);
        list.serial = serial;
        self.by_serial.insert(serial, room);
        if list.users.is_empty() {
            self.emptied.insert(serial, room);
        }
        if self.emptied.len() > MAX_EMPTIED
            && let Some((serial, room)) = self.emptied.pop_first()
        {
            self.by_serial.remove(&serial);
            self.rooms.remove(&room);
        }
    }
}

impl List {
    fn describe(&self, room: RoomNo) -> TypingRoom {
        TypingRoom { room, serial: self.serial, users: self.users.keys().cloned().collect() }
    }
}

#[cfg(test)]
mod tests;
