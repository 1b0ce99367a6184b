//! One text for two dialects, and the seams between them.

use std::{borrow::Cow, fmt::Write};

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Declares statements, each under a name of its own, and lists them for the test that prepares every one on both
/// engines. One such block in each module that has statements; the list in `statements.rs` names the module.
#[macro_export]
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*

        /// The module's statements by name.
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

/// The statement as the engine wants it.
pub(crate) fn statement(dialect: Dialect, sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        // Literals, quoted names and comments stay as they are.
        if let Some(len) = quoted(rest) {
            let (text, after) = rest.split_at(len);
            out.push_str(text);
            rest = after;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(len);
            match (word, argument(after)) {
                ("ints" | "texts", Some((number, after))) => {
                    set(dialect, &mut out, word, number);
                    rest = after;
                }
                ("position", Some((number, after))) => {
                    position(dialect, &mut out, number);
                    rest = after;
                }
                _ => {
                    out.push_str(word);
                    rest = after;
                }
            }
        } else if let Some((number, after)) = parameter(rest) {
            // `?n` is the n-th parameter on SQLite, where `$n` would be a name, numbered as it comes.
            out.push(if dialect == Dialect::Sqlite { '?' } else { '$' });
            out.push_str(number);
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn quoted(text: &str) -> Option<usize> {
    let end = |from: usize, what: &str| text[from..].find(what).map_or(text.len(), |at| from + at + what.len());
    match text.as_bytes() {
        [b'\'', ..] => Some(end(1, "'")),
        [b'"', ..] => Some(end(1, "\"")),
        [b'-', b'-', ..] => Some(end(2, "\n")),
        _ => None,
    }
}

/// `$12…` as `12` and the rest.
fn parameter(text: &str) -> Option<(&str, &str)> {
    let digits = text.strip_prefix('$')?;
    let len = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    (len > 0).then(|| digits.split_at(len))
}

/// `($12)…` as `12` and the rest.
fn argument(text: &str) -> Option<(&str, &str)> {
    let (number, after) = parameter(text.strip_prefix('(')?)?;
    Some((number, after.strip_prefix(')')?))
}

fn set(dialect: Dialect, out: &mut String, word: &str, number: &str) {
    let kind = if word == "ints" { "bigint[]" } else { "text[]" };
    // Writing to a `String` does not fail.
    let _ = match (dialect, out.ends_with("NOT IN "), out.ends_with("IN ")) {
        (Dialect::Sqlite, _, true) => write!(out, "(SELECT value FROM json_each(?{number}))"),
        (Dialect::Sqlite, _, false) => write!(out, "json_each(?{number})"),
        (Dialect::Postgres, true, _) => {
            out.truncate(out.len() - "NOT IN ".len());
            write!(out, "<> ALL(${number}::{kind})")
        }
        (Dialect::Postgres, false, true) => {
            out.truncate(out.len() - "IN ".len());
            write!(out, "= ANY(${number}::{kind})")
        }
        (Dialect::Postgres, false, false) => write!(out, "unnest(${number}::{kind}) AS value"),
    };
}

/// On SQLite the writer knows the position. On PostgreSQL the statement is sent before it is known, and the parameter
/// is how far the change lies before the end of its group.
fn position(dialect: Dialect, out: &mut String, number: &str) {
    let _ = match dialect {
        Dialect::Sqlite => write!(out, "?{number}"),
        Dialect::Postgres => write!(out, "((SELECT position FROM log_head) - ${number}::bigint)"),
    };
}

/// A migration as the engine wants it. On PostgreSQL every text column compares by bytes, whatever the database's own
/// collation.
pub(crate) fn migration(dialect: Dialect, sql: &str) -> String {
    match dialect {
        Dialect::Sqlite => {
            sql.replace("{bytes}", "BLOB").replace("{clustered}", " WITHOUT ROWID").replace("{number}", "INTEGER")
        }
        Dialect::Postgres => {
            let sql = sql.replace("{bytes}", "BYTEA").replace("{clustered}", "").replace("{number}", "BIGINT");
            let mut out = String::with_capacity(sql.len() + 256);
            let mut rest = sql.as_str();
            while let Some(first) = rest.chars().next() {
                let len = quoted(rest).unwrap_or_else(|| {
                    let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                    word.max(first.len_utf8())
                });
                let (text, after) = rest.split_at(len);
                out.push_str(text);
                if text == "TEXT" {
                    out.push_str(" COLLATE \"C\"");
                }
                rest = after;
            }
            out
        }
    }
}

/// PostgreSQL has no text with NUL. U+0000 and U+0001 are written as two characters each, so that every text can be
/// stored, comes back as it was, and sorts where it should.
pub(crate) fn escape_nul(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte > 1) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\u{1}', "\u{1}\u{2}").replace('\0', "\u{1}\u{1}"))
}

/// The inverse of [`escape_nul`].
pub(crate) fn unescape_nul(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1}') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(first) = chars.next() {
        out.push(match first {
            '\u{1}' if chars.next() == Some('\u{1}') => '\0',
            other => other,
        });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
