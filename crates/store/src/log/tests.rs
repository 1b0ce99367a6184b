use super::*;

#[test]
fn every_change_comes_back_from_its_row() {
    let (room, user, event) = (RoomNo(1), UserNo(2), EventNo(3));
    for change in [
        Change::Event { room, event, member: None },
        Change::Event { room, event, member: Some((user, Membership::Ban)) },
        Change::Membership { room, event, user, membership: Membership::Leave },
        Change::Whole { room },
        Change::Receipt { room, user, private: true },
        Change::Receipt { room, user, private: false },
        Change::AccountData { user, room: None },
        Change::AccountData { user, room: Some(room) },
        Change::Profile { user },
        Change::Devices { user },
        Change::Sessions { user },
        Change::ToDevice { user },
        Change::Forgotten { room, user },
        Change::Unknown { kind: 99 },
    ] {
        assert_eq!(Change::from_columns(change.columns()), Some(change));
    }
}

#[test]
fn memberships_have_the_names_of_the_specification() {
    for name in ["invite", "join", "knock", "leave", "ban"] {
        let membership: Membership = name.parse().unwrap();
        assert_eq!(membership.as_str(), name);
        assert_eq!(Membership::from_number(membership.number()), Some(membership));
    }
    assert_eq!("Join".parse::<Membership>(), Err(()));
}
