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

/// The offset after the closing quote of the string whose content starts at `at`.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
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
