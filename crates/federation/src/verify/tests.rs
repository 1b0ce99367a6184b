use std::sync::{Arc, Mutex};

use roost_matrix::{event::Draft, ids::OwnedUserId, room_version::RoomVersion, signing::KeyPair};
use serde_json::value::RawValue;

use super::*;
use crate::testing::{answer, house, key, name, signed};

fn event(server: &str, key: &KeyPair, number: u64, ts: u64) -> Pdu {
    let draft = Draft {
        room_id: Some("!room:a.example".try_into().unwrap()),
        sender: OwnedUserId::try_from(format!("@user:{server}")).unwrap(),
        kind: "m.room.message".to_owned(),
        state_key: None,
        content: RawValue::from_string(format!("{{\"body\":\"{number}\"}}")).unwrap(),
        redacts: None,
        prev_events: vec!["$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA".try_into().unwrap()],
        auth_events: Vec::new(),
        reference_hashes: Vec::new(),
        depth: number,
        origin_server_ts: ts,
    };
    draft.seal(RoomVersion::V11.rules(), &name(server), key).unwrap()
}

#[tokio::test]
async fn events_are_verified_one_by_one_in_order_with_keys_that_are_fetched_once() {
    let house = house(&[]).await;
    let now = house.world.now_ms();
    let mut servers = Vec::new();
    for (host, number) in [("a.example", 1), ("b.example", 2)] {
        let server = format!("{host}:1");
        let says = signed(&answer(&server, &[number], &[], house.in_hours(1)), &server, number);
        servers.push(house.says(host, &Arc::new(Mutex::new(says))).await);
    }
    let forger = KeyPair::from_seed([66; 32], "k1");
    let pdus: Vec<_> = (0..300)
        .map(|number| match number % 4 {
            0 => event("a.example:1", &key(1), number, now),
            1 => event("b.example:1", &key(2), number, now),
            2 => event("a.example:1", &forger, number, now),
            _ => event("gone.example:1", &key(3), number, now),
        })
        .collect();
    let verdicts = house.federation.verify(pdus).await.unwrap();
    assert_eq!(verdicts.len(), 300);
    for (number, verdict) in verdicts.iter().enumerate() {
        match number % 4 {
            0 | 1 => assert!(verdict.as_ref().unwrap().content_hash_matches),
            2 => assert_eq!(*verdict, Err(VerifyEventError::Invalid(name("a.example:1")))),
            _ => assert_eq!(*verdict, Err(VerifyEventError::NoSignature(name("gone.example:1")))),
        }
    }
    assert!(servers.iter().all(|server| server.seen().len() == 1));
}

#[tokio::test]
async fn an_event_from_after_the_end_of_its_key_is_not_signed() {
    let house = house(&[]).await;
    let ended = house.world.now_ms() - 1_000_000;
    let says = signed(&answer("a.example:1", &[1], &[(2, ended)], house.in_hours(1)), "a.example:1", 1);
    let _server = house.says("a.example", &Arc::new(Mutex::new(says))).await;
    let at = |ts| event("a.example:1", &key(2), 1, ts);
    assert!(house.federation.verify(vec![at(ended)]).await.unwrap().remove(0).is_ok());
    let after = house.federation.verify(vec![at(ended + 1)]).await.unwrap().remove(0);
    assert_eq!(after, Err(VerifyEventError::NoSignature(name("a.example:1"))));
    assert!(house.federation.verify(Vec::new()).await.unwrap().is_empty());
}
