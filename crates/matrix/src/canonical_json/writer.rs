//! The reader and writer behind [`super::canonicalize`].

use std::cmp::Ordering;

use super::{Integers, JsonError, MAX_DEPTH, number::write_number, scan::plain_length};

pub(super) fn canonicalize(json: &[u8], integers: Integers) -> Result<Vec<u8>, JsonError> {
    let mut writer = Writer::new(json, integers)?;
    writer.out.reserve(json.len());
    writer.document()?;
    Ok(writer.out)
}

pub(super) fn check(json: &[u8], integers: Integers) -> Result<(), JsonError> {
    // Writing costs little beside reading, and one reader means one opinion.
    canonicalize(json, integers).map(|_| ())
}

/// A member of an object that is being written, as offsets into the output.
#[derive(Clone, Copy)]
struct Member {
    /// Where the key's opening quote stands.
    start: u32,
    /// Where the key's closing quote stands.
    key_end: u32,
    /// Where the value ends.
    end: u32,
}

struct Writer<'a> {
    input: &'a [u8],
    at: usize,
    integers: Integers,
    out: Vec<u8>,
    /// The members of all open objects, innermost last.
    members: Vec<Member>,
    /// Where objects are put in order.
    sorted: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(json: &'a [u8], integers: Integers) -> Result<Self, JsonError> {
        // Offsets are kept in 32 bits.
        if json.len() > (u32::MAX / 8) as usize {
            return Err(JsonError::TooLong);
        }
        // Checked once for the whole text; what is copied from it below is then UTF-8 too.
        std::str::from_utf8(json).map_err(|_| JsonError::Utf8)?;
        Ok(Self { input: json, at: 0, integers, out: Vec::new(), members: Vec::new(), sorted: Vec::new() })
    }

    fn document(&mut self) -> Result<(), JsonError> {
        self.white_space();
        self.value(MAX_DEPTH)?;
        self.white_space();
        if self.at == self.input.len() { Ok(()) } else { Err(JsonError::Syntax(self.at)) }
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Reads one value. `depth`: how many more levels may open. The recursion is bounded by it.
    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth.checked_sub(1).ok_or(JsonError::TooDeep)?),
            Some(b'[') => self.array(depth.checked_sub(1).ok_or(JsonError::TooDeep)?),
            Some(b'-' | b'0'..=b'9') => {
                self.at = write_number(self.input, self.at, self.integers, &mut self.out)?;
                Ok(())
            }
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(JsonError::Syntax(self.at)),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.input[self.at..].starts_with(word) {
            return Err(JsonError::Syntax(self.at));
        }
        self.at += word.len();
        self.out.extend_from_slice(word);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        self.out.push(b'[');
        self.white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.out.push(b']');
            return Ok(());
        }
        loop {
            self.white_space();
            self.value(depth)?;
            self.white_space();
            match self.peek() {
                Some(b',') => self.out.push(b','),
                Some(b']') => {
                    self.at += 1;
                    self.out.push(b']');
                    return Ok(());
                }
                _ => return Err(JsonError::Syntax(self.at)),
            }
            self.at += 1;
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        self.out.push(b'{');
        self.white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.out.push(b'}');
            return Ok(());
        }
        let first = self.members.len();
        let mut in_order = true;
        loop {
            self.white_space();
            let start = self.out.len();
            if self.peek() != Some(b'"') {
                return Err(JsonError::Syntax(self.at));
            }
            self.string()?;
            let key_end = self.out.len() - 1;
            self.white_space();
            if self.peek() != Some(b':') {
                return Err(JsonError::Syntax(self.at));
            }
            self.at += 1;
            self.out.push(b':');
            self.white_space();
            self.value(depth)?;
            self.white_space();
            let member = Member { start: offset(start)?, key_end: offset(key_end)?, end: offset(self.out.len())? };
            if let Some(last) = self.members[first..].last() {
                in_order = in_order && compare_keys(key(&self.out, *last), key(&self.out, member)) == Ordering::Less;
            }
            self.members.push(member);
            match self.peek() {
                Some(b',') => self.out.push(b','),
                Some(b'}') => break,
                _ => return Err(JsonError::Syntax(self.at)),
            }
            self.at += 1;
        }
        self.at += 1;
        if !in_order {
            self.put_in_order(first);
        }
        self.members.truncate(first);
        self.out.push(b'}');
        Ok(())
    }

    /// Rewrites the members from `first` on, which are the last thing written, in the order of their keys. Of members with
    /// the same key only the last one is kept.
    fn put_in_order(&mut self, first: usize) {
        let members = &mut self.members[first..];
        let out = &self.out;
        // Stable, so that of equal keys the last one read stays last.
        members.sort_by(|a, b| compare_keys(key(out, *a), key(out, *b)));
        self.sorted.clear();
        for (index, member) in members.iter().enumerate() {
            if members.get(index + 1).is_some_and(|next| key(out, *next) == key(out, *member)) {
                continue;
            }
            if !self.sorted.is_empty() {
                self.sorted.push(b',');
            }
            self.sorted.extend_from_slice(&out[member.start as usize..member.end as usize]);
        }
        let start = members.iter().map(|member| member.start).min().unwrap_or_default() as usize;
        self.out.truncate(start);
        self.out.extend_from_slice(&self.sorted);
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        self.out.push(b'"');
        loop {
            let plain = plain_length(&self.input[self.at..]);
            self.out.extend_from_slice(&self.input[self.at..self.at + plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.out.push(b'"');
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                // A control character or the end.
                _ => return Err(JsonError::Syntax(self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 2;
        let character = match self.input.get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode(start)?,
            _ => return Err(JsonError::Syntax(start + 1)),
        };
        write_character(character, &mut self.out);
        Ok(())
    }

    /// The character of a `\uXXXX` escape, or of two that form a surrogate pair. `self.at` is after the `u`.
    fn unicode(&mut self, start: usize) -> Result<char, JsonError> {
        let first = self.hex()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.input[self.at..].starts_with(b"\\u") {
                    return Err(JsonError::LoneSurrogate(start));
                }
                self.at += 2;
                let second = self.hex()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(JsonError::LoneSurrogate(start));
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            other => other,
        };
        char::from_u32(code).ok_or(JsonError::LoneSurrogate(start))
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.input.get(self.at..self.at + 4).ok_or(JsonError::Syntax(self.at))?;
        let mut code = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16).ok_or(JsonError::Syntax(self.at))?;
            code = code << 4 | value;
        }
        self.at += 4;
        Ok(code)
    }
}

fn offset(at: usize) -> Result<u32, JsonError> {
    u32::try_from(at).map_err(|_| JsonError::TooLong)
}

/// Writes a character of a string with the only escape that it needs, if any.
fn write_character(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\u{C}' => out.extend_from_slice(b"\\f"),
        '\r' => out.extend_from_slice(b"\\r"),
        control @ '\0'..='\u{1F}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes()),
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Writes a text as a canonical JSON string, quotes included.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if plain_length(text.as_bytes()) == text.len() {
        out.extend_from_slice(text.as_bytes());
    } else {
        text.chars().for_each(|character| write_character(character, out));
    }
    out.push(b'"');
}

/// The key of a member, between its quotes.
fn key(out: &[u8], member: Member) -> &[u8] {
    &out[member.start as usize + 1..member.key_end as usize]
}

/// Compares two keys, each in its escaped form, by the code points they stand for.
fn compare_keys(a: &[u8], b: &[u8]) -> Ordering {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a_rest, b_rest) = (&a[common..], &b[common..]);
    // Up to the first difference an escape is the same on both sides; the difference may lie inside of one.
    if !a.contains(&b'\\') && !b.contains(&b'\\') {
        return a_rest.cmp(b_rest);
    }
    unescaped(a).cmp(unescaped(b))
}

/// The bytes that a canonically escaped key stands for.
fn unescaped(key: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = key;
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        if *first != b'\\' {
            rest = tail;
            return Some(*first);
        }
        let (byte, length) = match tail {
            [b'b', ..] => (8, 2),
            [b't', ..] => (b'\t', 2),
            [b'n', ..] => (b'\n', 2),
            [b'f', ..] => (0xC, 2),
            [b'r', ..] => (b'\r', 2),
            // Always `\u00XX`.
            [b'u', _, _, high, low, ..] => (hex_digit(*high) << 4 | hex_digit(*low), 6),
            [other, ..] => (*other, 2),
            [] => (b'\\', 1),
        };
        rest = rest.get(length..).unwrap_or_default();
        Some(byte)
    })
}

fn hex_digit(digit: u8) -> u8 {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or_default()
}
