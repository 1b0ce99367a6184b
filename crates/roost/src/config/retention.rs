//! `[retention]`

use toml::Value;

use super::schema::{Setting, section};

/// A number of days, or `"never"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(pub Option<u32>);

impl Setting for Days {
    const TEXT: bool = true;

    fn read(value: Value) -> Result<Self, String> {
        let wanted = || "wants a number of days, or \"never\"".to_owned();
        let days = match &value {
            Value::Integer(days) => u32::try_from(*days).ok(),
            Value::String(text) if text == "never" => return Ok(Self(None)),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        days.map(|days| Self(Some(days))).ok_or_else(wanted)
    }

    fn write(&self) -> Option<Value> {
        Some(self.0.map_or_else(|| Value::String("never".to_owned()), |days| Value::Integer(days.into())))
    }
}

section! {
    /// How long things are kept.
    Retention in "retention" {
        /// How many days after its redaction the content of an event is erased from the database. Nobody is shown it in the meantime.
        /// 0: at once; "never": it stays.
        redacted_days: Days = Days(Some(7));
    }
}
