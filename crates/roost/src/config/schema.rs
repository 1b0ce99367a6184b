//! How a section of the configuration is declared: one list of keys gives the struct, the reader, the environment's
//! names and the commented example.

use std::{fmt::Display, num::NonZeroU32, time::Duration};

use roost_http::limits::Rate;
use toml::Value;

/// A key of the configuration, as documentation and the environment see it.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its section; empty at the top.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// What it does.
    pub doc: Vec<&'static str>,
    /// Its default; `None` when there is none.
    pub default: Option<Value>,
    /// A value for the example file where there is no default.
    pub example: Option<Value>,
    /// Whether its value is plain text, which needs no quotes in the environment.
    pub text: bool,
    /// What it waits for, when it governs nothing yet.
    pub later: Option<&'static str>,
}

impl Key {
    /// `section.name`, or `name` at the top.
    #[must_use]
    pub fn path(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }
}

/// A type that a key can have.
pub trait Setting: Sized {
    /// Whether the value is plain text in the environment.
    const TEXT: bool = false;
    /// Reads a value; the error says what is wanted.
    fn read(value: Value) -> Result<Self, String>;
    /// The value as TOML; `None` when it is absent.
    fn write(&self) -> Option<Value>;
}

/// What was wrong with a configuration; each line names a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl Problems {
    /// Adds a problem of a key.
    pub fn push(&mut self, key: impl Display, problem: impl Display) {
        self.0.push(format!("{key}: {problem}"));
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

impl Setting for bool {
    fn read(value: Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "wants true or false".to_owned())
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

impl Setting for u32 {
    fn read(value: Value) -> Result<Self, String> {
        let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| "wants a whole number from 0 to 4294967295".to_owned())
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Integer((*self).into()))
    }
}

impl Setting for String {
    const TEXT: bool = true;

    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err("wants text in quotes".to_owned()),
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.clone()))
    }
}

impl Setting for Option<String> {
    const TEXT: bool = true;

    fn read(value: Value) -> Result<Self, String> {
        String::read(value).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.clone().map(Value::String)
    }
}

impl Setting for Vec<String> {
    fn read(value: Value) -> Result<Self, String> {
        value.try_into().map_err(|_| "wants a list of texts".to_owned())
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(self.iter().cloned().map(Value::String).collect()))
    }
}

/// A rate limit, written `"20/1m"`: 20 at once, an allowance that fills up within a minute; or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSetting(pub Option<Rate>);

impl RateSetting {
    /// `count` per `seconds`.
    #[must_use]
    pub fn of(count: u32, seconds: u64) -> Self {
        Self(NonZeroU32::new(count).map(|count| Rate { count, per: Duration::from_secs(seconds) }))
    }
}

impl Setting for RateSetting {
    const TEXT: bool = true;

    fn read(value: Value) -> Result<Self, String> {
        let wanted = || "wants COUNT/PERIOD such as \"20/1m\" (s, m or h), or \"off\"".to_owned();
        let text = value.as_str().ok_or_else(wanted)?;
        if text == "off" {
            return Ok(Self(None));
        }
        let (count, period) = text.split_once('/').ok_or_else(wanted)?;
        let unit = match period.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            _ => return Err(wanted()),
        };
        let number: u64 = period.get(..period.len() - 1).and_then(|number| number.parse().ok()).ok_or_else(wanted)?;
        let count: u32 = count.parse().map_err(|_| wanted())?;
        if count == 0 || !(1..=10_000).contains(&number) {
            return Err(wanted());
        }
        Ok(Self::of(count, number * unit))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(match self.0 {
            None => "off".to_owned(),
            Some(Rate { count, per }) => match per.as_secs() {
                seconds if seconds % 3600 == 0 => format!("{count}/{}h", seconds / 3600),
                seconds if seconds % 60 == 0 => format!("{count}/{}m", seconds / 60),
                seconds => format!("{count}/{seconds}s"),
            },
        }))
    }
}

/// Declares a choice between words.
macro_rules! choice {
    ($(#[doc = $doc:literal])* $Name:ident { $($(#[doc = $variant_doc:literal])* $Variant:ident = $word:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name {
            $($(#[doc = $variant_doc])* $Variant,)*
        }

        impl $crate::config::schema::Setting for $Name {
            const TEXT: bool = true;

            fn read(value: toml::Value) -> Result<Self, String> {
                match value.as_str() {
                    $(Some($word) => Ok(Self::$Variant),)*
                    _ => Err(concat!("wants one of:", $(" \"", $word, "\""),*).to_owned()),
                }
            }

            fn write(&self) -> Option<toml::Value> {
                Some(toml::Value::String(match self { $(Self::$Variant => $word,)* }.to_owned()))
            }
        }
    };
}

/// Declares a section: its struct, its defaults, its keys and how it is read.
///
/// `key: Type = default;`, with `, later "what it waits for"` behind a default that governs nothing yet, and
/// `, example "value"` where the default is no value.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        $Name:ident in $section:literal {
            $(
                $(#[doc = $key_doc:literal])*
                $key:ident: $Type:ty = $default:expr $(, later $later:literal)? $(, example $example:literal)?;
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Name {
            $($(#[doc = $key_doc])* pub $key: $Type,)*
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $Name {
            /// The section's name.
            pub const NAME: &'static str = $section;
            /// What the section is about.
            pub const DOC: &'static [&'static str] = &[$($doc),*];

            /// The section's keys.
            #[must_use]
            pub fn keys() -> Vec<$crate::config::schema::Key> {
                use $crate::config::schema::Setting as _;
                let defaults = Self::default();
                vec![$($crate::config::schema::Key {
                    section: $section,
                    name: stringify!($key),
                    doc: vec![$($key_doc),*],
                    default: defaults.$key.write(),
                    example: [$(toml::Value::String($example.to_owned()),)?].into_iter().next(),
                    text: <$Type as $crate::config::schema::Setting>::TEXT,
                    later: [$($later,)?].into_iter().next(),
                },)*]
            }

            /// Takes the section's keys out of a table.
            pub(crate) fn take(table: &mut toml::Table, problems: &mut $crate::config::schema::Problems) -> Self {
                let mut section = Self::default();
                $(if let Some(value) = table.remove(stringify!($key)) {
                    match <$Type as $crate::config::schema::Setting>::read(value) {
                        Ok(value) => section.$key = value,
                        Err(problem) if $section.is_empty() => problems.push(stringify!($key), problem),
                        Err(problem) => problems.push(concat!($section, ".", stringify!($key)), problem),
                    }
                })*
                section
            }
        }
    };
}

pub(crate) use {choice, section};
