//! Clients that follow /sync, whatever happens, end up with what the server has.
//!
//! Several people do random things in a few rooms. Each has a client that syncs now and then, with random limits, with state
//! before or after the timeline, and fills the gaps through /messages. At the end a client's rooms, the state of each and
//! the list of its events must be the server's; no event may come twice, and none out of order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use roost_matrix::ids::{OwnedRoomId, RoomId};
use roost_rooms::{Direction, EventFilter, MessagesQuery};
use serde_json::{Value, json};

use crate::house::{Ask, House, Person};

const PEOPLE: usize = 3;
const ROOMS: usize = 2;

#[derive(Clone, Debug)]
enum Action {
    Say { person: usize, room: usize },
    Topic { person: usize, room: usize },
    Note { person: usize, room: usize, key: u8 },
    Rename { person: usize, room: usize },
    Join { person: usize, room: usize },
    Leave { person: usize, room: usize },
    Invite { person: usize, room: usize },
    Kick { person: usize, room: usize },
    Ban { person: usize, room: usize },
    Unban { person: usize, room: usize },
    Visibility { room: usize, which: usize },
    Sync { person: usize, limit: usize, state_after: bool, full_state: bool },
}

fn action() -> impl Strategy<Value = Action> {
    let who = (0..PEOPLE, 0..ROOMS);
    let other = (1..PEOPLE, 0..ROOMS);
    prop_oneof![
        6 => who.clone().prop_map(|(person, room)| Action::Say { person, room }),
        2 => who.clone().prop_map(|(person, room)| Action::Topic { person, room }),
        2 => (0..PEOPLE, 0..ROOMS, 0..2_u8).prop_map(|(person, room, key)| Action::Note { person, room, key }),
        1 => who.clone().prop_map(|(person, room)| Action::Rename { person, room }),
        4 => other.clone().prop_map(|(person, room)| Action::Join { person, room }),
        2 => other.clone().prop_map(|(person, room)| Action::Leave { person, room }),
        1 => other.clone().prop_map(|(person, room)| Action::Invite { person, room }),
        1 => other.clone().prop_map(|(person, room)| Action::Kick { person, room }),
        1 => other.clone().prop_map(|(person, room)| Action::Ban { person, room }),
        1 => other.prop_map(|(person, room)| Action::Unban { person, room }),
        1 => (0..ROOMS, 0..4_usize).prop_map(|(room, which)| Action::Visibility { room, which }),
        6 => (0..PEOPLE, 1..6_usize, any::<bool>(), prop::bool::weighted(0.1)).prop_map(
            |(person, limit, state_after, full_state)| Action::Sync { person, limit, state_after, full_state }
        ),
    ]
}

/// A client as the specification describes it.
struct Client {
    person: Person,
    /// Event types that it does not want to see in timelines.
    hidden: Vec<&'static str>,
    since: Option<String>,
    rooms: BTreeMap<String, Joined>,
    invited: BTreeSet<String>,
}

#[derive(Default)]
struct Joined {
    state: HashMap<(String, String), String>,
    timeline: Vec<String>,
    /// False once the room was left: what comes after a new join is told anew.
    here: bool,
    counts: (u64, u64),
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn apply(state: &mut HashMap<(String, String), String>, events: &Value) {
    for event in events.as_array().into_iter().flatten() {
        if let Some(key) = event["state_key"].as_str() {
            state.insert((text(&event["type"]), key.to_owned()), text(&event["event_id"]));
        }
    }
}

impl Client {
    async fn sync(&mut self, house: &House, limit: usize, state_after: bool, full_state: bool) {
        let filter = json!({"room": {"timeline": {"limit": limit, "not_types": self.hidden}}});
        let ask = Ask { since: self.since.clone(), filter, state_after, full_state, ..Ask::default() };
        let answer = house.ask(&self.person, ask).await;
        for (id, room) in answer["rooms"]["join"].as_object().unwrap() {
            self.invited.remove(id);
            self.join(house, id, room, state_after).await;
        }
        for (id, room) in answer["rooms"]["leave"].as_object().unwrap() {
            self.invited.remove(id);
            let known = self.rooms.entry(id.clone()).or_default();
            known.here = false;
            assert!(!room["timeline"]["events"].as_array().unwrap().is_empty() || !self.hidden.is_empty());
        }
        for (id, room) in answer["rooms"]["invite"].as_object().unwrap() {
            let events = room["invite_state"]["events"].as_array().unwrap();
            assert!(events.iter().any(|event| event["type"] == "m.room.create"));
            // Who is invited is not in the room, whatever the client knew before.
            self.rooms.entry(id.clone()).or_default().here = false;
            self.invited.insert(id.clone());
        }
        self.since = Some(text(&answer["next_batch"]));
    }

    async fn join(&mut self, house: &House, id: &str, room: &Value, state_after: bool) {
        let known = self.rooms.entry(id.to_owned()).or_default();
        let again = !known.here;
        if again {
            *known = Joined { here: true, ..Joined::default() };
        }
        let timeline = &room["timeline"];
        let events = timeline["events"].as_array().unwrap();
        if timeline["limited"] == true || again {
            let room_id = RoomId::parse(id).unwrap();
            let to = if again { None } else { self.since.clone() };
            if let Some(from) = timeline["prev_batch"].as_str() {
                let mut gap = page_back(house, &self.person, &room_id, from, to, &self.hidden).await;
                gap.reverse();
                known.timeline.extend(gap);
            }
        }
        known.timeline.extend(events.iter().map(|event| text(&event["event_id"])));
        if state_after {
            assert!(room.get("state").is_none());
            apply(&mut known.state, &room["state_after"]["events"]);
        } else {
            assert!(room.get("state_after").is_none());
            apply(&mut known.state, &room["state"]["events"]);
            apply(&mut known.state, &timeline["events"]);
        }
        if let Some(summary) = room.get("summary") {
            let count = |name: &str| summary[name].as_u64().unwrap();
            known.counts = (count("m.joined_member_count"), count("m.invited_member_count"));
        }
    }
}

async fn page_back(
    house: &House,
    person: &Person,
    room: &OwnedRoomId,
    from: &str,
    to: Option<String>,
    hidden: &[&str],
) -> Vec<String> {
    let to = to.map(|to| to.parse().unwrap());
    let mut from = from.parse().unwrap();
    let mut found = vec![];
    loop {
        let filter =
            EventFilter { not_types: hidden.iter().map(|kind| (*kind).to_owned()).collect(), ..EventFilter::default() };
        let query = MessagesQuery { from: Some(from), to, direction: Direction::Backwards, limit: 3, filter };
        let page = house.rooms.messages(room, &person.id, None, query, &roost_rooms::Nobody).await.unwrap();
        found.extend(page.chunk.iter().map(|event| event.stored.pdu.event_id().to_string()));
        match page.end {
            Some(end) => from = end,
            None => return found,
        }
    }
}

async fn act(
    house: &House,
    people: &[Person],
    rooms: &[OwnedRoomId],
    clients: &mut [Client],
    step: usize,
    action: &Action,
) {
    let admin = &people[0];
    // Whether it is allowed does not matter: what is refused changes nothing.
    match *action {
        Action::Say { person, room } => {
            house.say(&rooms[room], &people[person], &step.to_string()).await;
        }
        Action::Topic { person, room } => {
            house.set(&rooms[room], &people[person], "m.room.topic", "", json!({ "topic": step.to_string() })).await;
        }
        Action::Note { person, room, key } => {
            house.set(&rooms[room], &people[person], "org.example.note", &key.to_string(), json!({ "n": step })).await;
        }
        Action::Rename { person, room } => {
            let joined = house.rooms.is_joined(&rooms[room], &people[person].id).await.unwrap();
            let content = json!({ "membership": "join", "displayname": step.to_string() });
            if joined {
                let key = people[person].id.to_string();
                house.set(&rooms[room], &people[person], "m.room.member", &key, content).await;
            }
        }
        Action::Join { person, room } => drop(house.join(&rooms[room], &people[person]).await),
        Action::Leave { person, room } => drop(house.leave(&rooms[room], &people[person]).await),
        Action::Invite { person, room } => drop(house.invite(&rooms[room], admin, &people[person]).await),
        Action::Kick { person, room } => {
            drop(house.rooms.kick(&rooms[room], &admin.id, &people[person].id, None).await);
        }
        Action::Ban { person, room } => {
            drop(house.rooms.ban(&rooms[room], &admin.id, &people[person].id, None).await);
        }
        Action::Unban { person, room } => {
            drop(house.rooms.unban(&rooms[room], &admin.id, &people[person].id, None).await);
        }
        Action::Visibility { room, which } => {
            let value = ["shared", "joined", "invited", "world_readable"][which];
            let content = json!({ "history_visibility": value });
            house.set(&rooms[room], admin, "m.room.history_visibility", "", content).await;
        }
        Action::Sync { person, limit, state_after, full_state } => {
            clients[person].sync(house, limit, state_after, full_state).await;
        }
    }
}

async fn run(actions: Vec<Action>, last_limit: usize) {
    let house = House::new().await;
    let mut people = vec![];
    for name in ["admin", "alice", "bob"] {
        people.push(house.person(name).await);
    }
    let mut rooms = vec![];
    for visibility in ["shared", "joined"] {
        let room = house.room(&people[0], visibility).await;
        // So that everybody may try everything; in the default room version the creator needs no entry.
        let content =
            json!({ "users_default": 0, "events_default": 0, "state_default": 0, "invite": 50, "kick": 50, "ban": 50 });
        assert!(house.set(&room, &people[0], "m.room.power_levels", "", content).await);
        rooms.push(room);
    }
    let hidden: [Vec<&'static str>; PEOPLE] = [vec![], vec![], vec!["m.room.member", "org.example.note"]];
    let mut clients: Vec<_> = people
        .iter()
        .zip(hidden)
        .map(|(person, hidden)| Client {
            person: person.clone(),
            hidden,
            since: None,
            rooms: BTreeMap::new(),
            invited: BTreeSet::new(),
        })
        .collect();
    for (step, action) in actions.iter().enumerate() {
        act(&house, &people, &rooms, &mut clients, step, action).await;
    }
    for client in &mut clients {
        client.sync(&house, last_limit, false, false).await;
        compare(&house, client).await;
        // And then there is nothing new.
        let answer = house.ask(&client.person, Ask { since: client.since.clone(), ..Ask::default() }).await;
        assert_eq!(answer["rooms"], json!({"join": {}, "invite": {}, "knock": {}, "leave": {}}));
    }
    // Before the runtime ends, or the store's threads would find it gone.
    house.workers.stop().await;
    house.store.close().await;
}

async fn compare(house: &House, client: &Client) {
    let mut joined: Vec<_> =
        house.rooms.joined_rooms(&client.person.id).await.unwrap().iter().map(ToString::to_string).collect();
    joined.sort();
    let known: Vec<_> = client.rooms.iter().filter(|(_, room)| room.here).map(|(id, _)| id.clone()).collect();
    assert_eq!(known, joined, "the joined rooms of {}", client.person.id);
    for id in joined {
        let known = &client.rooms[&id];
        let room_id = RoomId::parse(&id).unwrap();
        let state = house.rooms.state(&room_id, &client.person.id).await.unwrap();
        let state: HashMap<_, _> = state
            .iter()
            .map(|event| {
                let pdu = &event.stored.pdu;
                ((pdu.kind().to_owned(), pdu.state_key().unwrap().to_owned()), pdu.event_id().to_string())
            })
            .collect();
        assert_eq!(known.state, state, "the state of a room of {}", client.person.id);
        let members = state.keys().filter(|(kind, _)| kind == "m.room.member");
        assert!(known.counts.0 + known.counts.1 <= members.count() as u64);
        let there = house.rooms.joined_members(&room_id, &client.person.id).await.unwrap().len();
        assert_eq!(known.counts.0, there as u64, "how many have joined, as {} was told", client.person.id);
        let query = MessagesQuery {
            from: None,
            to: None,
            direction: Direction::Forwards,
            limit: 10_000,
            filter: EventFilter {
                not_types: client.hidden.iter().map(|kind| (*kind).to_owned()).collect(),
                ..EventFilter::default()
            },
        };
        let all = house.rooms.messages(&room_id, &client.person.id, None, query, &roost_rooms::Nobody).await.unwrap();
        let all: Vec<_> = all.chunk.iter().map(|event| event.stored.pdu.event_id().to_string()).collect();
        assert_eq!(known.timeline, all, "the events of a room of {}", client.person.id);
    }
}

/// A few cases, each with a database of its own; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24);
    ProptestConfig { cases, max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_client_that_follows_sync_ends_up_with_what_the_server_has(
        actions in prop::collection::vec(action(), 1..60),
        last_limit in 1..30_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(actions, last_limit));
    }
}
