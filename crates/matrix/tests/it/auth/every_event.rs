use super::*;

fn topic(sender: &str) -> Said<'_> {
    state_event(sender, "m.room.topic", "", json!({"topic": "tea"}))
}

fn message(sender: &str) -> Said<'_> {
    Said { sender, kind: "m.room.message", state_key: None, content: json!({}) }
}

#[test]
fn a_state_without_create_event_allows_nothing() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        room.state.remove(&("m.room.create".to_owned(), String::new()));
        assert_eq!(room.check(&message(ADMIN)), Err(Denied::NoCreateEvent), "{version}");
    }
}

#[test]
fn the_create_event_is_that_of_the_events_room() {
    let mut room = Room::new(RoomVersion::V12);
    let pdu = room.event(&message(ADMIN));
    let (dag, state) = Dag::created(RoomVersion::V12, json!({"another": "room"}));
    let other = dag.get(&state, "m.room.create", "").unwrap();
    let result = check(&pdu, &|kind: &str, key: &str| {
        if kind == "m.room.create" { Some(other.clone()) } else { room.dag.get(&room.state, kind, key) }
    });
    assert_eq!(result, Err(Denied::AnotherRoom));
}

#[test]
fn a_room_that_does_not_federate_admits_only_the_creators_server() {
    for version in versions(1, 12) {
        for (federate, expected) in
            [(json!(false), Err(Denied::NotFederated)), (json!(true), Ok(())), (json!("no"), Ok(()))]
        {
            let mut room = Room::bare(version, json!({"m.federate": federate}));
            room.set(ALICE, "join");
            room.set(BOB, "join");
            assert_eq!(room.check(&message(ALICE)), Ok(()), "{version}");
            assert_eq!(room.check(&message(BOB)), expected, "{version}");
        }
    }
}

#[test]
fn until_version_5_a_server_sets_its_own_aliases_without_being_in_the_room() {
    let aliases = |sender, key| state_event(sender, "m.room.aliases", key, json!({"aliases": []}));
    for version in versions(1, 5) {
        let mut room = Room::new(version);
        assert_eq!(room.check(&aliases(BOB, "b.example")), Ok(()), "{version}");
        assert_eq!(room.check(&aliases(BOB, "a.example")), Err(Denied::AliasesOfAnotherServer), "{version}");
        let no_key = Said { state_key: None, ..aliases(BOB, "") };
        assert_eq!(room.check(&no_key), Err(Denied::AliasesOfAnotherServer), "{version}");
    }
    for version in versions(6, 12) {
        let mut room = Room::new(version);
        assert_eq!(room.check(&aliases(BOB, "b.example")), Err(Denied::SenderNotJoined), "{version}");
        assert_eq!(room.check(&aliases(ADMIN, "b.example")), Ok(()), "{version}");
    }
}

#[test]
fn only_joined_users_send() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        assert_eq!(room.check(&message(BOB)), Err(Denied::SenderNotJoined), "{version}");
        for membership in ["invite", "leave", "ban", "knock"] {
            room.set(BOB, membership);
            assert_eq!(room.check(&message(BOB)), Err(Denied::SenderNotJoined), "{version} {membership}");
        }
        room.set(BOB, "join");
        assert_eq!(room.check(&message(BOB)), Ok(()), "{version}");
    }
}

#[test]
fn state_takes_50_and_messages_0_unless_the_room_says_otherwise() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        assert_eq!(room.check(&topic(ALICE)), Err(Denied::RequiredLevel), "{version}");
        assert_eq!(room.check(&topic(MODERATOR)), Ok(()), "{version}");
        assert_eq!(room.check(&message(ALICE)), Ok(()), "{version}");

        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50}, "events_default": 1, "state_default": 51}));
        assert_eq!(room.check(&message(ALICE)), Err(Denied::RequiredLevel), "{version}");
        assert_eq!(room.check(&topic(MODERATOR)), Err(Denied::RequiredLevel), "{version}");

        room.power(json!({"events": {"m.room.topic": 0, "m.room.message": 100}, "users": {ADMIN: 100}}));
        assert_eq!(room.check(&topic(ALICE)), Ok(()), "{version}");
        assert_eq!(room.check(&message(MODERATOR)), Err(Denied::RequiredLevel), "{version}");
    }
}

#[test]
fn without_power_levels_the_creator_has_100_and_state_takes_50() {
    for version in versions(1, 12) {
        let mut room = Room::bare(version, json!({}));
        room.set(ALICE, "join");
        assert_eq!(room.check(&topic(CREATOR)), Ok(()), "{version}");
        assert_eq!(room.check(&topic(ALICE)), Err(Denied::RequiredLevel), "{version}");
        assert_eq!(room.check(&message(ALICE)), Ok(()), "{version}");
    }
}

#[test]
fn until_version_10_the_creator_is_whom_the_content_names() {
    for version in versions(1, 12) {
        let mut dag = Dag::empty(version);
        let content = json!({"creator": ALICE, "room_version": version.as_str()});
        let create = dag.put(&state_event(CREATOR, "m.room.create", "", content), &[], &[]);
        dag.room_id = Some(create.room_id().to_owned());
        let state = State::from([(("m.room.create".to_owned(), String::new()), create.event_id().to_owned())]);
        let mut room = Room { dag, state, last: create };
        let named_by_content = version <= RoomVersion::V10;
        assert_eq!(room.member(ALICE, ALICE, "join").is_ok(), named_by_content, "{version}");
        assert_eq!(room.member(CREATOR, CREATOR, "join").is_ok(), !named_by_content, "{version}");
        room.set(ALICE, "join");
        room.set(CREATOR, "join");
        assert_eq!(room.check(&topic(ALICE)).is_ok(), named_by_content, "{version}");
        assert_eq!(room.check(&topic(CREATOR)).is_ok(), !named_by_content, "{version}");
    }
}

#[test]
fn in_version_12_creators_are_above_all_levels() {
    let mut room = Room::bare(RoomVersion::V12, json!({"additional_creators": [BOB]}));
    for user in [ADMIN, BOB] {
        room.set(user, "join");
    }
    room.power(
        json!({"users": {ADMIN: 9_007_199_254_740_991_i64}, "events": {"m.room.topic": 9_007_199_254_740_991_i64}}),
    );
    for user in [CREATOR, BOB, ADMIN] {
        assert_eq!(room.check(&topic(user)), Ok(()), "{user}");
    }
    assert_eq!(room.member(ADMIN, BOB, "ban"), Err(Denied::BanLevel));
    assert_eq!(room.member(BOB, CREATOR, "leave"), Err(Denied::KickLevel), "creators are equals");
    assert_eq!(room.member(BOB, ADMIN, "ban"), Ok(()));
}

#[test]
fn in_versions_before_12_additional_creators_mean_nothing() {
    for version in versions(1, 11) {
        let mut room = Room::bare(version, json!({"additional_creators": [BOB]}));
        room.set(BOB, "join");
        assert_eq!(room.check(&topic(BOB)), Err(Denied::RequiredLevel), "{version}");
    }
}

#[test]
fn a_state_key_that_is_a_user_id_is_the_senders() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        let with_key = |key| state_event(ADMIN, "org.example.state", key, json!({}));
        assert_eq!(room.check(&with_key(ADMIN)), Ok(()), "{version}");
        assert_eq!(room.check(&with_key("alice")), Ok(()), "{version}");
        assert_eq!(room.check(&with_key(ALICE)), Err(Denied::StateOfAnotherUser), "{version}");
        assert_eq!(room.check(&with_key("@")), Err(Denied::StateOfAnotherUser), "{version}");
    }
}

#[test]
fn in_versions_1_and_2_a_redaction_takes_the_redact_level_or_the_same_server() {
    let redaction = |room: &mut Room, sender: &str, redacts: &str| {
        let said = Said { sender, kind: "m.room.redaction", state_key: None, content: json!({"redacts": redacts}) };
        let mut json = room.dag.json(&said, &[room.last.event_id().to_owned()], &[]);
        if !room.dag.rules.redacts_in_content {
            json["redacts"] = redacts.into();
        }
        let pdu = Pdu::parse(json.to_string().as_bytes(), room.dag.rules).unwrap();
        room.check_pdu(&pdu)
    };
    for version in versions(1, 12) {
        let has_rule = version <= RoomVersion::V2;
        let mut room = Room::new(version);
        assert_eq!(redaction(&mut room, MODERATOR, "$event:c.example"), Ok(()), "{version}");
        assert_eq!(redaction(&mut room, ALICE, "$event:a.example"), Ok(()), "{version}");
        let refused = if has_rule { Err(Denied::RedactLevel) } else { Ok(()) };
        assert_eq!(redaction(&mut room, ALICE, "$event:c.example"), refused, "{version}");
        room.power(json!({"redact": 0}));
        assert_eq!(redaction(&mut room, ALICE, "$event:c.example"), Ok(()), "{version}");
        room.power(json!({"events": {"m.room.redaction": 10}}));
        assert_eq!(redaction(&mut room, ALICE, "$event:a.example"), Err(Denied::RequiredLevel), "{version}");
    }
}

#[test]
fn third_party_invites_take_the_invite_level_and_no_other() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        let said = state_event(ALICE, "m.room.third_party_invite", "token", json!({}));
        assert_eq!(room.check(&said), Ok(()), "{version}: the invite level is 0, whatever state takes");
        room.power(json!({"users": {ADMIN: 100}, "invite": 1}));
        assert_eq!(room.check(&said), Err(Denied::InviteLevel), "{version}");
        let stranger = state_event(BOB, "m.room.third_party_invite", "token", json!({}));
        assert_eq!(room.check(&stranger), Err(Denied::SenderNotJoined), "{version}");
    }
}
