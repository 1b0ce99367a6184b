//! Mail by SMTP.
//!
//! The server's URL says how: `smtps://user:password@host:465` speaks TLS from the first byte. `smtp://host:25` begins in plain
//! text and goes over to TLS by STARTTLS; how much that matters says `?tls=`:
//!
//! | | |
//! |---|---|
//! | `required` | no mail without TLS and a good certificate |
//! | `opportunistic` | TLS when it is offered, whatever its certificate: as good as plain text, since that would do, too |
//! | `never` | plain text |
//!
//! Left out, it is `required` when the URL holds a password and the host is not this machine, and otherwise `opportunistic`.

mod connection;
mod stream;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc, time::Duration};

use lettre::{
    Message,
    message::{Mailbox, MultiPart, SinglePart, header::MessageId},
    transport::smtp::authentication::Credentials,
};
use roost_world::World;
use url::Url;

use crate::{
    Error,
    client::{Candidate, Host},
    network::Network,
    tls::{TlsError, Trust},
};

/// How long the delivery of one mail may take in all.
const TOTAL: Duration = Duration::from_secs(60);

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The URL of the server is of no use.
    #[error("the URL of the mail server is of no use: {0}")]
    Url(&'static str),
    /// An address is none.
    #[error("{0:?} is no mail address")]
    Address(String),
    /// The mail can not be put together.
    #[error("it can not be written: {0}")]
    Write(#[from] lettre::error::Error),
    /// The server can not be reached or does not keep to the protocol.
    #[error("the mail server: {0}")]
    Io(#[from] std::io::Error),
    /// The server refused.
    #[error("the mail server refused: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// TLS was wanted and is not offered.
    #[error("the mail server offers no TLS")]
    NoTls,
}

impl MailError {
    /// Whether sending the same mail later may work.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io(_) => true,
            // Refusals for good are codes from 500 on; those below, and connections that break, are not for good.
            Self::Smtp(error) => !error.is_permanent() && !error.is_client(),
            _ => false,
        }
    }
}

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// From whom, such as `Roost <roost@example.org>`.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The subject. Line breaks in it are no way to smuggle headers.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same in HTML, for those who prefer it.
    pub html: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS or nothing.
    Required,
    /// STARTTLS if it is offered.
    Opportunistic,
    /// Plain text.
    Never,
}

/// A mail server that takes our mail. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    inner: Arc<Inner>,
}

struct Inner {
    server: Candidate,
    security: Security,
    credentials: Option<Credentials>,
    /// TLS that checks certificates (unless nobody does), and TLS that does not.
    tls: (Arc<rustls::ClientConfig>, Arc<rustls::ClientConfig>),
    hello: String,
    network: Arc<dyn Network>,
    world: World,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the URL: it may hold a password.
        f.debug_struct("Mailer").field("server", &self.inner.server).finish_non_exhaustive()
    }
}

impl Mailer {
    /// A mailer for the server at `url`. `hello` is this machine's own domain, as it presents itself. The guard against private
    /// addresses has no say here: whoever runs the server names the mail server.
    pub fn new(url: &str, hello: &str, network: Arc<dyn Network>, trust: &Trust, world: World) -> Result<Self, Error> {
        let (server, security, credentials) = parse(url)?;
        let client = |trust: &Trust| Ok::<_, TlsError>(Arc::new(trust.client(&[], &world)?));
        let tls = (client(trust)?, client(&trust.verifying(false))?);
        // A host name with a port or brackets is none to SMTP.
        let hello = if hello.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
            hello.to_owned()
        } else {
            "localhost".to_owned()
        };
        Ok(Self { inner: Arc::new(Inner { server, security, credentials, tls, hello, network, world }) })
    }

    /// Delivers a mail to the server. It is sent once this returns; on an error it may have been sent all the same.
    pub async fn send(&self, mail: &Mail) -> Result<(), Error> {
        let message = self.write(mail)?;
        let delivery = Box::pin(self.inner.deliver(&message));
        self.inner.world.timeout(TOTAL, delivery).await.ok_or(Error::Timeout("the delivery of a mail"))?
    }

    fn write(&self, mail: &Mail) -> Result<Message, MailError> {
        let world = &self.inner.world;
        let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|_| MailError::Address(text.to_owned()));
        let from = mailbox(&mail.from)?;
        let id = format!("<{}@{}>", world.random_text(24), from.email.domain());
        let now = std::time::UNIX_EPOCH + Duration::from_millis(world.now_ms());
        let subject: String =
            mail.subject.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let builder =
            Message::builder().from(from).to(mailbox(&mail.to)?).date(now).header(MessageId::from(id)).subject(subject);
        let text = SinglePart::plain(mail.text.clone());
        Ok(match &mail.html {
            None => builder.singlepart(text)?,
            Some(html) => {
                let parts = MultiPart::alternative().boundary(world.random_text(30));
                builder.multipart(parts.singlepart(text).singlepart(SinglePart::html(html.clone())))?
            }
        })
    }
}

fn parse(url: &str) -> Result<(Candidate, Security, Option<Credentials>), MailError> {
    let url = Url::parse(url).map_err(|_| MailError::Url("it is not a URL"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(MailError::Url("it has no host"))?;
    // The URL standard knows no hosts of such schemes: addresses come as text.
    let host = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(host.to_ascii_lowercase()),
    };
    let decode =
        |text: &str| percent_decode(text).ok_or(MailError::Url("user name or password are not percent-encoded UTF-8"));
    let credentials = match url.password() {
        Some(password) => Some(Credentials::new(decode(url.username())?, decode(password)?)),
        None if url.username().is_empty() => None,
        None => return Err(MailError::Url("it has a user name but no password")),
    };
    let here = match &host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => name == "localhost",
    };
    let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
    let (security, port) = match (url.scheme(), tls.as_deref()) {
        ("smtps", None | Some("required")) => (Security::Implicit, 465),
        ("smtp", None) if credentials.is_some() && !here => (Security::Required, 25),
        ("smtp", None | Some("opportunistic")) => (Security::Opportunistic, 25),
        ("smtp", Some("required")) => (Security::Required, 25),
        ("smtp", Some("never")) => (Security::Never, 25),
        ("smtp" | "smtps", _) => return Err(MailError::Url("tls is required, opportunistic or never")),
        _ => return Err(MailError::Url("it begins neither with smtp:// nor with smtps://")),
    };
    Ok((Candidate { host, port: url.port().unwrap_or(port) }, security, credentials))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok())?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = rest.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}
