use proptest::prelude::*;

use super::*;

/// The rules of the specification, one event at a time, with the state on both sides of it.
fn by_the_book(visibility: &[(i64, HistoryVisibility)], own: &[(i64, Membership)], idx: i64) -> bool {
    let at = |idx: i64| {
        let seen =
            visibility.iter().rev().find(|(at, _)| *at <= idx).map_or(HistoryVisibility::Shared, |(_, value)| *value);
        let member = own.iter().rev().find(|(at, _)| *at <= idx).map_or(Membership::Leave, |(_, value)| *value);
        (seen, member)
    };
    let joins_later = own.iter().any(|(at, membership)| *at > idx && *membership == Membership::Join);
    let allows = |(seen, member): (HistoryVisibility, Membership)| {
        seen == HistoryVisibility::WorldReadable
            || member == Membership::Join
            || (seen == HistoryVisibility::Shared && joins_later)
            || (seen == HistoryVisibility::Invited && member == Membership::Invite && joins_later)
    };
    let is_special = visibility.iter().any(|(at, _)| *at == idx) || own.iter().any(|(at, _)| *at == idx);
    allows(at(idx)) || (is_special && allows(at(idx - 1)))
}

fn visibilities() -> impl Strategy<Value = HistoryVisibility> {
    prop_oneof![
        Just(HistoryVisibility::WorldReadable),
        Just(HistoryVisibility::Shared),
        Just(HistoryVisibility::Invited),
        Just(HistoryVisibility::Joined),
    ]
}

fn memberships() -> impl Strategy<Value = Membership> {
    prop_oneof![
        Just(Membership::Join),
        Just(Membership::Invite),
        Just(Membership::Knock),
        Just(Membership::Leave),
        Just(Membership::Ban),
    ]
}

proptest! {
    #[test]
    fn the_ranges_say_what_the_rules_say_for_each_event(
        visibility in proptest::collection::btree_map(1_i64..40, visibilities(), 0..6),
        own in proptest::collection::btree_map(1_i64..40, memberships(), 0..8),
    ) {
        let visibility: Vec<_> = visibility.into_iter().collect();
        // Only changes of one's membership count as such.
        let mut changes: Vec<(i64, Membership)> = Vec::new();
        for (idx, membership) in own {
            if changes.last().is_none_or(|(_, last)| *last != membership) {
                changes.push((idx, membership));
            }
        }
        let vision = Vision::new(&visibility, changes.clone());
        for idx in 1..45 {
            prop_assert_eq!(vision.sees(idx), by_the_book(&visibility, &changes, idx), "event {}", idx);
        }
        for pair in vision.ranges().windows(2) {
            prop_assert!(pair[0].last + 1 < pair[1].first, "ranges are sorted, apart, and as long as they can be");
        }
    }
}

#[test]
fn who_left_sees_the_state_of_when_they_left() {
    let own = |changes: &[(i64, Membership)]| Vision::new(&[], changes.to_vec()).sight();
    assert_eq!(own(&[]), Sight::Nothing);
    assert_eq!(own(&[(3, Membership::Invite)]), Sight::Nothing);
    assert_eq!(own(&[(3, Membership::Join)]), Sight::Now);
    assert_eq!(own(&[(3, Membership::Join), (7, Membership::Leave)]), Sight::At(7));
    assert_eq!(own(&[(3, Membership::Join), (7, Membership::Leave), (9, Membership::Ban)]), Sight::At(7));
    assert_eq!(own(&[(3, Membership::Join), (7, Membership::Leave), (9, Membership::Join)]), Sight::Now);
    let world = [(2, HistoryVisibility::WorldReadable)];
    assert_eq!(Vision::new(&world, vec![]).sight(), Sight::Now);
}
