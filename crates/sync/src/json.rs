//! Writing JSON as bytes: answers are spliced from stored bytes, never built as a tree.

use std::io::Write;

/// Appends a string as JSON.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into a vector can not fail.
    drop(serde_json::to_writer(out, text));
}

/// Appends a number.
pub(crate) fn number(out: &mut Vec<u8>, number: u64) {
    drop(write!(out, "{number}"));
}

/// Appends a comma unless something has just been opened.
pub(crate) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[')) {
        out.push(b',');
    }
}

/// Appends `,"name":`; `name` needs no escapes.
pub(crate) fn name(out: &mut Vec<u8>, name: &str) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends `,"key":` with any key.
pub(crate) fn key(out: &mut Vec<u8>, key: &str) {
    comma(out);
    string(out, key);
    out.push(b':');
}

/// Appends `,"name":{"events":[…]}`.
pub(crate) fn events(out: &mut Vec<u8>, field: &str, list: &[u8]) {
    name(out, field);
    out.extend_from_slice(b"{\"events\":[");
    out.extend_from_slice(list);
    out.extend_from_slice(b"]}");
}

/// Appends an event that is no more than its type and content, as account data is.
pub(crate) fn basic_event(out: &mut Vec<u8>, kind: &str, content: &str) {
    comma(out);
    out.extend_from_slice(b"{\"type\":");
    string(out, kind);
    out.extend_from_slice(b",\"content\":");
    out.extend_from_slice(content.as_bytes());
    out.push(b'}');
}
