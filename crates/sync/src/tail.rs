//! What changed where, in memory: the tail of the log from which /sync learns that it has nothing to say.
//!
//! For every user who syncs it knows their rooms, and for every such room the position of the last event and of the last
//! receipt. It follows the log and is advanced to the frontier before it answers. Users are loaded when they first sync and
//! let go when they have been away for long, so its size goes with the users who are there, not with those who exist. When it
//! has fallen behind what the log's memory holds it forgets everything, and users are loaded again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::gauge;
use roost_store::{Change, Entry, Follower, Membership, Position, RoomNo, Step, Store, UserNo};
use tokio::sync::watch;

#[cfg(test)]
mod tests;

/// Users that are kept although they are not waiting.
const MAX_USERS: usize = 20_000;
/// For how long a user is kept who does not sync.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// The tail.
pub(crate) struct Tail {
    inner: Mutex<Inner>,
}

struct Inner {
    follower: Follower,
    known: Known,
}

/// What the tail knows; advanced by entries of the log, in order.
pub(crate) struct Known {
    position: Position,
    rooms: HashMap<RoomNo, Room>,
    users: HashMap<UserNo, User>,
}

/// A room in which a known user is joined.
#[derive(Debug)]
struct Room {
    last_event: Position,
    last_receipt: Position,
    joined: HashSet<UserNo>,
}

/// A user who syncs.
#[derive(Debug)]
struct User {
    rooms: HashMap<RoomNo, Member>,
    /// The last change of their account data.
    data: Position,
    /// False while the rows are being read: until then `rooms` has only what the log said meanwhile.
    loaded: bool,
    last_seen: Duration,
    wake: watch::Sender<()>,
}

/// A user's membership in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// The membership now.
    pub(crate) membership: Membership,
    /// Where in the log this membership began.
    pub(crate) position: Position,
}

/// What was read of a user from the tables.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The snapshot's frontier.
    pub(crate) at: Position,
    /// Their memberships, the last event and the last receipt of each room.
    pub(crate) rooms: Vec<(RoomNo, Member, Position, Position)>,
    /// The last change of their account data.
    pub(crate) data: Position,
}

/// How the loading of a user ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// They are known.
    Done,
    /// The rows are newer than the log as it is known here.
    Behind,
    /// The tail has begun anew meanwhile: the rows are to be read again.
    Lost,
}

/// A room in which something may have changed for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// The room.
    pub(crate) room: RoomNo,
    /// The user's membership in it.
    pub(crate) member: Member,
    /// Whether there are events after the asked position.
    pub(crate) events: bool,
    /// Whether there are receipts after the asked position.
    pub(crate) receipts: bool,
}

/// What a user has to be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// The position up to which this is the whole truth.
    pub(crate) to: Position,
    /// The rooms in which something changed; all rooms when account data changed or all were asked for.
    pub(crate) rooms: Vec<Touched>,
    /// Whether account data changed.
    pub(crate) data: bool,
    /// Whether anything changed.
    pub(crate) any: bool,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tail")
    }
}

impl Tail {
    /// Starts to follow at the frontier.
    pub(crate) fn new(store: &Store) -> Self {
        let from = store.frontier();
        Self { inner: Mutex::new(Inner { follower: store.follow(from), known: Known::at(from) }) }
    }

    /// Takes in what the log has up to the frontier and wakes whom it concerns.
    pub(crate) fn advance(&self, store: &Store) {
        drop(self.advanced(store));
    }

    /// What is new for a user since a position (`all`: with the rooms where nothing is), or `None` when the user has to be
    /// loaded first. The receiver tells of changes after this answer.
    pub(crate) fn news(
        &self,
        store: &Store,
        user: UserNo,
        since: Position,
        all: bool,
        now: Duration,
    ) -> Option<(News, watch::Receiver<()>)> {
        self.advanced(store).known.news(user, since, all, now)
    }

    /// Says that a user's rows are about to be read: from here on, the log's entries about them are kept.
    pub(crate) fn begin_loading(&self, store: &Store, user: UserNo, now: Duration) {
        self.advanced(store).known.begin_loading(user, now);
    }

    /// Takes in a user's rows.
    pub(crate) fn finish_loading(&self, store: &Store, user: UserNo, loaded: &Loaded) -> Finish {
        self.advanced(store).known.finish_loading(user, loaded)
    }

    /// Wakes the known users who are joined to these rooms.
    pub(crate) fn wake_rooms(&self, rooms: impl Iterator<Item = RoomNo>) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.known.wake(&rooms.collect(), &HashSet::new());
    }

    /// Lets go of users who have been away for long.
    pub(crate) fn sweep(&self, now: Duration) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).known.sweep(now);
    }

    fn advanced(&self, store: &Store) -> MutexGuard<'_, Inner> {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        let mut rooms = HashSet::new();
        let mut users = HashSet::new();
        loop {
            match inner.follower.drain() {
                Step::Advanced { entries, position } => {
                    for entry in &entries {
                        inner.known.apply(entry, &mut rooms, &mut users);
                    }
                    inner.known.position = inner.known.position.max(position);
                    break;
                }
                Step::Lost => {
                    let from = store.frontier();
                    inner.follower.seek(from);
                    // Dropped with their channels: who waits asks again, and is loaded anew.
                    inner.known = Known::at(from);
                }
            }
        }
        inner.known.wake(&rooms, &users);
        guard
    }
}

impl Known {
    fn at(position: Position) -> Self {
        Self { position, rooms: HashMap::new(), users: HashMap::new() }
    }

    /// Takes in one entry of the log; says which rooms and users it concerns.
    fn apply(&mut self, entry: &Entry, rooms: &mut HashSet<RoomNo>, users: &mut HashSet<UserNo>) {
        let position = entry.position;
        match entry.change {
            Change::Membership { room, user, membership, .. } => {
                self.set_member(user, room, Member { membership, position });
                users.insert(user);
            }
            Change::Whole { room } => {
                if let Some(known) = self.rooms.get_mut(&room) {
                    known.last_event = known.last_event.max(position);
                    for no in &known.joined {
                        if let Some(member) = self.users.get_mut(no).and_then(|user| user.rooms.get_mut(&room)) {
                            member.position = member.position.max(position);
                        }
                    }
                    rooms.insert(room);
                }
            }
            Change::Event { room, member, .. } => {
                if let Some((user, membership)) = member {
                    self.set_member(user, room, Member { membership, position });
                    users.insert(user);
                }
                if let Some(known) = self.rooms.get_mut(&room) {
                    known.last_event = known.last_event.max(position);
                    rooms.insert(room);
                }
            }
            Change::Receipt { room, user, private } => {
                if let Some(known) = self.rooms.get_mut(&room) {
                    // Of a private one, the others' next request finds that it is not for them; it does not wake them.
                    known.last_receipt = known.last_receipt.max(position);
                    if private {
                        users.insert(user);
                    } else {
                        rooms.insert(room);
                    }
                }
            }
            Change::AccountData { user, .. } => {
                if let Some(known) = self.users.get_mut(&user) {
                    known.data = known.data.max(position);
                    users.insert(user);
                }
            }
            // Nothing of these is shown by /sync (yet): profiles reach clients as membership events.
            _ => {}
        }
        self.position = self.position.max(position);
    }

    fn set_member(&mut self, no: UserNo, room: RoomNo, member: Member) {
        let Some(user) = self.users.get_mut(&no) else { return };
        match user.rooms.get(&room) {
            Some(known) if known.position >= member.position => return,
            // Another display name: the membership began before.
            Some(known) if known.membership == member.membership => return,
            _ => drop(user.rooms.insert(room, member)),
        }
        if member.membership == Membership::Join {
            let known = self.rooms.entry(room).or_insert_with(|| Room {
                last_event: Position::START,
                last_receipt: Position::START,
                joined: HashSet::new(),
            });
            known.joined.insert(no);
            // A room that becomes known with this event: earlier events and receipts do not matter, since a client that has
            // not seen the join is given the room as a whole.
            known.last_event = known.last_event.max(member.position);
            known.last_receipt = known.last_receipt.max(member.position);
        } else {
            self.leave(no, room);
        }
    }

    fn leave(&mut self, user: UserNo, room: RoomNo) {
        if let Some(known) = self.rooms.get_mut(&room) {
            known.joined.remove(&user);
            if known.joined.is_empty() {
                self.rooms.remove(&room);
            }
        }
    }

    fn news(&mut self, no: UserNo, since: Position, all: bool, now: Duration) -> Option<(News, watch::Receiver<()>)> {
        let user = self.users.get_mut(&no).filter(|user| user.loaded)?;
        user.last_seen = now;
        let data = user.data > since;
        let mut news = News { to: self.position, rooms: vec![], data, any: data };
        for (room, member) in &user.rooms {
            let (events, receipts) = if member.membership == Membership::Join {
                let known = self.rooms.get(room);
                known.map_or((true, true), |known| (known.last_event > since, known.last_receipt > since))
            } else {
                (member.position > since, false)
            };
            news.any |= events || receipts;
            if events || receipts || all || data {
                news.rooms.push(Touched { room: *room, member: *member, events, receipts });
            }
        }
        news.rooms.sort_unstable_by_key(|touched| touched.room);
        Some((news, user.wake.subscribe()))
    }

    fn begin_loading(&mut self, user: UserNo, now: Duration) {
        self.users.entry(user).or_insert_with(|| User {
            rooms: HashMap::new(),
            data: Position::START,
            loaded: false,
            last_seen: now,
            wake: watch::Sender::new(()),
        });
    }

    fn finish_loading(&mut self, no: UserNo, loaded: &Loaded) -> Finish {
        // What the rows say must not be told under an older position.
        if self.position < loaded.at {
            return Finish::Behind;
        }
        let Some(user) = self.users.get_mut(&no) else { return Finish::Lost };
        if user.loaded {
            // Somebody else was faster.
            return Finish::Done;
        }
        user.loaded = true;
        user.data = user.data.max(loaded.data);
        for (room, member, last_event, last_receipt) in &loaded.rooms {
            self.set_member(no, *room, *member);
            if let Some(known) = self.rooms.get_mut(room) {
                known.last_event = known.last_event.max(*last_event);
                known.last_receipt = known.last_receipt.max(*last_receipt);
            }
        }
        Finish::Done
    }

    fn wake(&self, rooms: &HashSet<RoomNo>, users: &HashSet<UserNo>) {
        let members = rooms.iter().filter_map(|room| self.rooms.get(room)).flat_map(|room| &room.joined);
        for user in members.chain(users).filter_map(|user| self.users.get(user)) {
            user.wake.send_replace(());
        }
    }

    fn sweep(&mut self, now: Duration) {
        gauge!("roost_sync_known_users").set(count(self.users.len()));
        gauge!("roost_sync_known_rooms").set(count(self.rooms.len()));
        let waiting: usize = self.users.values().map(|user| user.wake.receiver_count()).sum();
        gauge!("roost_sync_waiting").set(count(waiting));
        let spare = self.users.len().saturating_sub(MAX_USERS);
        let mut away: Vec<_> = self
            .users
            .iter()
            .filter(|(_, user)| user.wake.receiver_count() == 0)
            .map(|(no, user)| (user.last_seen, *no))
            .collect();
        away.sort_unstable();
        let gone: Vec<_> = away
            .into_iter()
            .enumerate()
            .take_while(|(rank, (seen, _))| *rank < spare || now.saturating_sub(*seen) > IDLE)
            .map(|(_, (_, no))| no)
            .collect();
        for no in gone {
            let Some(user) = self.users.remove(&no) else { continue };
            for room in user.rooms.keys() {
                self.leave(no, *room);
            }
        }
    }
}

/// A count as a metric's value.
fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}
