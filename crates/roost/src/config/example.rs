//! The commented example, written from the same declarations as the reader.

use std::fmt::Write as _;

use super::{Config, Key, Listen, Setting as _};

/// A complete configuration file: every key with its default and what it does.
#[must_use]
pub fn example() -> String {
    let mut out = String::from(
        "# Every key of Roost's configuration, with its default. A key can also come from the environment, as\n\
         # ROOST_SECTION__KEY: ROOST_SERVER_NAME, ROOST_DATABASE__URL, ROOST_LISTEN='[{\"address\": \"…\"}]'.\n",
    );
    let keys = Config::keys();
    out.push('\n');
    keys.iter().filter(|key| key.section.is_empty()).for_each(|key| write_key(&mut out, key));
    for (section, doc) in Config::sections() {
        // Where to listen is what most people look for, so it follows the database.
        if section == "registration" {
            write_listen(&mut out);
        }
        out.push('\n');
        comments(&mut out, doc);
        line(&mut out, format_args!("[{section}]"));
        keys.iter().filter(|key| key.section == section).for_each(|key| write_key(&mut out, key));
    }
    out
}

fn write_listen(out: &mut String) {
    out.push('\n');
    comments(out, Listen::DOC);
    for listen in Config::default().listen {
        line(out, format_args!("[[listen]]"));
        for mut key in Listen::keys() {
            if key.name == "serves" {
                key.default = listen.serves.write();
            }
            write_key(out, &key);
        }
    }
}

fn write_key(out: &mut String, key: &Key) {
    comments(out, &key.doc);
    if let Some(later) = key.later {
        line(out, format_args!("# Governs nothing yet: it waits for {later}."));
    }
    match (&key.default, &key.example) {
        (Some(value), _) => line(out, format_args!("{} = {value}", key.name)),
        (None, Some(value)) => line(out, format_args!("# {} = {value}", key.name)),
        (None, None) => line(out, format_args!("# {} =", key.name)),
    }
}

fn comments(out: &mut String, doc: &[&str]) {
    for text in doc {
        line(out, format_args!("#{text}"));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
