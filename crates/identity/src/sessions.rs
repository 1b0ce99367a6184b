//! Sessions in which somebody proves that an address is theirs: by returning a token that was sent there.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#establishing-associations>

use roost_store::{
    Read,
    identity_sessions::{self, Hash, NewSession, Session},
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::{Error, Identity, Medium, ThirdPartyId};

/// How long a session lasts from its last change on, in milliseconds.
pub(crate) const LIFETIME: u64 = 24 * 60 * 60 * 1000;

/// How many wrong tokens may be tried for each one that was sent.
pub const MAX_WRONG: u64 = 10;

/// The longest token, in code points, as the specification has it.
const MAX_TOKEN: usize = 255;

/// The longest `next_link`, in bytes.
const MAX_LINK: usize = 2048;

/// Digits of a token that is sent by SMS. With the limits on messages and on wrong tokens, guessing one takes centuries.
const DIGITS: usize = 8;

/// What a client asks for when it begins a session, or wants another message.
#[derive(Clone)]
pub struct Wanted {
    /// The client's secret.
    pub client_secret: String,
    /// Only a higher number than before sends another message.
    pub send_attempt: i64,
    /// Where the user goes afterwards.
    pub next_link: Option<String>,
}

/// An address that somebody has proved to be theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Its kind.
    pub medium: String,
    /// Its canonical form.
    pub address: String,
    /// When that was.
    pub validated_at: u64,
}

/// What there is to send.
struct Begun {
    sid: String,
    /// The `send_attempt` before, when a message is to be sent.
    before: Option<i64>,
}

impl Identity {
    /// Begins a session for a mail address, or goes on with it, and sends a mail. `given` is the address as the client has
    /// written it, since `send_attempt` counts for that. The session's id.
    pub async fn request_email(&self, id: &ThirdPartyId, given: &str, wanted: Wanted) -> Result<String, Error> {
        let token = self.0.world.random_text(24);
        let begun = self.begin(id, given, &wanted, &token).await?;
        if let Some(before) = begun.before {
            let sent = self.mail_token(id, &begun.sid, &wanted.client_secret, &token).await;
            self.finish(&begun.sid, wanted.send_attempt, before, sent).await?;
        }
        Ok(begun.sid)
    }

    /// The same for a phone number and an SMS.
    pub async fn request_phone(&self, id: &ThirdPartyId, given: &str, wanted: Wanted) -> Result<String, Error> {
        let gateway = self.0.sms.gateway(id).ok_or(Error::DestinationRejected)?;
        let token = self.code();
        let begun = self.begin(id, given, &wanted, &token).await?;
        if let Some(before) = begun.before {
            let sent = self.0.sms.send(gateway, id, &token).await;
            self.finish(&begun.sid, wanted.send_attempt, before, sent).await?;
        }
        Ok(begun.sid)
    }

    /// Takes a token that came back. When it is the right one the address is proved; where its user goes then, if the client
    /// has said so.
    pub async fn submit(
        &self,
        medium: Medium,
        sid: &str,
        client_secret: &str,
        token: &str,
    ) -> Result<Option<String>, Error> {
        if token.is_empty() || token.chars().count() > MAX_TOKEN {
            return Err(Error::InvalidParam("a token has between 1 and 255 characters"));
        }
        check_opaque(sid, client_secret)?;
        let (sid, secret, token) = (sid.to_owned(), client_secret.to_owned(), token.to_owned());
        let now = self.0.world.now_ms();
        let write = self.0.store.write(move |tx| {
            let session = load(tx, &sid, &secret, now)?;
            if session.medium != medium.as_str() {
                return Err(Error::NoSession);
            }
            if session.wrong >= MAX_WRONG {
                return Err(Error::TokenIncorrect);
            }
            let given = token_hash(&sid, &secret, &token);
            let known = [Some(session.token_hash), session.previous_hash];
            let right = known.iter().flatten().any(|known| bool::from(known.ct_eq(&given)));
            if !right {
                identity_sessions::count_wrong(tx, &sid)?;
                return Ok(Err(Error::TokenIncorrect));
            }
            if session.validated_at.is_none() {
                identity_sessions::validate(tx, &sid, now)?;
            }
            Ok(Ok(session.next_link))
        });
        write.await?
    }

    /// What a session has proved.
    pub async fn validated(&self, sid: &str, client_secret: &str) -> Result<Validated, Error> {
        check_opaque(sid, client_secret)?;
        let (sid, secret, now) = (sid.to_owned(), client_secret.to_owned(), self.0.world.now_ms());
        self.0.store.read(move |read| proved(read, &sid, &secret, now)).await
    }

    async fn begin(&self, id: &ThirdPartyId, given: &str, wanted: &Wanted, token: &str) -> Result<Begun, Error> {
        check_secret(&wanted.client_secret)?;
        let next_link = wanted.next_link.as_deref().map(|link| self.check_link(link)).transpose()?;
        let secret = wanted.client_secret.clone();
        let new = NewSession {
            sid: self.0.world.random_text(24),
            scope: hash(&[id.medium().as_str(), given, &secret]),
            secret_hash: hash(&["secret", &secret]),
            medium: id.medium().as_str(),
            address: id.address().to_owned(),
            send_attempt: wanted.send_attempt,
            token_hash: Hash::default(),
            next_link,
        };
        let (token, now) = (token.to_owned(), self.0.world.now_ms());
        let write = self.0.store.write(move |tx| {
            if let Some(known) = identity_sessions::by_scope(tx, &new.scope)? {
                if !is_over(&known, now) {
                    let hash = token_hash(&known.sid, &secret, &token);
                    let before = known.send_attempt;
                    let sends = identity_sessions::resend(tx, &known.sid, new.send_attempt, &hash, &new.next_link)?;
                    return Ok::<_, Error>(Begun { sid: known.sid, before: sends.then_some(before) });
                }
                identity_sessions::delete(tx, &known.sid)?;
            }
            let new = NewSession { token_hash: token_hash(&new.sid, &secret, &token), ..new.clone() };
            if identity_sessions::insert(tx, &new, now)? {
                return Ok(Begun { sid: new.sid, before: Some(i64::MIN) });
            }
            // Another node was quicker, and sends the message.
            let known = identity_sessions::by_scope(tx, &new.scope)?.ok_or(Error::NoSession)?;
            Ok(Begun { sid: known.sid, before: None })
        });
        write.await
    }

    /// A message that could not be sent does not count, so that the same request can try again.
    async fn finish(&self, sid: &str, attempt: i64, before: i64, sent: Result<(), Error>) -> Result<(), Error> {
        if sent.is_err() {
            let sid = sid.to_owned();
            let write =
                self.0.store.write(move |tx| Ok::<_, Error>(identity_sessions::unsent(tx, &sid, attempt, before)?));
            write.await?;
        }
        sent
    }

    /// A token of digits, each drawn evenly.
    fn code(&self) -> String {
        let mut code = String::with_capacity(DIGITS);
        while code.len() < DIGITS {
            for byte in self.0.world.random_bytes::<16>() {
                // 250 is the largest multiple of ten that fits a byte.
                if byte < 250 && code.len() < DIGITS {
                    code.push(char::from(b'0' + byte % 10));
                }
            }
        }
        code
    }

    /// A link is followed only to hosts that the operator has named: else this server would lead people anywhere.
    fn check_link(&self, link: &str) -> Result<String, Error> {
        let refused = Error::InvalidParam("next_link does not lead to a host that this server's operator has allowed");
        if link.len() > MAX_LINK || link.chars().any(char::is_control) {
            return Err(refused);
        }
        let Ok(url) = Url::parse(link) else { return Err(refused) };
        let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let allowed =
            url.host_str().is_some_and(|host| self.0.options.next_link_hosts.iter().any(|known| known == host));
        // As it was understood, and not as it was written: browsers read strange URLs in strange ways.
        if plain && allowed { Ok(url.into()) } else { Err(refused) }
    }
}

/// A session that has been validated and is not over.
pub(crate) fn proved(read: &Read<'_>, sid: &str, client_secret: &str, now: u64) -> Result<Validated, Error> {
    let session = load(read, sid, client_secret, now)?;
    let validated_at = session.validated_at.ok_or(Error::NotValidated)?;
    Ok(Validated { medium: session.medium, address: session.address, validated_at })
}

/// A session that is not over.
fn load(read: &Read<'_>, sid: &str, client_secret: &str, now: u64) -> Result<Session, Error> {
    let session = identity_sessions::get(read, sid)?.ok_or(Error::NoSession)?;
    if !bool::from(session.secret_hash.ct_eq(&hash(&["secret", client_secret]))) {
        return Err(Error::NoSession);
    }
    if is_over(&session, now) { Err(Error::SessionExpired) } else { Ok(session) }
}

fn is_over(session: &Session, now: u64) -> bool {
    now.saturating_sub(session.modified_at) > LIFETIME
}

/// Refuses what can be neither a session's id nor a secret.
pub(crate) fn check_opaque(sid: &str, client_secret: &str) -> Result<(), Error> {
    if !is_opaque(sid) {
        return Err(Error::InvalidParam("sid is not made of 1 to 255 of 0-9 a-z A-Z . = _ -"));
    }
    check_secret(client_secret)
}

fn check_secret(client_secret: &str) -> Result<(), Error> {
    if is_opaque(client_secret) {
        return Ok(());
    }
    Err(Error::InvalidParam("client_secret is not made of 1 to 255 of 0-9 a-z A-Z . = _ -"))
}

fn is_opaque(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'=' | b'_' | b'-'))
}

/// Without the client's secret, of which only a hash is kept, a token of a few digits can not be found from its hash.
fn token_hash(sid: &str, client_secret: &str, token: &str) -> Hash {
    hash(&["token", sid, client_secret, token])
}

/// A hash of texts, each with its length, so that no two lists of texts are hashed alike.
fn hash(texts: &[&str]) -> Hash {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().into()
}
