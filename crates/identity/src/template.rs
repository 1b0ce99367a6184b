//! Texts with gaps: mails, messages and pages, which an operator can replace.
//!
//! `{{name}}` stands for a value, `{{name|url}}` for the same as a part of a URL, and what stands between `{{#name}}` and
//! `{{/name}}` is left out when there is no such value. In HTML values are escaped. Control characters, line breaks among
//! them, are removed from every value, and long ones are cut: most values come from strangers.

use std::{borrow::Cow, fmt::Write as _};

/// The longest value, in characters; keys and links are longer than names should be.
const MAX_VALUE: usize = 2048;

/// Why a template can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A gap or a section has no end.
    #[error("{{{{{0} has no end")]
    Open(String),
    /// No such value is known to this template.
    #[error("nothing is called {0} here; there are: {1}")]
    Unknown(String, String),
    /// A section ends that has not begun.
    #[error("{{{{/{0}}}}} ends nothing")]
    Stray(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value { name: String, url: bool },
    Section { name: String, parts: Vec<Part> },
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Html,
    /// Inside a string of JSON.
    Json,
    /// As a value of a form in a request's body.
    Url,
}

/// A text with gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
    form: Form,
}

/// Values by their names.
pub(crate) type Values<'a> = &'a [(&'static str, Option<Cow<'a, str>>)];

impl Template {
    /// Reads a template; `names` are the values that it may use.
    pub(crate) fn read(text: &str, names: &[&str], form: Form) -> Result<Self, TemplateError> {
        let mut rest = text;
        let parts = parse(&mut rest, names, None)?;
        Ok(Self { parts, form })
    }

    /// Fills the gaps.
    pub(crate) fn fill(&self, values: Values<'_>) -> String {
        let mut out = String::new();
        fill(&self.parts, self.form, values, &mut out);
        out
    }
}

fn parse(rest: &mut &str, names: &[&str], inside: Option<&str>) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    loop {
        let Some((before, after)) = rest.split_once("{{") else {
            if let Some(section) = inside {
                return Err(TemplateError::Open(format!("#{section}}}}}")));
            }
            parts.push(Part::Text((*rest).to_owned()));
            *rest = "";
            return Ok(parts);
        };
        parts.push(Part::Text(before.to_owned()));
        let (tag, after) =
            after.split_once("}}").ok_or_else(|| TemplateError::Open(after.chars().take(20).collect()))?;
        *rest = after;
        let known = |name: &str| {
            if names.contains(&name) {
                Ok(name.to_owned())
            } else {
                Err(TemplateError::Unknown(name.to_owned(), names.join(", ")))
            }
        };
        if let Some(name) = tag.strip_prefix('#') {
            let name = known(name.trim())?;
            let inner = parse(rest, names, Some(&name))?;
            parts.push(Part::Section { name, parts: inner });
        } else if let Some(name) = tag.strip_prefix('/') {
            if inside == Some(name.trim()) {
                return Ok(parts);
            }
            return Err(TemplateError::Stray(name.trim().to_owned()));
        } else {
            let (name, url) = tag.split_once('|').map_or((tag, false), |(name, how)| (name, how.trim() == "url"));
            parts.push(Part::Value { name: known(name.trim())?, url });
        }
    }
}

fn fill(parts: &[Part], form: Form, values: Values<'_>, out: &mut String) {
    let value = |wanted: &str| values.iter().find(|(name, _)| *name == wanted).and_then(|(_, value)| value.as_deref());
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Value { name, url } => {
                let clean: String = value(name)
                    .unwrap_or_default()
                    .chars()
                    .filter(|c| !c.is_control() && !is_directional(*c))
                    .take(MAX_VALUE)
                    .collect();
                // A URL's escapes need none of HTML's or JSON's.
                if *url { write_url(&clean, out) } else { write(&clean, form, out) }
            }
            Part::Section { name, parts } => {
                if value(name).is_some_and(|value| !value.is_empty()) {
                    fill(parts, form, values, out);
                }
            }
        }
    }
}

/// Characters that turn the direction of what follows, which makes a text read as it is not written.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn write(value: &str, form: Form, out: &mut String) {
    match form {
        Form::Text => out.push_str(value),
        Form::Html => {
            for c in value.chars() {
                match c {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '"' => out.push_str("&quot;"),
                    '\'' => out.push_str("&#39;"),
                    c => out.push(c),
                }
            }
        }
        Form::Json => {
            let quoted = serde_json::Value::from(value).to_string();
            out.push_str(quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default());
        }
        Form::Url => write_url(value, out),
    }
}

fn write_url(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, form: Form, value: Option<&str>) -> String {
        let template = Template::read(template, &["name", "other"], form).unwrap();
        template.fill(&[("name", value.map(Cow::Borrowed)), ("other", None)])
    }

    #[test]
    fn values_fill_gaps_and_sections_without_one_are_left_out() {
        assert_eq!(filled("Hello {{name}}!", Form::Text, Some("Alice")), "Hello Alice!");
        assert_eq!(filled("Hello{{#name}} {{ name }}{{/name}}!{{#other}}?{{/other}}", Form::Text, None), "Hello!");
        assert_eq!(filled("{{#name}}[{{#other}}no{{/other}}{{name}}]{{/name}}", Form::Text, Some("a")), "[a]");
    }

    #[test]
    fn a_value_can_not_leave_its_place() {
        let hostile = "a\r\nBcc: x<b>&\"'\u{202E}\0";
        assert_eq!(filled("{{name}}", Form::Text, Some(hostile)), "aBcc: x<b>&\"'");
        assert_eq!(filled("{{name}}", Form::Html, Some(hostile)), "aBcc: x&lt;b&gt;&amp;&quot;&#39;");
        assert_eq!(filled("{{name}}", Form::Json, Some("a\"b\\c\n{{name}}")), "a\\\"b\\\\c{{name}}");
        assert_eq!(filled("?q={{name|url}}", Form::Html, Some("a b&c/é")), "?q=a%20b%26c%2F%C3%A9");
        assert_eq!(filled("{{name}}", Form::Text, Some(&"x".repeat(9000))).len(), MAX_VALUE);
    }

    #[test]
    fn a_template_that_can_not_be_filled_is_refused_by_name() {
        let read = |text| Template::read(text, &["name"], Form::Text).unwrap_err().to_string();
        assert_eq!(read("{{nam}}"), "nothing is called nam here; there are: name");
        assert_eq!(read("{{name"), "{{name has no end");
        assert_eq!(read("{{#name}}x"), "{{#name}} has no end");
        assert_eq!(read("x{{/name}}"), "{{/name}} ends nothing");
    }
}
