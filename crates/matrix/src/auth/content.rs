//! Reading single properties of an event's content, without taking what is malformed beside them for an error.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A property as it was written; unlike with an `Option`, `null` counts as present.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Raw<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw)))
    }
}

impl<'a> Raw<'a> {
    pub(crate) fn is_present(self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn text(self) -> Option<&'a str> {
        self.0.map(RawValue::get)
    }

    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        self.text().and_then(string)
    }

    pub(crate) fn is_false(self) -> bool {
        self.text() == Some("false")
    }

    /// The property as a `T`; nothing when it is absent or something else.
    pub(crate) fn read<T: Deserialize<'a>>(self) -> Option<T> {
        self.text().and_then(|text| serde_json::from_str(text).ok())
    }
}

/// A JSON string, borrowed when it has no escapes.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The entries of a JSON object, in order; nothing for anything else.
pub(crate) fn entries(json: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

    struct Key<'a>(Cow<'a, str>);

    impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Cow<'de, str>;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a string")
                }
                fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                    Ok(Cow::Borrowed(text))
                }
                fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                    Ok(Cow::Owned(text.to_owned()))
                }
            }
            deserializer.deserialize_str(Visitor).map(Key)
        }
    }

    impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                    let mut entries = Vec::new();
                    while let Some(Key(key)) = map.next_key()? {
                        entries.push((key, map.next_value()?));
                    }
                    Ok(entries)
                }
            }
            deserializer.deserialize_map(Visitor).map(Entries)
        }
    }

    serde_json::from_str::<Entries<'_>>(json).ok().map(|entries| entries.0)
}
