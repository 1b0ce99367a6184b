//! [Canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json), from bytes to bytes.
//!
//! The text is read once and written as it is read; an object whose keys do not come in order is put in order where it
//! stands. No tree of values is built, so the cost is that of reading the bytes, and memory is bounded by the input's length.
//!
//! What the specification leaves open is decided here, once (`docs/decisions/0101-canonical-json.md`):
//!
//! | input | result |
//! |---|---|
//! | a key twice in one object | the last one counts |
//! | `-0` | `0` |
//! | integers beyond ±(2^53 − 1) | error when [`Integers::Strict`], kept digit for digit when [`Integers::Lenient`] |
//! | a fraction or an exponent | error when strict; lenient see [`Integers::Lenient`] |
//! | a lone surrogate (`"\ud800"`), invalid UTF-8, a byte order mark | error |
//! | arrays and objects more than [`MAX_DEPTH`] deep | error |

mod number;
pub(crate) mod scan;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use writer::write_string;

/// The deepest nesting of arrays and objects that is read, here and in HTTP bodies: `[]` is one deep.
///
/// The specification names no limit. This one leaves room for the wrapping of an event in a response before parsers that stop
/// at 128 levels (those of most Rust clients) refuse it.
pub const MAX_DEPTH: usize = 100;

/// The largest integer that canonical JSON holds: 2^53 − 1. The smallest is its negative.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Which numbers a text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integers {
    /// Integers from −2^53 + 1 to 2^53 − 1, without fraction and exponent. Events of room versions 6 and later.
    Strict,
    /// Any finite number; for events of room versions 1 to 5, which are older than the limits.
    ///
    /// Integers are kept digit for digit. An integer of the strict range written with an exponent and without a decimal
    /// point becomes a plain integer (`1e10` is `10000000000`, the specification's example). Every other number becomes the
    /// shortest decimal that reads back as the same double, in the notation that servers in those rooms use: `50.0`, `1e+16`.
    Lenient,
}

/// Why a text is not JSON that has a canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not JSON; the offset says where that shows.
    #[error("not JSON (at byte {0})")]
    Syntax(usize),
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// A `\u` escape is half of a surrogate pair, which no UTF-8 text can hold.
    #[error("lone surrogate in a string (at byte {0})")]
    LoneSurrogate(usize),
    /// More than [`MAX_DEPTH`] arrays and objects in each other.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A number with a fraction or an exponent where only integers are allowed.
    #[error("a number that is not an integer (at byte {0})")]
    NotAnInteger(usize),
    /// A number outside what the canonical form can hold.
    #[error("a number out of range (at byte {0})")]
    OutOfRange(usize),
    /// The value is not a JSON object where one is needed.
    #[error("not a JSON object")]
    NotAnObject,
    /// More than 4 GiB.
    #[error("too long")]
    TooLong,
}

impl JsonError {
    /// True when the bytes are not JSON at all (`M_NOT_JSON`); false when they are JSON that is not allowed (`M_BAD_JSON`).
    #[must_use]
    pub fn is_not_json(self) -> bool {
        matches!(self, Self::Syntax(_) | Self::Utf8)
    }
}

/// The canonical form of a JSON text.
pub fn canonicalize(json: &[u8], integers: Integers) -> Result<Vec<u8>, JsonError> {
    writer::canonicalize(json, integers)
}

/// The canonical form of a JSON text that must be an object.
pub fn canonicalize_object(json: &[u8], integers: Integers) -> Result<Vec<u8>, JsonError> {
    let canonical = writer::canonicalize(json, integers)?;
    if canonical.first() == Some(&b'{') { Ok(canonical) } else { Err(JsonError::NotAnObject) }
}

/// Reads a JSON text through without writing anything: syntax, UTF-8, depth and numbers.
pub fn check(json: &[u8], integers: Integers) -> Result<(), JsonError> {
    writer::check(json, integers)
}

/// Whether a text, if it is JSON, nests at most [`MAX_DEPTH`] deep. Much cheaper than [`check`], and says nothing about the
/// syntax; meant to go before a parser that recurses.
pub fn check_depth(json: &[u8]) -> Result<(), JsonError> {
    scan::check_depth(json)
}
