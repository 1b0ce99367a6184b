//! Which members a client has been sent already: lazily loaded members are sent once.
//!
//! A memory that may be lost at any time, after which members are sent again. What was sent counts only once the client has come
//! back with a token from after it: an answer that never arrived is not taken for one that did.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members>

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use quick_cache::sync::Cache;
use roost_matrix::ids::DeviceId;
use roost_store::{EventNo, Position, UserNo};

/// Member events that are remembered, over all clients.
const MEMBERS: usize = 200_000;
/// Clients of which the beginning is remembered.
const CLIENTS: usize = 50_000;

/// A client: a user and one of their devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    pub(crate) user: UserNo,
    pub(crate) device: u64,
}

impl Client {
    /// A user's device.
    pub(crate) fn new(user: UserNo, device: &DeviceId) -> Self {
        let mut hasher = DefaultHasher::new();
        device.hash(&mut hasher);
        Self { user, device: hasher.finish() }
    }
}

/// The memory of all clients.
pub(crate) struct Sent {
    /// Up to which position the client had read when it was first sent this event.
    members: Cache<(Client, EventNo), Position>,
    /// Where the client last began from nothing.
    began: Cache<Client, Position>,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sent")
    }
}

impl Default for Sent {
    fn default() -> Self {
        Self { members: Cache::new(MEMBERS), began: Cache::new(CLIENTS) }
    }
}

impl Sent {
    /// The client begins from nothing, with an answer that ends at this position.
    pub(crate) fn begin(&self, client: Client, to: Position) {
        self.began.insert(client, to);
    }

    /// Whether a client that has seen everything up to `since` has been sent this member event.
    pub(crate) fn has(&self, client: Client, event: EventNo, since: Position) -> bool {
        let (Some(began), Some(sent)) = (self.began.get(&client), self.members.get(&(client, event))) else {
            return false;
        };
        began <= sent && sent <= since
    }

    /// This member event goes out in an answer that ends at this position.
    pub(crate) fn add(&self, client: Client, event: EventNo, to: Position) {
        self.members.insert((client, event), to);
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, EventNo, Position, Sent, UserNo};

    const CLIENT: Client = Client { user: UserNo(1), device: 7 };

    #[test]
    fn a_member_counts_as_sent_once_the_client_has_come_back() {
        let sent = Sent::default();
        sent.begin(CLIENT, Position(10));
        sent.add(CLIENT, EventNo(5), Position(10));
        assert!(sent.has(CLIENT, EventNo(5), Position(10)));
        sent.add(CLIENT, EventNo(6), Position(12));
        assert!(!sent.has(CLIENT, EventNo(6), Position(10)), "the answer that ended at 12 never arrived");
        assert!(sent.has(CLIENT, EventNo(6), Position(13)));
        assert!(!sent.has(CLIENT, EventNo(7), Position(13)));
    }

    #[test]
    fn a_client_that_begins_anew_has_been_sent_nothing() {
        let sent = Sent::default();
        sent.begin(CLIENT, Position(10));
        sent.add(CLIENT, EventNo(5), Position(10));
        sent.begin(CLIENT, Position(20));
        assert!(!sent.has(CLIENT, EventNo(5), Position(20)));
    }

    #[test]
    fn devices_are_told_apart() {
        let sent = Sent::default();
        let other = Client { device: 8, ..CLIENT };
        for client in [CLIENT, other] {
            sent.begin(client, Position(10));
        }
        sent.add(CLIENT, EventNo(5), Position(10));
        assert!(!sent.has(other, EventNo(5), Position(10)));
    }
}
