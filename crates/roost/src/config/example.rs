//! The commented example, written from the same declarations as the reader.

use toml::Value;

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
        doc.iter().for_each(|line| comment(&mut out, line));
        out.push_str(&format!("[{section}]\n"));
        keys.iter().filter(|key| key.section == section).for_each(|key| write_key(&mut out, key));
    }
    out
}

fn write_listen(out: &mut String) {
    out.push('\n');
    Listen::DOC.iter().for_each(|line| comment(out, line));
    for listen in Config::default().listen {
        out.push_str("[[listen]]\n");
        for mut key in Listen::keys() {
            if key.name == "serves" {
                key.default = listen.serves.write();
            }
            write_key(out, &key);
        }
    }
}

fn write_key(out: &mut String, key: &Key) {
    key.doc.iter().for_each(|line| comment(out, line));
    if let Some(later) = key.later {
        comment(out, &format!(" Governs nothing yet: it waits for {later}."));
    }
    match (&key.default, &key.example) {
        (Some(value), _) => out.push_str(&format!("{} = {}\n", key.name, inline(value))),
        (None, Some(value)) => out.push_str(&format!("# {} = {}\n", key.name, inline(value))),
        (None, None) => out.push_str(&format!("# {} =\n", key.name)),
    }
}

fn comment(out: &mut String, line: &str) {
    out.push('#');
    out.push_str(line);
    out.push('\n');
}

fn inline(value: &Value) -> String {
    value.to_string()
}
