//! The texts that people read: built in, and replaced by the files of a folder, one by one.

use std::{borrow::Cow, fs, io, path::Path};

use crate::template::{Form, Template, TemplateError};

/// The values of the mail with which an address is proved.
const VALIDATION: &[&str] = &["server_name", "to", "link", "token"];

/// The values of the mail with which an address is invited.
const INVITATION: &[&str] = &[
    "server_name",
    "to",
    "sender",
    "inviter_name",
    "sender_avatar_url",
    "room_id",
    "room_name",
    "room_alias",
    "room_avatar_url",
    "room_join_rules",
    "room_type",
    "is_space",
    "is_room",
    "token",
    "private_key",
    "sign_url",
    "web_client",
];

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Why the texts can not be used.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// A file can not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file is no template.
    #[error("{path}: {source}")]
    Template {
        /// The file.
        path: String,
        /// Why.
        source: TemplateError,
    },
}

/// A mail's subject, text and HTML.
#[derive(Clone, Debug)]
pub(crate) struct MailTexts {
    pub(crate) subject: Template,
    pub(crate) text: Template,
    pub(crate) html: Template,
}

/// All texts.
#[derive(Clone, Debug)]
pub struct Texts {
    pub(crate) validation: MailTexts,
    pub(crate) invitation: MailTexts,
    pub(crate) sms: Template,
    pub(crate) confirmed: Template,
    pub(crate) refused: Template,
}

impl Texts {
    /// Those in `folder`, and the built-in ones where it has none.
    pub fn load(folder: Option<&Path>) -> Result<Self, TextsError> {
        let text = |name: &str, built_in: &'static str, names: &[&str], form| {
            let (path, text) = match folder.map(|folder| folder.join(name)).filter(|path| path.exists()) {
                Some(path) => {
                    let shown = path.display().to_string();
                    let text = load(&path).map_err(|source| TextsError::Read { path: shown.clone(), source })?;
                    (shown, Cow::Owned(text))
                }
                None => (name.to_owned(), Cow::Borrowed(built_in)),
            };
            Template::read(text.trim_end(), names, form).map_err(|source| TextsError::Template { path, source })
        };
        macro_rules! built_in {
            ($name:literal, $names:expr, $form:expr) => {
                text($name, include_str!(concat!("../templates/", $name)), $names, $form)?
            };
        }
        Ok(Self {
            validation: MailTexts {
                subject: built_in!("validation.subject", VALIDATION, Form::Text),
                text: built_in!("validation.txt", VALIDATION, Form::Text),
                html: built_in!("validation.html", VALIDATION, Form::Html),
            },
            invitation: MailTexts {
                subject: built_in!("invitation.subject", INVITATION, Form::Text),
                text: built_in!("invitation.txt", INVITATION, Form::Text),
                html: built_in!("invitation.html", INVITATION, Form::Html),
            },
            sms: built_in!("sms.txt", &["server_name", "token"], Form::Text),
            confirmed: built_in!("confirmed.html", &[], Form::Html),
            refused: built_in!("refused.html", &["reason"], Form::Html),
        })
    }
}

fn load(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_FILE {
        return Err(io::Error::other("the file is larger than 256 KiB"));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_texts_are_templates() {
        Texts::load(None).unwrap();
    }

    #[test]
    fn a_file_replaces_a_text_and_a_faulty_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sms.txt"), "Code: {{token}}\n").unwrap();
        let texts = Texts::load(Some(folder.path())).unwrap();
        assert_eq!(texts.sms.fill(&[("token", Some(Cow::Borrowed("123")))]), "Code: 123");
        fs::write(folder.path().join("validation.txt"), "{{tokn}}").unwrap();
        let error = Texts::load(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("validation.txt") && error.contains("tokn"), "{error}");
    }
}
