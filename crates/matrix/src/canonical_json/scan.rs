//! Walking over JSON that is known to be well-formed: the members of an object, the items of an array, without a tree.
//!
//! On bytes that are not well-formed these functions return less or nothing; they never panic and never loop.

use super::{JsonError, MAX_DEPTH};

/// See [`super::check_depth`].
pub(super) fn check_depth(json: &[u8]) -> Result<(), JsonError> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(json, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(JsonError::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// How many bytes at the start of a text stand for themselves in a string: neither quote, nor backslash, nor control
/// character. Looks at eight at a time.
pub(super) fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    /// The high bit of each byte that is zero; above the first such byte it may be wrong.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let mut length = 0;
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quotes | backslashes | controls;
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + rest.iter().take_while(|byte| is_plain(**byte)).count()
}

/// A byte of a string that stands for itself. Bytes above 0x7F are parts of characters.
pub(super) fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// The offset after the closing quote of the string whose content starts at `at`.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(rest) = json.get(at..) {
        at += plain_length(rest);
        match json.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => break,
        }
    }
    json.len()
}

/// The offset after the value that starts at `at`, in JSON without white space.
fn value_end(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                at = string_end(json, at + 1);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    json.len()
}

/// A member of an object, as offsets into the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    /// The key between its quotes, escapes and all.
    pub(crate) key: &'a str,
    /// The value's text.
    pub(crate) value: &'a str,
    /// Where the key's opening quote stands.
    pub(crate) start: usize,
    /// Where the value starts.
    pub(crate) value_start: usize,
    /// Where the value ends.
    pub(crate) end: usize,
}

/// The members of a canonical object, in order. Empty for anything that is not an object.
pub(crate) fn members(json: &str) -> impl Iterator<Item = Member<'_>> {
    let bytes = json.as_bytes();
    let mut at = if bytes.first() == Some(&b'{') { 1 } else { bytes.len() };
    std::iter::from_fn(move || {
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let start = at;
        let key_end = string_end(bytes, start + 1);
        if bytes.get(key_end) != Some(&b':') {
            return None;
        }
        let value_start = key_end + 1;
        let end = value_end(bytes, value_start);
        let member = Member {
            key: json.get(start + 1..key_end - 1)?,
            value: json.get(value_start..end)?,
            start,
            value_start,
            end,
        };
        at = if bytes.get(end) == Some(&b',') { end + 1 } else { bytes.len() };
        Some(member)
    })
}

/// The value of a member of a canonical object. `key` must need no escapes.
pub(crate) fn member<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    members(json).find(|member| member.key == key).map(|member| member.value)
}

/// The items of a canonical array. Empty for anything that is not an array.
pub(crate) fn items(json: &str) -> impl Iterator<Item = &str> {
    let bytes = json.as_bytes();
    let mut at = if bytes.first() == Some(&b'[') && bytes.get(1) != Some(&b']') { 1 } else { bytes.len() };
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let end = value_end(bytes, at);
        let item = json.get(at..end)?;
        at = if bytes.get(end) == Some(&b',') { end + 1 } else { bytes.len() };
        Some(item)
    })
}

/// The text of a string value, borrowed when it has no escapes. `None` when the value is no string.
pub(crate) fn string(value: &str) -> Option<std::borrow::Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(value).ok().map(std::borrow::Cow::Owned)
    } else {
        Some(inner.into())
    }
}
