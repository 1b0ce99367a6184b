//! Rooms of other servers whose members are still being fetched.

use roost_matrix::{
    event::{Draft, Pdu},
    ids::{EventId, OwnedEventId, RoomId, UserId},
    room_version::RoomVersion,
    signing::KeyPair,
};
use roost_rooms::{Adoption, Nobody, Peers, Room, StateIds};
use serde_json::{Value, json};

use crate::house::{Ask, House};

/// The server that has the room: all that it is asked for.
struct There {
    state: Vec<Pdu>,
}

type Answer<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Peers for There {
    fn events<'a>(&'a self, _: &'a Room, ids: &'a [OwnedEventId]) -> Answer<'a, Vec<Pdu>> {
        let found = self.state.iter().filter(|pdu| ids.iter().any(|id| id == pdu.event_id())).cloned().collect();
        Box::pin(async { found })
    }

    fn missing_events<'a>(
        &'a self,
        room: &'a Room,
        earliest: &'a [OwnedEventId],
        latest: &'a [OwnedEventId],
        limit: usize,
    ) -> Answer<'a, Vec<Pdu>> {
        Nobody.missing_events(room, earliest, latest, limit)
    }

    fn state_ids<'a>(&'a self, _: &'a Room, _: &'a EventId) -> Answer<'a, Option<StateIds>> {
        let state = self.state.iter().map(|pdu| pdu.event_id().to_owned()).collect();
        Box::pin(async { Some(StateIds { state, auth_chain: Vec::new() }) })
    }

    fn backfill<'a>(&'a self, room: &'a Room, from: &'a [OwnedEventId], limit: usize) -> Answer<'a, Vec<Pdu>> {
        Nobody.backfill(room, from, limit)
    }
}

/// The state of a room of another server with some members, and the join of one of ours.
fn room_elsewhere(joining: &UserId, members: usize) -> (Vec<Pdu>, Pdu) {
    let rules = RoomVersion::V11.rules();
    let server = roost_matrix::ids::ServerName::parse("there.example").unwrap();
    let key = KeyPair::from_seed([9; 32], "test");
    let creator = UserId::parse("@creator:there.example").unwrap();
    let room = RoomId::parse("!room:there.example").unwrap();
    let mut made: Vec<Pdu> = Vec::new();
    let mut add = |sender: &UserId, kind: &str, state_key: &str, content: Value, auth: &[usize]| {
        let id = |at: &usize| made[*at].event_id().to_owned();
        let draft = Draft {
            room_id: Some(room.clone()),
            sender: sender.to_owned(),
            kind: kind.to_owned(),
            state_key: Some(state_key.to_owned()),
            content: serde_json::value::to_raw_value(&content).unwrap(),
            redacts: None,
            prev_events: made.last().map(|pdu| pdu.event_id().to_owned()).into_iter().collect(),
            auth_events: auth.iter().map(id).collect(),
            reference_hashes: Vec::new(),
            depth: made.len() as u64 + 1,
            origin_server_ts: 1_700_000_000_000 + made.len() as u64,
        };
        made.push(draft.seal(rules, &server, &key).unwrap());
    };
    let joined = json!({ "membership": "join" });
    add(&creator, "m.room.create", "", json!({ "room_version": "11" }), &[]);
    add(&creator, "m.room.member", creator.as_str(), joined.clone(), &[0]);
    add(&creator, "m.room.power_levels", "", json!({ "users": { creator.as_str(): 100 } }), &[0, 1]);
    add(&creator, "m.room.join_rules", "", json!({ "join_rule": "public" }), &[0, 1, 2]);
    for n in 0..members {
        let user = UserId::parse(format!("@member{n}:there.example")).unwrap();
        add(&user, "m.room.member", user.as_str(), joined.clone(), &[0, 2, 3]);
    }
    add(joining, "m.room.member", joining.as_str(), joined, &[0, 2, 3]);
    let join = made.pop().unwrap();
    (made, join)
}

fn members(answer: &Value, room: &RoomId) -> usize {
    let room = &answer["rooms"]["join"][room.as_str()];
    let lists = [&room["state"]["events"], &room["timeline"]["events"]];
    lists
        .iter()
        .filter_map(|events| events.as_array())
        .flatten()
        .filter(|event| event["type"] == "m.room.member")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loads_members_lazily_has_the_room_at_once_and_others_when_it_is_whole() {
    let house = House::new().await;
    let alice = house.person("alice").await;
    let lazy = json!({ "room": { "state": { "lazy_load_members": true } } });
    let before = house.ask(&alice, Ask::default()).await;
    let (state, join) = room_elsewhere(&alice.id, 30);
    let id = join.room_id().to_owned();
    let known: Vec<_> = state[..4].to_vec();
    let adoption = Adoption {
        origin: "there.example".try_into().unwrap(),
        version: RoomVersion::V11,
        join,
        state: known,
        auth_chain: Vec::new(),
        partial: Some(vec!["there.example".try_into().unwrap()]),
    };
    let room = house.rooms.adopt(adoption).await.unwrap();

    let plain = house.ask(&alice, Ask::since(&before)).await;
    assert!(plain["rooms"]["join"].get(id.as_str()).is_none(), "{plain}");
    let told = house.ask(&alice, Ask { filter: lazy.clone(), ..Ask::since(&before) }).await;
    assert!(told["rooms"]["join"].get(id.as_str()).is_some(), "{told}");
    assert!(house.say(&id, &alice, "hello").await.is_some());

    house.rooms.complete(&room, &There { state }).await.unwrap();
    // From after the join, too: for them the room begins now, and with everybody in it.
    let whole = house.ask(&alice, Ask::since(&plain)).await;
    assert_eq!(members(&whole, &id), 32, "{whole}");
    assert_eq!(whole["rooms"]["join"][id.as_str()]["summary"]["m.joined_member_count"], 32);
    // Who has it already is told what is new of it, and not everybody again.
    let more = house.ask(&alice, Ask { filter: lazy, ..Ask::since(&told) }).await;
    let events = more["rooms"]["join"][id.as_str()]["timeline"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{more}");
}
