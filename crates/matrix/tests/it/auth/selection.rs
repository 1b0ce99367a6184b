use roost_matrix::auth::{Cited, auth_types, check_auth_events};

use super::*;

fn types(version: RoomVersion, said: &Said<'_>) -> Vec<(String, String)> {
    let sender = said.sender.try_into().unwrap();
    let mut types = auth_types(version.rules(), said.kind, sender, said.state_key, &said.content.to_string());
    types.sort();
    types
}

fn expect(version: RoomVersion, keys: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all = vec![("m.room.power_levels", "")];
    if version < RoomVersion::V12 {
        all.push(("m.room.create", ""));
    }
    all.extend_from_slice(keys);
    all.sort_unstable();
    all.into_iter().map(|(kind, key)| (kind.to_owned(), key.to_owned())).collect()
}

#[test]
fn a_create_event_cites_nothing() {
    for version in versions(1, 12) {
        assert!(types(version, &state_event(CREATOR, "m.room.create", "", json!({}))).is_empty());
    }
}

#[test]
fn any_event_cites_the_create_event_until_version_11_the_levels_and_the_sender() {
    for version in versions(1, 12) {
        let said = state_event(ALICE, "m.room.topic", "", json!({}));
        assert_eq!(types(version, &said), expect(version, &[("m.room.member", ALICE)]), "{version}");
    }
}

#[test]
fn joins_invites_and_knocks_cite_the_join_rules_and_the_target() {
    for version in versions(1, 12) {
        let both = &[("m.room.member", ALICE), ("m.room.member", BOB), ("m.room.join_rules", "")];
        assert_eq!(types(version, &member(ALICE, BOB, "invite")), expect(version, both));
        let own = &[("m.room.member", ALICE), ("m.room.join_rules", "")];
        assert_eq!(types(version, &member(ALICE, ALICE, "join")), expect(version, own));
        for membership in ["leave", "ban"] {
            let expected = expect(version, &[("m.room.member", ALICE), ("m.room.member", BOB)]);
            assert_eq!(types(version, &member(ALICE, BOB, membership)), expected);
        }
        if version >= RoomVersion::V7 {
            assert_eq!(types(version, &member(ALICE, ALICE, "knock")), expect(version, own));
        }
    }
}

#[test]
fn a_third_party_invite_cites_the_event_with_its_token() {
    for version in versions(1, 12) {
        let content = json!({"membership": "invite", "third_party_invite": {"signed": {"token": "secret"}}});
        let keys = [
            ("m.room.member", ALICE),
            ("m.room.member", BOB),
            ("m.room.join_rules", ""),
            ("m.room.third_party_invite", "secret"),
        ];
        let said = state_event(ALICE, "m.room.member", BOB, content);
        assert_eq!(types(version, &said), expect(version, &keys), "{version}");
    }
}

#[test]
fn from_version_8_a_restricted_join_cites_the_authorising_user() {
    for version in versions(1, 12) {
        let content = json!({"membership": "join", "join_authorised_via_users_server": ALICE});
        let mut keys = vec![("m.room.member", BOB), ("m.room.join_rules", "")];
        if version >= RoomVersion::V8 {
            keys.push(("m.room.member", ALICE));
        }
        let said = state_event(BOB, "m.room.member", BOB, content);
        assert_eq!(types(version, &said), expect(version, &keys), "{version}");
    }
}

/// The event's auth events, as they are cited.
fn cited(room: &Room, pdu: &Pdu) -> Vec<Pdu> {
    pdu.auth_events().iter().map(|id| room.dag.events[id].clone()).collect()
}

fn check_cited(room: &Room, pdu: &Pdu, cited: &[Pdu], rejected: Option<usize>) -> Result<(), Denied> {
    let cited: Vec<_> =
        cited.iter().enumerate().map(|(at, pdu)| Cited { pdu, rejected: rejected == Some(at) }).collect();
    let create = room.dag.get(&room.state, "m.room.create", "");
    check_auth_events(pdu, &cited, create.as_ref().map(|pdu| Cited { pdu, rejected: false }))
}

#[test]
fn auth_events_are_those_of_the_selection_each_once_and_not_rejected() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        let said = state_event(ALICE, "m.room.topic", "", json!({}));
        let pdu = room.event(&said);
        let events = cited(&room, &pdu);
        assert_eq!(check_cited(&room, &pdu, &events, None), Ok(()), "{version}");
        assert_eq!(check_cited(&room, &pdu, &events, Some(1)), Err(Denied::RejectedAuthEvent), "{version}");

        // Alice's membership twice.
        let first = room.dag.get(&room.state, "m.room.member", ALICE).unwrap();
        room.set(ALICE, "join");
        let second = room.dag.get(&room.state, "m.room.member", ALICE).unwrap();
        let mut twice = events.clone();
        twice.retain(|event| event.kind() != "m.room.member");
        twice.extend([first, second]);
        assert_eq!(check_cited(&room, &pdu, &twice, None), Err(Denied::DuplicateAuthEvent), "{version}");

        let mut more = events.clone();
        more.push(room.dag.get(&room.state, "m.room.member", MODERATOR).unwrap());
        assert_eq!(check_cited(&room, &pdu, &more, None), Err(Denied::UnexpectedAuthEvent), "{version}");

        // Not a state event at all.
        let mut message = events;
        message.push(room.event(&Said { sender: ALICE, kind: "m.room.message", state_key: None, content: json!({}) }));
        assert_eq!(check_cited(&room, &pdu, &message, None), Err(Denied::UnexpectedAuthEvent), "{version}");
    }
}

#[test]
fn until_version_11_the_create_event_is_cited_and_in_version_12_it_must_not_be() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        let pdu = room.event(&state_event(ALICE, "m.room.topic", "", json!({})));
        let mut events = cited(&room, &pdu);
        let expected = if version < RoomVersion::V12 {
            events.retain(|event| event.kind() != "m.room.create");
            Denied::NoCreateEvent
        } else {
            events.push(room.dag.get(&room.state, "m.room.create", "").unwrap());
            Denied::UnexpectedAuthEvent
        };
        assert_eq!(check_cited(&room, &pdu, &events, None), Err(expected), "{version}");
    }
}

#[test]
fn auth_events_are_of_the_same_room() {
    for version in versions(1, 11) {
        let mut room = Room::new(version);
        let pdu = room.event(&state_event(ALICE, "m.room.topic", "", json!({})));
        let mut events = cited(&room, &pdu);
        let mut other = Dag::empty(version);
        other.room_id = Some("!other:a.example".try_into().unwrap());
        events.retain(|event| event.kind() != "m.room.power_levels");
        events.push(other.put(&state_event(CREATOR, "m.room.power_levels", "", json!({})), &[], &[]));
        assert_eq!(check_cited(&room, &pdu, &events, None), Err(Denied::AnotherRoom), "{version}");
    }
}

#[test]
fn in_version_12_the_room_id_names_an_accepted_create_event() {
    let mut room = Room::new(RoomVersion::V12);
    let pdu = room.event(&state_event(ALICE, "m.room.topic", "", json!({})));
    let events = cited(&room, &pdu);
    let cited: Vec<_> = events.iter().map(|pdu| Cited { pdu, rejected: false }).collect();
    let create = room.dag.get(&room.state, "m.room.create", "").unwrap();
    let other = Dag::created(RoomVersion::V12, json!({"another": "room"}));
    let other = other.0.get(&other.1, "m.room.create", "").unwrap();
    let with = |create| check_auth_events(&pdu, &cited, create);
    assert_eq!(with(Some(Cited { pdu: &create, rejected: false })), Ok(()));
    assert_eq!(with(Some(Cited { pdu: &create, rejected: true })), Err(Denied::RejectedAuthEvent));
    assert_eq!(with(Some(Cited { pdu: &other, rejected: false })), Err(Denied::AnotherRoom));
    assert_eq!(with(None), Err(Denied::NoCreateEvent));
}
