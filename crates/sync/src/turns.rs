//! How many requests of one device, and of one user, are answered at the same time.
//!
//! A client has one `/sync` under way, and begins the next one when it has the answer or has given up: then the server may not
//! have noticed yet that nobody waits for the older one. So a device has a few, of which the oldest ends early when one comes
//! too many, with the answer that there is nothing new; two clients that (wrongly, but it happens) share an access token do not
//! chase each other that way, as they would if each device had just one. A user has many devices, but not without bound:
//! beyond that a request is refused, and its client told to come back later.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use roost_store::UserNo;
use tokio::sync::Notify;

use crate::lazy::Client;

/// The requests that are being answered.
#[derive(Debug)]
pub(crate) struct Turns {
    per_device: usize,
    per_user: usize,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    /// Of each user, the oldest first.
    of: HashMap<UserNo, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    device: u64,
    end: Arc<Notify>,
    /// Whether it has been told to end.
    told: bool,
}

/// The right to be answered, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    user: UserNo,
    number: u64,
    end: Arc<Notify>,
}

impl Turns {
    pub(crate) fn new(per_device: usize, per_user: usize) -> Arc<Self> {
        Arc::new(Self { per_device, per_user, running: Mutex::default() })
    }

    /// A turn for a client; `None` when its user has too many.
    pub(crate) fn take(self: &Arc<Self>, client: Client) -> Option<Turn> {
        let Client { user, device } = client;
        let mut running = self.lock();
        let number = running.next;
        let entries = running.of.entry(user).or_default();
        if entries.len() >= self.per_user {
            return None;
        }
        let waiting = entries.iter().filter(|entry| entry.device == device && !entry.told).count();
        if waiting >= self.per_device
            && let Some(oldest) = entries.iter_mut().find(|entry| entry.device == device && !entry.told)
        {
            oldest.told = true;
            // Kept for one that does not wait yet.
            oldest.end.notify_one();
        }
        let end = Arc::new(Notify::new());
        entries.push(Entry { number, device, end: Arc::clone(&end), told: false });
        running.next += 1;
        drop(running);
        Some(Turn { turns: Arc::clone(self), user, number, end })
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Resolves when a newer request of the same device takes its place.
    pub(crate) async fn ended(&self) {
        self.end.notified().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = self.turns.lock();
        if let Some(entries) = running.of.get_mut(&self.user) {
            entries.retain(|entry| entry.number != self.number);
            if entries.is_empty() {
                running.of.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_ended(turn: &Turn) -> bool {
        let mut ended = std::pin::pin!(turn.ended());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        ended.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn the_oldest_of_a_device_makes_room() {
        let turns = Turns::new(2, 100);
        let client = |device| Client { user: UserNo(1), device };
        let first = turns.take(client(1)).unwrap();
        let second = turns.take(client(1)).unwrap();
        let other = turns.take(client(2)).unwrap();
        assert!(!has_ended(&first));
        let third = turns.take(client(1)).unwrap();
        assert!(has_ended(&first));
        drop(first);
        assert!(!has_ended(&second) && !has_ended(&third) && !has_ended(&other), "one made room for one");
        drop(second);
        let fourth = turns.take(client(1)).unwrap();
        assert!(!has_ended(&third) && !has_ended(&fourth), "there was room");
    }

    #[test]
    fn a_user_with_too_many_is_refused_until_one_has_ended() {
        let turns = Turns::new(1, 3);
        let client = |user, device| Client { user: UserNo(user), device };
        let mut kept: Vec<_> = (0..3).map(|device| turns.take(client(1, device)).unwrap()).collect();
        assert!(turns.take(client(1, 9)).is_none());
        assert!(turns.take(client(2, 9)).is_some(), "another user has turns of their own");
        kept.pop();
        assert!(turns.take(client(1, 9)).is_some());
        kept.clear();
        assert!(turns.lock().of.is_empty(), "nothing is remembered of those who are gone");
    }
}
