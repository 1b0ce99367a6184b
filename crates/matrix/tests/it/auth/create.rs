use super::*;

fn create(dag: &mut Dag, prev: &[Pdu], content: Value) -> Result<(), Denied> {
    let prev: Vec<_> = prev.iter().map(|event| event.event_id().to_owned()).collect();
    let pdu = dag.put(&state_event(CREATOR, "m.room.create", "", content), &prev, &[]);
    check(&pdu, &|_: &str, _: &str| None)
}

fn content(version: RoomVersion) -> Value {
    json!({"creator": CREATOR, "room_version": version.as_str()})
}

#[test]
fn a_create_event_is_the_first_of_its_room() {
    for version in versions(1, 12) {
        let (mut dag, state) = Dag::new(version);
        let first = dag.get(&state, "m.room.create", "").unwrap();
        assert_eq!(create(&mut dag, &[], content(version)), Ok(()), "{version}");
        assert_eq!(create(&mut dag, &[first], content(version)), Err(Denied::CreateWithPrevEvents), "{version}");
    }
}

#[test]
fn until_version_11_the_room_id_is_of_the_creators_server() {
    for version in versions(1, 11) {
        let mut dag = Dag::empty(version);
        dag.room_id = Some("!room:other.example".try_into().unwrap());
        assert_eq!(create(&mut dag, &[], content(version)), Err(Denied::CreateOfAnotherServer), "{version}");
    }
}

#[test]
fn in_version_12_a_create_event_has_no_room_id() {
    let rules = RoomVersion::V12.rules();
    let mut dag = Dag::empty(RoomVersion::V12);
    let mut json = dag.json(&state_event(CREATOR, "m.room.create", "", content(RoomVersion::V12)), &[], &[]);
    let parse = |json: &Value| Pdu::parse(json.to_string().as_bytes(), rules).unwrap();
    assert_eq!(check(&parse(&json), &|_: &str, _: &str| None), Ok(()));
    json["room_id"] = "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
    assert_eq!(check(&parse(&json), &|_: &str, _: &str| None), Err(Denied::CreateWithRoomId));
}

#[test]
fn the_room_version_is_a_known_one_or_absent() {
    for version in versions(1, 12) {
        let mut dag = Dag::empty(version);
        assert_eq!(create(&mut dag, &[], json!({"creator": CREATOR})), Ok(()), "{version}");
        for wrong in [json!("unheard-of"), json!(1), json!(null)] {
            let content = json!({"creator": CREATOR, "room_version": wrong});
            assert_eq!(create(&mut dag, &[], content), Err(Denied::UnknownRoomVersion), "{version}");
        }
    }
}

#[test]
fn until_version_10_the_create_event_names_the_creator() {
    for version in versions(1, 12) {
        let mut dag = Dag::empty(version);
        let expected = if version <= RoomVersion::V10 { Err(Denied::NoCreator) } else { Ok(()) };
        assert_eq!(create(&mut dag, &[], json!({"room_version": version.as_str()})), expected, "{version}");
    }
}

#[test]
fn in_version_12_additional_creators_are_a_list_of_user_ids() {
    for version in versions(10, 12) {
        let mut dag = Dag::empty(version);
        let mut with =
            |creators: Value| create(&mut dag, &[], json!({"creator": CREATOR, "additional_creators": creators}));
        assert_eq!(with(json!([])), Ok(()));
        assert_eq!(with(json!([ALICE, BOB])), Ok(()));
        for wrong in [json!(ALICE), json!([1]), json!(["alice"]), json!([ALICE, "@bob"]), json!(null), json!({})] {
            let expected = if version == RoomVersion::V12 { Err(Denied::BadAdditionalCreators) } else { Ok(()) };
            assert_eq!(with(wrong), expected, "{version}");
        }
    }
}
