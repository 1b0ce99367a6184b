//! The mails that this server sends.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use roost_matrix::ids::{RoomId, UserId};
use roost_net::mail::Mail;

use crate::{Error, Identity, InviteDetails, ThirdPartyId, template::Values, texts::MailTexts};

/// How long a client waits for a mail to be sent.
const PATIENCE: Duration = Duration::from_secs(25);

/// The longest name of a room or a person in a mail, in characters: there is no room for a message of their own.
const MAX_NAME: usize = 80;

impl Identity {
    /// Sends the token of a session.
    pub(crate) async fn mail_token(
        &self,
        id: &ThirdPartyId,
        sid: &str,
        client_secret: &str,
        token: &str,
    ) -> Result<(), Error> {
        let mut link = format!("{}/_matrix/identity/v2/validate/email/submitToken", self.0.options.base_url);
        // None of them needs escaping.
        let _ = write!(link, "?token={token}&client_secret={client_secret}&sid={sid}");
        let values: Values<'_> = &[
            ("server_name", Some(Cow::Borrowed(self.0.options.server_name.as_str()))),
            ("to", Some(Cow::Borrowed(id.address()))),
            ("link", Some(Cow::Owned(link))),
            ("token", Some(Cow::Borrowed(token))),
        ];
        self.mail(id, &self.0.options.texts.validation, values).await
    }

    /// Sends an invitation.
    pub(crate) async fn mail_invite(
        &self,
        id: &ThirdPartyId,
        room_id: &RoomId,
        sender: &UserId,
        details: &InviteDetails,
        token: &str,
        private_key: &str,
    ) -> Result<(), Error> {
        let options = &self.0.options;
        let is_space = details.room_type.as_deref() == Some("m.space");
        let yes = |is| Some(Cow::Borrowed("yes")).filter(|_| is);
        let mut sign_url = format!("{}/_matrix/identity/v2/sign-ed25519", options.base_url);
        let _ = write!(sign_url, "?token={token}&private_key={}", private_key.replace('+', "%2B"));
        let values: Values<'_> = &[
            ("server_name", Some(Cow::Borrowed(options.server_name.as_str()))),
            ("to", Some(Cow::Borrowed(id.address()))),
            ("sender", Some(Cow::Borrowed(sender.as_str()))),
            ("inviter_name", some(details.sender_display_name.as_deref()).or(Some(Cow::Borrowed(sender.as_str())))),
            ("sender_avatar_url", some(details.sender_avatar_url.as_deref())),
            ("room_id", Some(Cow::Borrowed(room_id.as_str()))),
            ("room_name", some(details.room_name.as_deref()).or_else(|| some(details.room_alias.as_deref()))),
            ("room_alias", some(details.room_alias.as_deref())),
            ("room_avatar_url", some(details.room_avatar_url.as_deref())),
            ("room_join_rules", some(details.room_join_rules.as_deref())),
            ("room_type", some(details.room_type.as_deref())),
            ("is_space", yes(is_space)),
            ("is_room", yes(!is_space)),
            ("token", Some(Cow::Borrowed(token))),
            ("private_key", Some(Cow::Borrowed(private_key))),
            ("sign_url", Some(Cow::Owned(sign_url))),
            ("web_client", options.web_client.as_deref().map(Cow::Borrowed)),
        ];
        self.mail(id, &options.texts.invitation, values).await
    }

    async fn mail(&self, to: &ThirdPartyId, texts: &MailTexts, values: Values<'_>) -> Result<(), Error> {
        let result = match &self.0.mailer {
            None => Err("no mail server is configured".to_owned()),
            Some(mailer) => {
                let mail = Mail {
                    from: self.0.options.mail_from.clone(),
                    to: to.address().to_owned(),
                    subject: texts.subject.fill(values),
                    text: texts.text.fill(values),
                    html: Some(texts.html.fill(values)),
                };
                match self.0.world.timeout(PATIENCE, mailer.send(&mail)).await {
                    Some(Ok(())) => Ok(()),
                    Some(Err(error)) => Err(error.to_string()),
                    None => Err("the mail server takes too long".to_owned()),
                }
            }
        };
        let outcome = if result.is_ok() { "sent" } else { "failed" };
        metrics::counter!("roost_identity_messages_total", "medium" => "email", "outcome" => outcome).increment(1);
        result.map_err(|problem| {
            tracing::warn!(problem, "a mail could not be sent");
            Error::EmailSend
        })
    }
}

/// A text that is there, cut to the length of a name.
fn some(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.filter(|text| !text.is_empty()).map(short)
}

fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_NAME) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}
