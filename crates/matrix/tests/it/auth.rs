//! One test for each authorisation rule, in the versions that have it.

mod create;
mod every_event;
mod levels;
mod member;
mod selection;
mod third_party;

use roost_matrix::{
    auth::{Denied, check},
    event::Pdu,
    room_version::RoomVersion,
};
use serde_json::{Value, json};

use crate::dag::{Dag, Said, State, member, state_event};

const CREATOR: &str = "@creator:a.example";
const ADMIN: &str = "@admin:a.example";
const MODERATOR: &str = "@moderator:b.example";
const ALICE: &str = "@alice:a.example";
const BOB: &str = "@bob:b.example";
const CAROL: &str = "@carol:c.example";

/// The versions from `first` to `last`.
fn versions(first: usize, last: usize) -> impl Iterator<Item = RoomVersion> {
    RoomVersion::ALL.into_iter().take(last).skip(first - 1)
}

/// A room to try events in.
struct Room {
    dag: Dag,
    state: State,
    last: Pdu,
}

impl Room {
    /// The creator has joined; the admin has level 100, the moderator 50, Alice 0, and all are joined. Nobody may just join.
    fn new(version: RoomVersion) -> Self {
        let mut room = Self::bare(version, json!({}));
        for user in [ADMIN, MODERATOR, ALICE] {
            room.force(&member(user, user, "join"));
        }
        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50}}));
        room.join_rule("invite");
        room
    }

    /// The creator has joined, nothing else.
    fn bare(version: RoomVersion, create: Value) -> Self {
        let (dag, state) = Dag::created(version, create);
        let last = dag.get(&state, "m.room.create", "").unwrap();
        let mut room = Self { dag, state, last };
        room.force(&member(CREATOR, CREATOR, "join"));
        room
    }

    fn power(&mut self, content: Value) {
        self.force(&state_event(CREATOR, "m.room.power_levels", "", content));
    }

    fn join_rule(&mut self, rule: &str) {
        self.force(&state_event(CREATOR, "m.room.join_rules", "", json!({"join_rule": rule})));
    }

    /// Puts an event into the state without asking.
    fn force(&mut self, said: &Said<'_>) {
        self.last = self.dag.say(said, &[self.last.event_id().to_owned()], &mut self.state);
    }

    /// Sets somebody's membership.
    fn set(&mut self, user: &str, membership: &str) {
        let sender = if membership == "join" || membership == "knock" { user } else { CREATOR };
        self.force(&member(sender, user, membership));
    }

    fn event(&mut self, said: &Said<'_>) -> Pdu {
        let auth = self.dag.auth_events(said, &self.state);
        self.dag.put(said, &[self.last.event_id().to_owned()], &auth)
    }

    fn check(&mut self, said: &Said<'_>) -> Result<(), Denied> {
        let pdu = self.event(said);
        self.check_pdu(&pdu)
    }

    fn check_pdu(&self, pdu: &Pdu) -> Result<(), Denied> {
        check(pdu, &|kind: &str, key: &str| self.dag.get(&self.state, kind, key))
    }

    fn member(&mut self, sender: &str, target: &str, membership: &str) -> Result<(), Denied> {
        self.check(&member(sender, target, membership))
    }
}
