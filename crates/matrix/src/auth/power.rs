//! The power levels of a room.
//!
//! Levels that the `m.room.power_levels` event does not give are inferred: see the event's
//! [description](https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels).

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Deserialize;

use super::{
    Denied, StateView,
    content::{Raw, entries, string},
    create::Creation,
};
use crate::{canonical_json::Integers, ids::UserId, room_version::Rules};

/// A power level: an integer, or what the creators of a room of version 12 have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// An integer. From version 6 on within ±(2⁵³ − 1); before, whatever a JSON number can say, held at the ends of
    /// this type.
    Finite(i128),
    /// Above every integer.
    Infinite,
}

impl From<i64> for Level {
    fn from(level: i64) -> Self {
        Self::Finite(level.into())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finite(level) => level.fmt(f),
            Self::Infinite => f.write_str("infinite"),
        }
    }
}

/// The forms in which a room version writes levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LevelFormat {
    /// Integers only (from version 10 on).
    Integers,
    /// Integers, and strings that hold one (versions 6 to 9, where events can hold no other numbers).
    Strings,
    /// Any number, and strings that hold an integer (versions 1 to 5).
    Floats,
}

impl LevelFormat {
    pub(super) fn of(rules: &Rules) -> Self {
        match rules.integers {
            _ if rules.auth.integer_power_levels => Self::Integers,
            Integers::Strict => Self::Strings,
            Integers::Lenient => Self::Floats,
        }
    }
}

/// Why a value is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not of a form that the room version accepts.
    Form,
    /// A number outside the range of a binary64, for which the event is rejected.
    Range,
}

pub(super) type Field = Result<Level, Unreadable>;

/// The seven properties that stand at the top of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    UsersDefault,
    EventsDefault,
    StateDefault,
    Ban,
    Redact,
    Kick,
    Invite,
}

impl Named {
    pub(super) const ALL: [Self; 7] = [
        Self::UsersDefault,
        Self::EventsDefault,
        Self::StateDefault,
        Self::Ban,
        Self::Redact,
        Self::Kick,
        Self::Invite,
    ];

    pub(super) fn default(self) -> Level {
        match self {
            Self::UsersDefault | Self::EventsDefault | Self::Invite => Level::Finite(0),
            Self::StateDefault | Self::Ban | Self::Redact | Self::Kick => Level::Finite(50),
        }
    }
}

/// One of `users`, `events` and `notifications`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum LevelMap {
    #[default]
    Absent,
    /// Not an object.
    Malformed,
    Of(BTreeMap<Box<str>, Field>),
}

impl LevelMap {
    fn read(raw: Raw<'_>, format: LevelFormat) -> Self {
        let Some(text) = raw.text() else { return Self::Absent };
        let Some(entries) = entries(text) else { return Self::Malformed };
        Self::Of(entries.into_iter().map(|(key, value)| (Box::from(&*key), level(value.get(), format))).collect())
    }

    fn get(&self, key: &str) -> Result<Option<Level>, Denied> {
        match self {
            Self::Absent => Ok(None),
            Self::Malformed => Err(Denied::UnreadablePowerLevels),
            Self::Of(map) => map.get(key).copied().transpose().map_err(|_| Denied::UnreadablePowerLevels),
        }
    }
}

/// The content of an `m.room.power_levels` event, read by the rules of its room version.
///
/// Before version 10 an event whose levels make no sense may have been accepted, so each is read for itself and is an
/// error only where it is needed.
#[derive(Debug, Default)]
pub(super) struct Levels {
    named: [Option<Field>; 7],
    pub(super) users: LevelMap,
    pub(super) events: LevelMap,
    pub(super) notifications: LevelMap,
}

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow, default)]
    users_default: Raw<'a>,
    #[serde(borrow, default)]
    events_default: Raw<'a>,
    #[serde(borrow, default)]
    state_default: Raw<'a>,
    #[serde(borrow, default)]
    ban: Raw<'a>,
    #[serde(borrow, default)]
    redact: Raw<'a>,
    #[serde(borrow, default)]
    kick: Raw<'a>,
    #[serde(borrow, default)]
    invite: Raw<'a>,
    #[serde(borrow, default)]
    users: Raw<'a>,
    #[serde(borrow, default)]
    events: Raw<'a>,
    #[serde(borrow, default)]
    notifications: Raw<'a>,
}

impl Levels {
    pub(super) fn read(content: &str, rules: &Rules) -> Self {
        let format = LevelFormat::of(rules);
        let content = serde_json::from_str::<Content<'_>>(content).unwrap_or_default();
        let field = |raw: Raw<'_>| raw.text().map(|text| level(text, format));
        Self {
            // In the order of `Named`.
            named: [
                field(content.users_default),
                field(content.events_default),
                field(content.state_default),
                field(content.ban),
                field(content.redact),
                field(content.kick),
                field(content.invite),
            ],
            users: LevelMap::read(content.users, format),
            events: LevelMap::read(content.events, format),
            notifications: LevelMap::read(content.notifications, format),
        }
    }

    pub(super) fn named(&self, name: Named) -> Option<Field> {
        self.named[name as usize]
    }

    /// Every level in the event.
    pub(super) fn all(&self) -> impl Iterator<Item = Field> + '_ {
        let maps = [&self.users, &self.events, &self.notifications];
        let in_maps =
            maps.into_iter().filter_map(|map| if let LevelMap::Of(map) = map { Some(map.values()) } else { None });
        self.named.into_iter().flatten().chain(in_maps.flatten().copied())
    }
}

/// Reads one level as the room version writes them.
fn level(json: &str, format: LevelFormat) -> Field {
    if json.starts_with('"') {
        return match format {
            LevelFormat::Integers => Err(Unreadable::Form),
            LevelFormat::Strings | LevelFormat::Floats => {
                string(json).and_then(|text| stringy(&text)).ok_or(Unreadable::Form)
            }
        };
    }
    if !json.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(Unreadable::Form);
    }
    if !json.contains(['.', 'e', 'E']) {
        return integer(json).ok_or(Unreadable::Form);
    }
    if format != LevelFormat::Floats {
        return Err(Unreadable::Form);
    }
    // The exponent is applied first, then the value is cut at the decimal point.
    match json.parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, reason = "held at the ends of the type, as documented")]
        Ok(float) if float.is_finite() => Ok(Level::Finite(float.trunc() as i128)),
        _ => Err(Unreadable::Range),
    }
}

/// "Values as strings": white space around, one sign, any number of leading zeroes, base 10.
fn stringy(text: &str) -> Option<Level> {
    integer(text.trim())
}

fn integer(text: &str) -> Option<Level> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value =
        digits.bytes().fold(0_i128, |value, digit| value.saturating_mul(10).saturating_add(i128::from(digit - b'0')));
    Some(Level::Finite(if negative { -value } else { value }))
}

/// The power levels of a room: of each user, and what each action takes.
#[derive(Debug, Clone, Default)]
pub struct PowerLevels {
    levels: Option<Arc<Levels>>,
    creation: Arc<Creation>,
}

impl PowerLevels {
    /// The power levels of a room with this state.
    #[must_use]
    pub fn of(state: &dyn StateView) -> Self {
        let creation = state.get("m.room.create", "").map(|create| Creation::read(&create)).unwrap_or_default();
        let levels = state.get("m.room.power_levels", "").map(|event| Levels::read(event.content(), event.rules()));
        Self { levels: levels.map(Arc::new), creation: Arc::new(creation) }
    }

    pub(super) fn new(levels: Option<Arc<Levels>>, creation: Arc<Creation>) -> Self {
        Self { levels, creation }
    }

    /// The power level of a user. Creators of version 12 are above all; those of earlier versions have 100 as long as the
    /// room has no `m.room.power_levels` event.
    #[must_use]
    pub fn for_user(&self, user: &UserId) -> Level {
        self.user(user.as_str()).unwrap_or(Level::Finite(i128::MIN))
    }

    /// The level that sending an event of this type takes. (Membership events and redactions of others' events have their
    /// own: [`invite`](Self::invite), [`kick`](Self::kick), [`ban`](Self::ban), [`redact`](Self::redact).)
    #[must_use]
    pub fn for_event(&self, kind: &str, is_state: bool) -> Level {
        self.event(kind, is_state).unwrap_or(Level::Infinite)
    }

    /// The level that inviting takes; 0 if the room does not say.
    #[must_use]
    pub fn invite(&self) -> Level {
        self.named(Named::Invite).unwrap_or(Level::Infinite)
    }

    /// The level that removing somebody takes; 50 if the room does not say.
    #[must_use]
    pub fn kick(&self) -> Level {
        self.named(Named::Kick).unwrap_or(Level::Infinite)
    }

    /// The level that banning takes; 50 if the room does not say.
    #[must_use]
    pub fn ban(&self) -> Level {
        self.named(Named::Ban).unwrap_or(Level::Infinite)
    }

    /// The level that redacting another user's event takes; 50 if the room does not say.
    #[must_use]
    pub fn redact(&self) -> Level {
        self.named(Named::Redact).unwrap_or(Level::Infinite)
    }

    /// The level that a notification of this name (`room`) takes; 50 if the room does not say.
    #[must_use]
    pub fn notification(&self, name: &str) -> Level {
        let level = self.levels.as_ref().map_or(Ok(None), |levels| levels.notifications.get(name));
        level.map_or(Level::Infinite, |level| level.unwrap_or(Level::Finite(50)))
    }

    /// Whether the user is one of the creators of a room of version 12.
    #[must_use]
    pub fn is_above_all(&self, user: &UserId) -> bool {
        self.creation.above_all.iter().any(|creator| **creator == *user.as_str())
    }

    /// As state resolution sees the sender of an event: a level that can not be read counts as none.
    pub(crate) fn for_sender(&self, sender: &UserId) -> Level {
        self.user(sender.as_str()).unwrap_or(Level::Finite(0))
    }

    pub(super) fn user(&self, user: &str) -> Result<Level, Denied> {
        if self.creation.above_all.iter().any(|creator| **creator == *user) {
            return Ok(Level::Infinite);
        }
        match &self.levels {
            Some(levels) => match levels.users.get(user)? {
                Some(level) => Ok(level),
                None => self.named(Named::UsersDefault),
            },
            None if self.creation.creator.as_deref() == Some(user) => Ok(Level::Finite(100)),
            None => Ok(Level::Finite(0)),
        }
    }

    pub(super) fn event(&self, kind: &str, is_state: bool) -> Result<Level, Denied> {
        if let Some(levels) = &self.levels
            && let Some(level) = levels.events.get(kind)?
        {
            return Ok(level);
        }
        self.named(if is_state { Named::StateDefault } else { Named::EventsDefault })
    }

    pub(super) fn named(&self, name: Named) -> Result<Level, Denied> {
        match self.levels.as_ref().and_then(|levels| levels.named(name)) {
            Some(level) => level.map_err(|_| Denied::UnreadablePowerLevels),
            None => Ok(name.default()),
        }
    }

    pub(super) fn current(&self) -> Option<&Levels> {
        self.levels.as_deref()
    }

    pub(super) fn above_all(&self) -> &[Box<str>] {
        &self.creation.above_all
    }
}
