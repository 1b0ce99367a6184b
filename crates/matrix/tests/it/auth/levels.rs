use super::*;

/// Tries new power levels on top of current ones.
fn change(version: RoomVersion, current: Value, sender: &str, new: Value) -> Result<(), Denied> {
    let mut room = Room::new(version);
    room.power(current);
    room.check(&state_event(sender, "m.room.power_levels", "", new))
}

/// Admin 100, moderator 50, and 50 is enough to change levels.
fn base() -> Value {
    json!({"users": {ADMIN: 100, MODERATOR: 50}, "events": {"m.room.power_levels": 50}, "notifications": {}})
}

fn with(path: &str, value: Value) -> Value {
    let mut levels = base();
    match path.split_once('/') {
        Some((map, key)) => levels[map][key] = value,
        None => levels[path] = value,
    }
    levels
}

#[test]
fn users_are_user_ids_with_levels() {
    for version in versions(1, 12) {
        for wrong in [json!([]), json!(null), json!({"alice": 0}), json!({ALICE: true}), json!({ALICE: null})] {
            let result = change(version, base(), ADMIN, with("users", wrong.clone()));
            assert!(matches!(result, Err(Denied::BadUsers | Denied::BadLevel)), "{version} {wrong}: {result:?}");
        }
        let mut without = base();
        without.as_object_mut().unwrap().remove("users");
        assert_eq!(change(version, json!({}), CREATOR, without.clone()).is_ok(), version == RoomVersion::V12);
        assert_eq!(change(version, json!({"users_default": 100}), CREATOR, json!({"users_default": 100})), Ok(()));
    }
}

#[test]
fn until_version_9_levels_may_be_strings() {
    for version in versions(1, 12) {
        for (level, expected) in [("100", 100_i64), (" 00100 ", 100), ("+100", 100), ("-5", -5), (" \t+0099\n", 99)] {
            let mut room = Room::new(version);
            room.power(json!({"users": {ADMIN: level}, "events": {"m.room.topic": expected}}));
            let topic = state_event(ADMIN, "m.room.topic", "", json!({}));
            let result = room.check(&topic);
            if version < RoomVersion::V10 {
                assert_eq!(result, Ok(()), "{version} {level:?}");
            } else {
                assert_eq!(result, Err(Denied::UnreadablePowerLevels), "{version} {level:?}");
            }
            let new = json!({"users": {ADMIN: level}});
            let result = change(version, base(), ADMIN, new);
            assert_eq!(result == Err(Denied::BadLevel), version >= RoomVersion::V10, "{version} {level:?}");
        }
    }
}

#[test]
fn a_string_is_a_level_only_if_it_is_one_integer() {
    for version in versions(1, 9) {
        for wrong in ["", " ", "1.0", "1e2", "ten", "1 0", "--1", "+", "+-1", "0x10", "1_000"] {
            let result = change(version, base(), ADMIN, with("users", json!({ADMIN: wrong})));
            assert_eq!(result, Err(Denied::BadUsers), "{version} {wrong:?}");
        }
    }
}

#[test]
fn a_level_written_as_a_string_is_the_same_level() {
    for version in versions(1, 9) {
        let new = json!({
            "users": {ADMIN: "100", MODERATOR: " 50"},
            "events": {"m.room.power_levels": "+50"},
            "notifications": {},
        });
        assert_eq!(change(version, base(), MODERATOR, new), Ok(()), "{version}: nothing is changed");
    }
}

#[test]
fn until_version_5_levels_may_be_floats_cut_at_the_point() {
    for version in versions(1, 5) {
        for (float, level) in [("50.57", 50_i64), ("5.114698E4", 51_146), ("1e2", 100), ("-0.5", 0), ("1.0", 1)] {
            let mut room = Room::new(version);
            let levels = format!(
                r#"{{"users":{{"{ADMIN}":{float}}},"events":{{"m.room.topic":{level},"m.room.name":{}}}}}"#,
                level + 1
            );
            room.power(serde_json::from_str(&levels).unwrap());
            let mut try_kind = |kind| room.check(&state_event(ADMIN, kind, "", json!({})));
            assert_eq!(try_kind("m.room.topic"), Ok(()), "{version} {float}");
            assert_eq!(try_kind("m.room.name"), Err(Denied::RequiredLevel), "{version} {float}");
        }
    }
}

#[test]
fn from_version_10_every_level_is_an_integer() {
    for version in versions(1, 12) {
        let wrong = [
            ("ban", json!("50")),
            ("users_default", json!("0")),
            ("invite", json!(null)),
            ("events/m.room.name", json!("50")),
            ("notifications/room", json!("50")),
            ("events", json!([])),
            ("notifications", json!(null)),
        ];
        for (path, value) in wrong {
            let mut room = Room::new(version);
            room.state.remove(&("m.room.power_levels".to_owned(), String::new()));
            room.force(&member(CREATOR, CREATOR, "join"));
            let new = json!({"users": {}});
            let mut new = if path.contains('/') { json!({"events": {}, "notifications": {}}) } else { new };
            match path.split_once('/') {
                Some((map, key)) => new[map][key] = value.clone(),
                None => new[path] = value.clone(),
            }
            let result = room.check(&state_event(CREATOR, "m.room.power_levels", "", new));
            let expected = if version >= RoomVersion::V10 { Err(Denied::BadLevel) } else { Ok(()) };
            assert_eq!(result, expected, "{version} {path} {value}: the first levels of a room");
        }
    }
}

#[test]
fn a_level_that_can_not_be_read_allows_nothing() {
    for version in versions(1, 9) {
        let mut room = Room::new(version);
        room.power(json!({"users": {ADMIN: 100}, "ban": "lots", "kick": 0}));
        assert_eq!(room.member(ADMIN, ALICE, "ban"), Err(Denied::UnreadablePowerLevels), "{version}");
        assert_eq!(room.member(ADMIN, ALICE, "leave"), Ok(()), "{version}: but what does not need it");
    }
}

#[test]
fn in_version_12_creators_have_no_entry() {
    let mut room = Room::bare(RoomVersion::V12, json!({"additional_creators": [BOB]}));
    for user in [CREATOR, BOB] {
        let said = state_event(CREATOR, "m.room.power_levels", "", json!({"users": {user: 100}}));
        assert_eq!(room.check(&said), Err(Denied::CreatorInUsers));
    }
    let said = state_event(CREATOR, "m.room.power_levels", "", json!({"users": {ADMIN: 100}}));
    assert_eq!(room.check(&said), Ok(()));
    for version in versions(1, 11) {
        let mut room = Room::bare(version, json!({}));
        let said = state_event(CREATOR, "m.room.power_levels", "", json!({"users": {CREATOR: 100}}));
        assert_eq!(room.check(&said), Ok(()), "{version}");
    }
}

#[test]
fn the_first_levels_of_a_room_are_free() {
    for version in versions(1, 12) {
        let mut room = Room::bare(version, json!({}));
        let said = state_event(CREATOR, "m.room.power_levels", "", json!({"users": {ADMIN: 1000}, "ban": 2000}));
        assert_eq!(room.check(&said), Ok(()), "{version}");
    }
}

#[test]
fn a_property_is_changed_only_by_who_has_both_values() {
    for version in versions(1, 12) {
        for property in ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"] {
            let try_change =
                |current: Value, new: Value| change(version, with(property, current), MODERATOR, with(property, new));
            assert_eq!(try_change(json!(50), json!(10)), Ok(()), "{version} {property}");
            assert_eq!(try_change(json!(51), json!(51)), Ok(()), "{version} {property}: not changed");
            assert_eq!(try_change(json!(51), json!(10)), Err(Denied::LevelAboveOwn), "{version} {property}");
            assert_eq!(try_change(json!(10), json!(51)), Err(Denied::LevelAboveOwn), "{version} {property}");
            // Removed and added.
            let removed = change(version, with(property, json!(51)), MODERATOR, base());
            assert_eq!(removed, Err(Denied::LevelAboveOwn), "{version} {property}");
            let added = change(version, base(), MODERATOR, with(property, json!(51)));
            assert_eq!(added, Err(Denied::LevelAboveOwn), "{version} {property}");
            assert_eq!(change(version, base(), MODERATOR, with(property, json!(50))), Ok(()), "{version} {property}");
        }
    }
}

#[test]
fn the_value_of_an_absent_property_is_its_default() {
    for version in versions(1, 12) {
        let levels = |ban: Option<i64>| {
            let mut levels = json!({"users": {ADMIN: 100, ALICE: 25}, "events": {"m.room.power_levels": 25}});
            if let Some(ban) = ban {
                levels["ban"] = ban.into();
            }
            levels
        };
        let added = change(version, levels(None), ALICE, levels(Some(10)));
        assert_eq!(added, Err(Denied::LevelAboveOwn), "{version}: banning took 50");
        let removed = change(version, levels(Some(10)), ALICE, levels(None));
        assert_eq!(removed, Err(Denied::LevelAboveOwn), "{version}: banning would take 50");
    }
}

#[test]
fn entries_of_events_are_changed_only_by_who_has_both_values() {
    for version in versions(1, 12) {
        let at = |level: i64| with("events/m.room.topic", json!(level));
        assert_eq!(change(version, at(50), MODERATOR, at(10)), Ok(()), "{version}");
        assert_eq!(change(version, at(51), MODERATOR, at(51)), Ok(()), "{version}: not changed");
        assert_eq!(change(version, at(51), MODERATOR, at(10)), Err(Denied::LevelAboveOwn), "{version}");
        assert_eq!(change(version, at(10), MODERATOR, at(51)), Err(Denied::LevelAboveOwn), "{version}");
        assert_eq!(change(version, at(51), MODERATOR, base()), Err(Denied::LevelAboveOwn), "{version}: removed");
        assert_eq!(change(version, base(), MODERATOR, at(51)), Err(Denied::LevelAboveOwn), "{version}: added");
        assert_eq!(change(version, at(50), MODERATOR, base()), Ok(()), "{version}: removed");
    }
}

#[test]
fn from_version_6_entries_of_notifications_are_guarded_too() {
    for version in versions(1, 12) {
        let at = |level: i64| with("notifications/room", json!(level));
        let expected = if version >= RoomVersion::V6 { Err(Denied::LevelAboveOwn) } else { Ok(()) };
        assert_eq!(change(version, at(51), MODERATOR, at(10)), expected, "{version}");
        assert_eq!(change(version, at(10), MODERATOR, at(51)), expected, "{version}");
        assert_eq!(change(version, at(51), MODERATOR, base()), expected, "{version}");
        assert_eq!(change(version, at(50), MODERATOR, at(10)), Ok(()), "{version}");
    }
}

#[test]
fn levels_of_users_are_changed_only_by_who_is_above_them() {
    for version in versions(1, 12) {
        let at = |level: i64| with(&format!("users/{BOB}"), json!(level));
        assert_eq!(change(version, at(49), MODERATOR, at(50)), Ok(()), "{version}");
        assert_eq!(change(version, at(50), MODERATOR, at(49)), Err(Denied::LevelOfEqual), "{version}");
        assert_eq!(change(version, at(50), MODERATOR, base()), Err(Denied::LevelOfEqual), "{version}: removed");
        assert_eq!(change(version, at(10), MODERATOR, at(51)), Err(Denied::LevelAboveOwn), "{version}");
        assert_eq!(change(version, base(), MODERATOR, at(51)), Err(Denied::LevelAboveOwn), "{version}: added");
        assert_eq!(change(version, base(), MODERATOR, at(50)), Ok(()), "{version}: added");
        assert_eq!(change(version, at(70), MODERATOR, at(70)), Ok(()), "{version}: not changed");
    }
}

#[test]
fn everybody_may_lower_their_own_level_and_not_raise_it() {
    for version in versions(1, 12) {
        let at = |level: i64| with(&format!("users/{MODERATOR}"), json!(level));
        assert_eq!(change(version, base(), MODERATOR, at(10)), Ok(()), "{version}");
        assert_eq!(change(version, base(), MODERATOR, at(51)), Err(Denied::LevelAboveOwn), "{version}");
    }
}
