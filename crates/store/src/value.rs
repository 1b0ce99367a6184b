//! What a statement is given.

use std::borrow::Cow;

/// A parameter of a statement. [`params!`](crate::params) makes them from what implements `Into<Value>`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A BIGINT.
    Int(i64),
    /// A BOOLEAN.
    Bool(bool),
    /// A TEXT.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A set of numbers, for `ints($n)`.
    Ints(&'a [i64]),
    /// The same, owned.
    Numbers(Vec<i64>),
    /// A set of texts, for `texts($n)`.
    Texts(&'a [&'a str]),
    /// The same, owned.
    Strings(Vec<Cow<'a, str>>),
}

impl<'a> Value<'a> {
    /// A set of texts from whatever yields them.
    pub fn texts<S: AsRef<str> + ?Sized + 'a>(texts: impl IntoIterator<Item = &'a S>) -> Self {
        Self::Strings(texts.into_iter().map(|text| Cow::Borrowed(text.as_ref())).collect())
    }

    /// A set of numbers from whatever yields them.
    pub fn ints(numbers: impl IntoIterator<Item = i64>) -> Self {
        Self::Numbers(numbers.into_iter().collect())
    }

    /// The same, borrowing nothing.
    pub(crate) fn to_owned(&self) -> OwnedValue {
        match self {
            Self::Null => OwnedValue::Null,
            Self::Int(number) => OwnedValue::Int(*number),
            Self::Bool(truth) => OwnedValue::Bool(*truth),
            Self::Text(text) => OwnedValue::Text((*text).into()),
            Self::Bytes(bytes) => OwnedValue::Bytes((*bytes).into()),
            Self::Ints(numbers) => OwnedValue::Ints(numbers.to_vec()),
            Self::Numbers(numbers) => OwnedValue::Ints(numbers.clone()),
            Self::Texts(texts) => OwnedValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect()),
            Self::Strings(texts) => OwnedValue::Texts(texts.iter().map(|text| text.clone().into_owned()).collect()),
        }
    }
}

/// A [`Value`] that waits for the end of its group.
#[derive(Clone, Debug)]
pub(crate) enum OwnedValue {
    Null,
    Int(i64),
    Bool(bool),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl OwnedValue {
    pub(crate) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(number) => Value::Int(*number),
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Ints(numbers) => Value::Ints(numbers),
            Self::Texts(texts) => Value::texts(texts),
        }
    }
}

macro_rules! from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {$(
        impl<'a> From<$from> for Value<'a> {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )*};
}

from! {
    i64 => |value| Self::Int(value);
    i32 => |value| Self::Int(value.into());
    u32 => |value| Self::Int(value.into());
    bool => |value| Self::Bool(value);
    &'a str => |value| Self::Text(value);
    &'a String => |value| Self::Text(value);
    &'a Box<str> => |value| Self::Text(value);
    &'a Cow<'a, str> => |value| Self::Text(value);
    &'a [u8] => |value| Self::Bytes(value);
    &'a Vec<u8> => |value| Self::Bytes(value);
    &'a Box<[u8]> => |value| Self::Bytes(value);
    &'a [i64] => |value| Self::Ints(value);
    &'a Vec<i64> => |value| Self::Ints(value);
    &'a [&'a str] => |value| Self::Texts(value);
    &'a Vec<&'a str> => |value| Self::Texts(value);
    &'a [String] => |value| Self::texts(value);
    &'a Vec<String> => |value| Self::texts(value);
    &'a ruma::UserId => |value| Self::Text(value.as_str());
    &'a ruma::OwnedUserId => |value| Self::Text(value.as_str());
    &'a ruma::RoomId => |value| Self::Text(value.as_str());
    &'a ruma::OwnedRoomId => |value| Self::Text(value.as_str());
    &'a ruma::EventId => |value| Self::Text(value.as_str());
    &'a ruma::OwnedEventId => |value| Self::Text(value.as_str());
    &'a ruma::RoomAliasId => |value| Self::Text(value.as_str());
    &'a ruma::OwnedRoomAliasId => |value| Self::Text(value.as_str());
    &'a ruma::DeviceId => |value| Self::Text(value.as_str());
    &'a ruma::OwnedDeviceId => |value| Self::Text(value.as_str());
    &'a ruma::ServerName => |value| Self::Text(value.as_str());
    &'a ruma::OwnedServerName => |value| Self::Text(value.as_str());
    Option<i64> => |value| value.map_or(Self::Null, Self::Int);
    Option<bool> => |value| value.map_or(Self::Null, Self::Bool);
    Option<&'a str> => |value| value.map_or(Self::Null, Self::Text);
    Option<&'a String> => |value| value.map_or(Self::Null, |value| Self::Text(value));
    &'a Option<String> => |value| value.as_deref().map_or(Self::Null, Self::Text);
    &'a Option<Box<str>> => |value| value.as_deref().map_or(Self::Null, Self::Text);
    Option<&'a [u8]> => |value| value.map_or(Self::Null, Self::Bytes);
    Option<&'a Vec<u8>> => |value| value.map_or(Self::Null, |value| Self::Bytes(value));
}

/// Milliseconds since the epoch, counters: what does not fit a BIGINT becomes the largest one.
impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<Option<u64>> for Value<'_> {
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

impl<'a, const LEN: usize> From<&'a [u8; LEN]> for Value<'a> {
    fn from(value: &'a [u8; LEN]) -> Self {
        Self::Bytes(value)
    }
}

/// The parameters of a statement: `params![room, "m.room.name", &bytes]`.
#[macro_export]
macro_rules! params {
    () => { &[] as &[$crate::Value<'_>] };
    ($($value:expr),+ $(,)?) => { &[$($crate::Value::from($value)),+] };
}

/// One row of parameters for [`Tx::execute_many`](crate::Tx::execute_many).
#[macro_export]
macro_rules! values {
    ($($value:expr),+ $(,)?) => { [$($crate::Value::from($value)),+] };
}
