use roost_matrix::{
    ids::OwnedEventId,
    room_version::RoomVersion,
    state_res::{StateMap, separate},
};
use serde_json::json;

use super::memory::{Memory, resolve};
use crate::dag::{Dag, Said, State, member, state_event};

const CREATOR: &str = "@creator:a.example";
const ALICE: &str = "@alice:a.example";
const BOB: &str = "@bob:b.example";

/// A room whose history can be forked.
struct Room {
    dag: Dag,
    order: Vec<OwnedEventId>,
}

/// One end of the history.
#[derive(Clone)]
struct Branch {
    last: OwnedEventId,
    state: State,
}

impl Room {
    /// A public room in which Alice has level 100 and Bob 50.
    fn new(version: RoomVersion) -> (Self, Branch) {
        let (dag, state) = Dag::new(version);
        let last = state.values().next().unwrap().clone();
        let mut room = Self { dag, order: vec![last.clone()] };
        let mut branch = Branch { last, state };
        room.say(&mut branch, &member(CREATOR, CREATOR, "join"));
        room.say(&mut branch, &power(CREATOR, &[(ALICE, 100), (BOB, 50)]));
        room.say(&mut branch, &state_event(CREATOR, "m.room.join_rules", "", json!({"join_rule": "public"})));
        room.say(&mut branch, &member(ALICE, ALICE, "join"));
        room.say(&mut branch, &member(BOB, BOB, "join"));
        (room, branch)
    }

    fn say(&mut self, branch: &mut Branch, said: &Said<'_>) -> OwnedEventId {
        let pdu = self.dag.say(said, std::slice::from_ref(&branch.last), &mut branch.state);
        branch.last = pdu.event_id().to_owned();
        self.order.push(branch.last.clone());
        branch.last.clone()
    }

    fn merge(&self, branches: &[&Branch]) -> State {
        let states: Vec<State> = branches.iter().map(|branch| branch.state.clone()).collect();
        let resolved = resolve(&Memory::new(&self.dag, &self.order, &states));
        let backwards: Vec<State> = states.into_iter().rev().collect();
        assert_eq!(
            resolve(&Memory::new(&self.dag, &self.order, &backwards)),
            resolved,
            "the order of states is nothing"
        );
        resolved
    }
}

fn power<'a>(sender: &'a str, users: &[(&str, i64)]) -> Said<'a> {
    let users: serde_json::Map<_, _> = users.iter().map(|(user, level)| ((*user).to_owned(), json!(level))).collect();
    state_event(sender, "m.room.power_levels", "", json!({"users": users, "events": {"m.room.topic": 0}}))
}

fn topic<'a>(sender: &'a str, topic: &str) -> Said<'a> {
    state_event(sender, "m.room.topic", "", json!({"topic": topic}))
}

fn at(state: &State, kind: &str, key: &str) -> Option<OwnedEventId> {
    state.get(&(kind.to_owned(), key.to_owned())).cloned()
}

fn newer() -> impl Iterator<Item = RoomVersion> {
    RoomVersion::ALL.into_iter().skip(1)
}

#[test]
fn of_two_topics_the_later_stays() {
    for version in newer() {
        let (mut room, mut one) = Room::new(version);
        let mut two = one.clone();
        room.say(&mut one, &topic(ALICE, "earlier"));
        let later = room.say(&mut two, &topic(BOB, "later"));
        assert_eq!(at(&room.merge(&[&one, &two]), "m.room.topic", ""), Some(later), "{version}");
    }
}

#[test]
fn in_version_1_the_deeper_topic_stays() {
    let (mut room, mut one) = Room::new(RoomVersion::V1);
    let mut two = one.clone();
    room.say(&mut one, &Said { sender: ALICE, kind: "m.room.message", state_key: None, content: json!({}) });
    let deeper = room.say(&mut one, &topic(ALICE, "deeper"));
    room.say(&mut two, &topic(BOB, "later"));
    assert_eq!(at(&room.merge(&[&one, &two]), "m.room.topic", ""), Some(deeper));
}

#[test]
fn a_key_that_only_one_state_has_is_a_conflict_from_version_2_on_and_kept_if_allowed() {
    for version in RoomVersion::ALL {
        let (mut room, mut one) = Room::new(version);
        let two = one.clone();
        let named = room.say(&mut one, &state_event(ALICE, "m.room.name", "", json!({"name": "tea"})));
        assert_eq!(at(&room.merge(&[&one, &two]), "m.room.name", ""), Some(named), "{version}");
    }
}

#[test]
fn a_ban_goes_before_what_the_banned_user_did_meanwhile() {
    for version in newer() {
        let (mut room, mut one) = Room::new(version);
        let before = room.say(&mut one, &topic(ALICE, "before"));
        let mut two = one.clone();
        let ban = room.say(&mut one, &member(ALICE, BOB, "ban"));
        room.say(&mut two, &topic(BOB, "evading the ban"));
        let resolved = room.merge(&[&one, &two]);
        assert_eq!(at(&resolved, "m.room.member", BOB), Some(ban), "{version}");
        assert_eq!(at(&resolved, "m.room.topic", ""), Some(before), "{version}");
    }
}

#[test]
fn a_demotion_goes_before_what_the_demoted_user_did_meanwhile() {
    for version in newer() {
        let (mut room, mut one) = Room::new(version);
        let mut two = one.clone();
        let demotion = room.say(&mut one, &power(ALICE, &[(ALICE, 100)]));
        room.say(&mut two, &state_event(BOB, "m.room.name", "", json!({"name": "Bob's"})));
        let resolved = room.merge(&[&one, &two]);
        assert_eq!(at(&resolved, "m.room.power_levels", ""), Some(demotion), "{version}");
        assert_eq!(at(&resolved, "m.room.name", ""), None, "{version}");
    }
}

#[test]
fn in_a_war_of_power_levels_the_stronger_goes_first() {
    for version in newer() {
        let (mut room, mut one) = Room::new(version);
        // Bob may change levels, too.
        let content = json!({"users": {ALICE: 100, BOB: 50}, "events": {"m.room.power_levels": 50}});
        room.say(&mut one, &state_event(ALICE, "m.room.power_levels", "", content));
        let mut two = one.clone();
        room.say(
            &mut two,
            &state_event(
                BOB,
                "m.room.power_levels",
                "",
                json!({
                    "users": {ALICE: 100, BOB: 50}, "events": {"m.room.power_levels": 50, "m.room.name": 25},
                }),
            ),
        );
        let alices = room.say(&mut one, &power(ALICE, &[(ALICE, 100)]));
        assert_eq!(at(&room.merge(&[&one, &two]), "m.room.power_levels", ""), Some(alices), "{version}");
    }
}

#[test]
fn a_join_that_races_a_closing_of_the_room_does_not_stay() {
    for version in newer() {
        let (mut room, mut one) = Room::new(version);
        let mut two = one.clone();
        room.say(&mut one, &state_event(ALICE, "m.room.join_rules", "", json!({"join_rule": "invite"})));
        room.say(&mut two, &member("@late:c.example", "@late:c.example", "join"));
        let resolved = room.merge(&[&one, &two]);
        assert_eq!(at(&resolved, "m.room.member", "@late:c.example"), None, "{version}");
    }
}

#[test]
fn many_branches_resolve_at_once() {
    for version in RoomVersion::ALL {
        let (mut room, trunk) = Room::new(version);
        let mut last = None;
        let branches: Vec<Branch> = (0..20)
            .map(|number| {
                let mut branch = trunk.clone();
                last = Some(room.say(&mut branch, &topic(ALICE, &number.to_string())));
                branch
            })
            .collect();
        let resolved = room.merge(&branches.iter().collect::<Vec<_>>());
        let topic = at(&resolved, "m.room.topic", "");
        if version == RoomVersion::V1 {
            assert!(topic.is_some());
        } else {
            assert_eq!(topic, last, "{version}");
        }
    }
}

#[test]
fn a_chain_of_power_levels_as_long_as_one_likes_is_walked_without_recursion() {
    for version in [RoomVersion::V2, RoomVersion::V12] {
        let (mut room, mut one) = Room::new(version);
        for level in 0..3_000 {
            room.say(&mut one, &power(ALICE, &[(ALICE, 100), (BOB, level % 50)]));
        }
        let mut two = one.clone();
        room.say(&mut one, &topic(ALICE, "one"));
        let last = room.say(&mut two, &topic(ALICE, "two"));
        let states = [one.state, two.state];
        let memory = Memory::new(&room.dag, &room.order, &states);
        assert_eq!(at(&resolve(&memory), "m.room.topic", ""), Some(last));
        assert!(*memory.loaded.borrow() < 20, "and only as far as the conflict asks: {}", memory.loaded.borrow());
    }
}

#[test]
fn states_are_taken_apart_into_what_all_have_and_the_rest() {
    let state = |entries: &[(&str, u32)]| -> StateMap<u32> {
        entries.iter().map(|(kind, event)| (((*kind).to_owned(), String::new()), *event)).collect()
    };
    let one = state(&[("agreed", 1), ("differs", 2), ("only here", 3)]);
    let two = state(&[("agreed", 1), ("differs", 4), ("only there", 5)]);
    let (agreed, conflicts) = separate(&[&one, &two]);
    assert_eq!(agreed.into_iter().map(|(key, event)| (&*key.0, event)).collect::<Vec<_>>(), [("agreed", 1)]);
    let conflicts: Vec<_> = conflicts.iter().map(|conflict| (&*conflict.kind, &*conflict.events)).collect();
    assert_eq!(conflicts, [("differs", &[2, 4][..]), ("only here", &[3]), ("only there", &[5])]);
}
