use super::*;

#[test]
fn a_membership_event_has_a_user_and_a_membership() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        let event = |key, content| Said { sender: ALICE, kind: "m.room.member", state_key: key, content };
        let join = || json!({"membership": "join"});
        assert_eq!(room.check(&event(None, join())), Err(Denied::BadMember), "{version}");
        assert_eq!(room.check(&event(Some("alice"), join())), Err(Denied::BadMember), "{version}");
        assert_eq!(room.check(&event(Some(ALICE), json!({}))), Err(Denied::BadMember), "{version}");
        for unknown in [json!("unheard"), json!(1), json!(null)] {
            let content = json!({"membership": unknown});
            assert_eq!(room.check(&event(Some(ALICE), content)), Err(Denied::UnknownMembership), "{version}");
        }
    }
}

#[test]
fn the_creator_joins_right_after_the_create_event() {
    for version in versions(1, 12) {
        let (dag, state) = Dag::new(version);
        let last = dag.get(&state, "m.room.create", "").unwrap();
        let mut room = Room { dag, state, last };
        assert_eq!(room.member(ALICE, ALICE, "join"), Err(Denied::NotInvited), "{version}: only the creator");
        assert_eq!(room.member(CREATOR, CREATOR, "join"), Ok(()), "{version}");
        room.force(&state_event(CREATOR, "m.room.topic", "", json!({})));
        assert_eq!(room.member(CREATOR, CREATOR, "join"), Err(Denied::NotInvited), "{version}: only right after it");
    }
}

#[test]
fn nobody_joins_for_another() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        room.join_rule("public");
        assert_eq!(room.member(ADMIN, BOB, "join"), Err(Denied::JoinForAnother), "{version}");
    }
}

#[test]
fn a_banned_user_can_not_join() {
    for version in versions(1, 12) {
        for rule in ["public", "invite", "knock", "restricted", "knock_restricted"] {
            let mut room = Room::new(version);
            room.join_rule(rule);
            room.set(BOB, "ban");
            assert_eq!(room.member(BOB, BOB, "join"), Err(Denied::Banned), "{version} {rule}");
        }
    }
}

#[test]
fn anybody_joins_a_public_room() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        room.join_rule("public");
        for membership in ["leave", "invite", "join", "knock"] {
            room.set(BOB, membership);
            assert_eq!(room.member(BOB, BOB, "join"), Ok(()), "{version} {membership}");
        }
        assert_eq!(room.member(CAROL, CAROL, "join"), Ok(()), "{version}");
    }
}

#[test]
fn other_rooms_are_joined_by_those_invited_and_those_in_them_as_far_as_the_version_knows_the_rule() {
    let known_from = [("invite", 1), ("knock", 7), ("restricted", 8), ("knock_restricted", 10), ("private", 99)];
    for (number, version) in (1..).zip(RoomVersion::ALL) {
        for (rule, from) in known_from {
            let mut room = Room::new(version);
            room.join_rule(rule);
            for membership in ["invite", "join"] {
                room.set(BOB, membership);
                let expected = if number >= from { Ok(()) } else { Err(Denied::JoinRule) };
                assert_eq!(room.member(BOB, BOB, "join"), expected, "{version} {rule} {membership}");
            }
            for membership in ["leave", "knock"] {
                room.set(BOB, membership);
                assert!(room.member(BOB, BOB, "join").is_err(), "{version} {rule} {membership}");
            }
        }
    }
}

#[test]
fn a_room_without_join_rules_is_open_to_those_invited() {
    for version in versions(1, 12) {
        let mut room = Room::bare(version, json!({}));
        assert_eq!(room.member(BOB, BOB, "join"), Err(Denied::NotInvited), "{version}");
        room.set(BOB, "invite");
        assert_eq!(room.member(BOB, BOB, "join"), Ok(()), "{version}");
    }
}

fn restricted_join(user: &'static str, authoriser: &Value) -> Said<'static> {
    let content = json!({"membership": "join", "join_authorised_via_users_server": authoriser});
    state_event(user, "m.room.member", user, content)
}

#[test]
fn a_restricted_join_is_authorised_by_a_member_who_may_invite() {
    for version in versions(8, 12) {
        for rule in ["restricted", "knock_restricted"] {
            if rule == "knock_restricted" && version < RoomVersion::V10 {
                continue;
            }
            let mut room = Room::new(version);
            room.join_rule(rule);
            let refused = Err(Denied::NotAuthorisedByMember);
            assert_eq!(room.member(BOB, BOB, "join"), refused, "{version} {rule}: nobody authorises");
            assert_eq!(room.check(&restricted_join(BOB, &json!(ALICE))), Ok(()), "{version} {rule}");
            assert_eq!(room.check(&restricted_join(BOB, &json!(CAROL))), refused, "{version} {rule}: not in the room");
            room.power(json!({"users": {ADMIN: 100, MODERATOR: 50}, "invite": 50}));
            assert_eq!(room.check(&restricted_join(BOB, &json!(ALICE))), refused, "{version} {rule}: may not invite");
            assert_eq!(room.check(&restricted_join(BOB, &json!(MODERATOR))), Ok(()), "{version} {rule}");
            room.set(BOB, "invite");
            assert_eq!(room.member(BOB, BOB, "join"), Ok(()), "{version} {rule}: the invited need nobody");
        }
    }
}

#[test]
fn from_version_8_the_authorising_user_is_a_user() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        room.join_rule("public");
        for wrong in [json!("alice"), json!(1), json!(null)] {
            let expected = if version >= RoomVersion::V8 { Err(Denied::BadAuthorisingUser) } else { Ok(()) };
            assert_eq!(room.check(&restricted_join(BOB, &wrong)), expected, "{version}");
        }
    }
}

#[test]
fn members_who_may_invite_invite_those_not_in_the_room() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        assert_eq!(room.member(BOB, CAROL, "invite"), Err(Denied::SenderNotJoined), "{version}");
        assert_eq!(room.member(ALICE, MODERATOR, "invite"), Err(Denied::AlreadyJoined), "{version}");
        for membership in ["leave", "invite", "knock"] {
            room.set(BOB, membership);
            assert_eq!(room.member(ALICE, BOB, "invite"), Ok(()), "{version} {membership}");
        }
        room.set(BOB, "ban");
        assert_eq!(room.member(ADMIN, BOB, "invite"), Err(Denied::Banned), "{version}");
        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50}, "invite": 50}));
        assert_eq!(room.member(ALICE, CAROL, "invite"), Err(Denied::InviteLevel), "{version}");
        assert_eq!(room.member(MODERATOR, CAROL, "invite"), Ok(()), "{version}");
    }
}

#[test]
fn who_is_in_the_room_invited_or_knocking_may_leave() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        assert_eq!(room.member(BOB, BOB, "leave"), Err(Denied::NothingToLeave), "{version}");
        for (membership, from) in [("join", RoomVersion::V1), ("invite", RoomVersion::V1), ("knock", RoomVersion::V7)] {
            room.set(BOB, membership);
            let expected = if version >= from { Ok(()) } else { Err(Denied::NothingToLeave) };
            assert_eq!(room.member(BOB, BOB, "leave"), expected, "{version} {membership}");
        }
        for membership in ["leave", "ban"] {
            room.set(BOB, membership);
            assert_eq!(room.member(BOB, BOB, "leave"), Err(Denied::NothingToLeave), "{version} {membership}");
        }
    }
}

#[test]
fn removing_takes_the_kick_level_and_more_power_than_the_target() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        assert_eq!(room.member(BOB, ALICE, "leave"), Err(Denied::SenderNotJoined), "{version}");
        assert_eq!(room.member(ALICE, MODERATOR, "leave"), Err(Denied::KickLevel), "{version}");
        assert_eq!(room.member(MODERATOR, ALICE, "leave"), Ok(()), "{version}");
        assert_eq!(room.member(MODERATOR, ADMIN, "leave"), Err(Denied::KickLevel), "{version}");
        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50, ALICE: 50}}));
        assert_eq!(room.member(MODERATOR, ALICE, "leave"), Err(Denied::KickLevel), "{version}: equals");
        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50}, "kick": 51}));
        assert_eq!(room.member(MODERATOR, ALICE, "leave"), Err(Denied::KickLevel), "{version}");
    }
}

#[test]
fn unbanning_takes_the_ban_level_and_the_kick_level_and_more_power() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        room.set(BOB, "ban");
        assert_eq!(room.member(MODERATOR, BOB, "leave"), Ok(()), "{version}");
        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50}, "ban": 51}));
        assert_eq!(room.member(MODERATOR, BOB, "leave"), Err(Denied::UnbanLevel), "{version}");
        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50}, "kick": 51}));
        assert_eq!(room.member(MODERATOR, BOB, "leave"), Err(Denied::KickLevel), "{version}");
        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50, BOB: 50}}));
        assert_eq!(room.member(MODERATOR, BOB, "leave"), Err(Denied::KickLevel), "{version}");
    }
}

#[test]
fn banning_takes_the_ban_level_and_more_power_than_the_target() {
    for version in versions(1, 12) {
        let mut room = Room::new(version);
        assert_eq!(room.member(BOB, ALICE, "ban"), Err(Denied::SenderNotJoined), "{version}");
        assert_eq!(room.member(ALICE, BOB, "ban"), Err(Denied::BanLevel), "{version}");
        for target in [ALICE, BOB, CAROL] {
            assert_eq!(room.member(MODERATOR, target, "ban"), Ok(()), "{version} {target}");
        }
        assert_eq!(room.member(MODERATOR, ADMIN, "ban"), Err(Denied::BanLevel), "{version}");
        assert_eq!(room.member(MODERATOR, MODERATOR, "ban"), Err(Denied::BanLevel), "{version}: not oneself");
        room.power(json!({"users": {ADMIN: 100, MODERATOR: 50}, "ban": 51}));
        assert_eq!(room.member(MODERATOR, ALICE, "ban"), Err(Denied::BanLevel), "{version}");
    }
}

#[test]
fn knocking_exists_from_version_7_in_rooms_that_allow_it() {
    for (number, version) in (1..).zip(RoomVersion::ALL) {
        for (rule, from) in [("knock", 7), ("knock_restricted", 10), ("invite", 99), ("public", 99), ("restricted", 99)]
        {
            let mut room = Room::new(version);
            room.join_rule(rule);
            let expected = match number {
                ..7 => Err(Denied::UnknownMembership),
                _ if number >= from => Ok(()),
                _ => Err(Denied::KnockRule),
            };
            assert_eq!(room.member(BOB, BOB, "knock"), expected, "{version} {rule}");
        }
    }
}

#[test]
fn who_is_in_the_room_invited_or_banned_can_not_knock() {
    for version in versions(7, 12) {
        let mut room = Room::new(version);
        room.join_rule("knock");
        assert_eq!(room.member(ADMIN, BOB, "knock"), Err(Denied::JoinForAnother), "{version}");
        for membership in ["join", "invite", "ban"] {
            room.set(BOB, membership);
            assert_eq!(room.member(BOB, BOB, "knock"), Err(Denied::KnockWhileKnown), "{version} {membership}");
        }
        for membership in ["leave", "knock"] {
            room.set(BOB, membership);
            assert_eq!(room.member(BOB, BOB, "knock"), Ok(()), "{version} {membership}");
        }
    }
}
