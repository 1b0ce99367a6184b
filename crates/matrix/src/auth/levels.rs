//! The rule for `m.room.power_levels`: nobody changes, grants or takes what is above their own level.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Denied, Level, Room,
    power::{Field, LevelMap, Levels, Named, Unreadable},
};
use crate::{event::Pdu, ids::is_user_id};

pub(super) fn check(pdu: &Pdu, room: &mut Room<'_>, own: Level) -> Result<(), Denied> {
    let rules = &pdu.rules().auth;
    let new = Levels::read(pdu.content(), pdu.rules());

    if rules.integer_power_levels {
        // Version 10: whatever is there must be integers.
        if matches!(new.events, LevelMap::Malformed)
            || matches!(new.notifications, LevelMap::Malformed)
            || new.all().any(|level| level.is_err())
        {
            return Err(Denied::BadLevel);
        }
    } else if new.all().any(|level| level == Err(Unreadable::Range)) {
        return Err(Denied::BadLevel);
    }

    match &new.users {
        LevelMap::Absent => {}
        LevelMap::Malformed => return Err(Denied::BadUsers),
        LevelMap::Of(users) => {
            if users.iter().any(|(user, level)| level.is_err() || !is_user_id(user)) {
                return Err(Denied::BadUsers);
            }
            // Version 12: creators have no entry.
            if room.power().above_all().iter().any(|creator| users.contains_key(creator)) {
                return Err(Denied::CreatorInUsers);
            }
        }
    }

    let power = room.power();
    let Some(current) = power.current() else { return Ok(()) };

    for name in Named::ALL {
        changed_property(current.named(name), new.named(name), name, own)?;
    }
    changed_entries(&current.events, &new.events, own)?;
    if rules.checks_notifications {
        changed_entries(&current.notifications, &new.notifications, own)?;
    }
    changed_users(&current.users, &new.users, pdu.sender().as_str(), own)
}

/// A property that is added, changed or removed: neither its current nor its new value is above the sender's level. Where
/// it is not given, the value is the one inferred for it.
fn changed_property(current: Option<Field>, new: Option<Field>, name: Named, own: Level) -> Result<(), Denied> {
    let read = |field: Option<Field>| field.transpose().map_err(|_| Denied::UnreadablePowerLevels);
    let (current, new) = (read(current)?, read(new)?);
    if current == new {
        return Ok(());
    }
    let value = |level: Option<Level>| level.unwrap_or_else(|| name.default());
    if value(current) > own || value(new) > own { Err(Denied::LevelAboveOwn) } else { Ok(()) }
}

/// Entries of `events` and `notifications`.
fn changed_entries(current: &LevelMap, new: &LevelMap, own: Level) -> Result<(), Denied> {
    changes(current, new, |_, current, new| {
        if current.is_some_and(|level| level > own) || new.is_some_and(|level| level > own) {
            return Err(Denied::LevelAboveOwn);
        }
        Ok(())
    })
}

/// Entries of `users`.
fn changed_users(current: &LevelMap, new: &LevelMap, sender: &str, own: Level) -> Result<(), Denied> {
    changes(current, new, |user, current, new| {
        if user != sender && current.is_some_and(|level| level >= own) {
            return Err(Denied::LevelOfEqual);
        }
        if new.is_some_and(|level| level > own) {
            return Err(Denied::LevelAboveOwn);
        }
        Ok(())
    })
}

fn changes(
    current: &LevelMap,
    new: &LevelMap,
    mut each: impl FnMut(&str, Option<Level>, Option<Level>) -> Result<(), Denied>,
) -> Result<(), Denied> {
    let none = BTreeMap::new();
    let map = |map| match map {
        &LevelMap::Absent => Ok(None),
        LevelMap::Malformed => Err(Denied::UnreadablePowerLevels),
        LevelMap::Of(map) => Ok(Some(map)),
    };
    let (current, new) = (map(current)?.unwrap_or(&none), map(new)?.unwrap_or(&none));
    let read = |map: &BTreeMap<Box<str>, Field>, key: &str| {
        map.get(key).copied().transpose().map_err(|_| Denied::UnreadablePowerLevels)
    };
    for key in current.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (current, new) = (read(current, key)?, read(new, key)?);
        if current != new {
            each(key, current, new)?;
        }
    }
    Ok(())
}
