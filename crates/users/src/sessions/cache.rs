//! Recently used sessions, as a tail of the log: advanced to the frontier before it answers.

use std::collections::{HashMap, VecDeque};

use roost_store::{Change, Follower, Position, Step, Store, UserNo, sessions::TokenHash};

use super::Session;

/// How many of the latest revocations are remembered, for rows that were read just before them.
const REVOCATIONS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Cache {
    store: Store,
    follower: Follower,
    capacity: usize,
    sessions: HashMap<TokenHash, Session>,
    by_user: HashMap<UserNo, Vec<TokenHash>>,
    /// In the order of their arrival; may name some that have gone.
    order: VecDeque<TokenHash>,
    revoked: VecDeque<(Position, UserNo)>,
    /// Revocations up to here may be forgotten.
    remembered_from: Position,
}

impl Cache {
    pub(super) fn new(store: Store, capacity: usize) -> Self {
        let from = store.frontier();
        Self {
            follower: store.follow(from),
            store,
            capacity,
            sessions: HashMap::new(),
            by_user: HashMap::new(),
            order: VecDeque::new(),
            revoked: VecDeque::new(),
            remembered_from: from,
        }
    }

    /// Takes in what the log holds up to the frontier.
    pub(super) fn advance(&mut self) {
        match self.follower.drain() {
            Step::Advanced { entries, .. } => {
                for entry in entries {
                    if let Change::Sessions { user } = entry.change {
                        self.revoke(user, entry.position);
                    }
                }
            }
            Step::Lost => self.forget_everything(),
        }
    }

    pub(super) fn get(&self, hash: &TokenHash) -> Option<Session> {
        self.sessions.get(hash).cloned()
    }

    /// Keeps a session that was read from a snapshot at `loaded_at`, unless something of its user's was revoked since.
    pub(super) fn insert(&mut self, hash: TokenHash, session: &Session, loaded_at: Position) {
        let outdated = loaded_at < self.remembered_from
            || self.revoked.iter().rev().any(|(position, user)| *position > loaded_at && *user == session.user_no);
        if outdated || self.capacity == 0 {
            return;
        }
        if self.sessions.insert(hash, session.clone()).is_none() {
            self.by_user.entry(session.user_no).or_default().push(hash);
            self.order.push_back(hash);
        }
        // `order` may hold hashes of revoked sessions, which must not pile up either.
        while self.sessions.len() > self.capacity || self.order.len() > self.capacity.saturating_mul(2) {
            let Some(oldest) = self.order.pop_front() else { break };
            self.remove(&oldest);
        }
    }

    fn revoke(&mut self, user: UserNo, position: Position) {
        for hash in self.by_user.remove(&user).unwrap_or_default() {
            self.sessions.remove(&hash);
        }
        self.revoked.push_back((position, user));
        if self.revoked.len() > REVOCATIONS
            && let Some((position, _)) = self.revoked.pop_front()
        {
            self.remembered_from = position;
        }
    }

    fn remove(&mut self, hash: &TokenHash) {
        let Some(session) = self.sessions.remove(hash) else { return };
        if let Some(hashes) = self.by_user.get_mut(&session.user_no) {
            hashes.retain(|other| other != hash);
            if hashes.is_empty() {
                self.by_user.remove(&session.user_no);
            }
        }
    }

    /// Too much has happened since the last look.
    fn forget_everything(&mut self) {
        let frontier = self.store.frontier();
        self.follower.seek(frontier);
        self.sessions.clear();
        self.by_user.clear();
        self.order.clear();
        self.revoked.clear();
        self.remembered_from = frontier;
    }
}
