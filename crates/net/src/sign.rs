//! [Request authentication](https://spec.matrix.org/v1.19/server-server-api/#request-authentication): the `X-Matrix` header,
//! made, read and verified.

use http::Method;
use roost_matrix::{
    base64,
    canonical_json::{self, Integers, JsonError},
    ids::{OwnedServerName, ServerName, is_server_name, is_signing_key_id},
    signing::{KeyPair, PublicKey},
};
use serde_json::json;

#[cfg(test)]
mod tests;

/// The longest header that is read, in bytes.
pub const MAX_HEADER: usize = 4096;

/// The most parameters that are read.
const MAX_PARAMETERS: usize = 32;

/// The bytes that are signed: a request as canonical JSON. `uri` is path and query; `content` the body, if there is one.
pub fn request_json(
    method: &Method,
    uri: &str,
    origin: &ServerName,
    destination: &ServerName,
    content: Option<&[u8]>,
) -> Result<Vec<u8>, JsonError> {
    let mut request =
        json!({ "method": method.as_str(), "uri": uri, "origin": origin, "destination": destination }).to_string();
    if let Some(content) = content {
        // Read by itself first: as part of the whole it might be more than one member.
        let content = canonical_json::canonicalize(content, Integers::Lenient)?;
        request.pop();
        request.push_str(",\"content\":");
        request.push_str(&String::from_utf8(content).map_err(|_| JsonError::Utf8)?);
        request.push('}');
    }
    canonical_json::canonicalize_object(request.as_bytes(), Integers::Lenient)
}

/// The value of the `Authorization` header of a request that `origin` sends, signed with its `key`.
pub fn authorization(
    key: &KeyPair,
    method: &Method,
    uri: &str,
    origin: &ServerName,
    destination: &ServerName,
    content: Option<&[u8]>,
) -> Result<String, JsonError> {
    let signature = base64::encode(&key.sign(&request_json(method, uri, origin, destination, content)?));
    Ok(format!(
        "X-Matrix origin=\"{origin}\",destination=\"{destination}\",key=\"{}\",sig=\"{signature}\"",
        key.key_id()
    ))
}

/// Why a header says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is of another scheme.
    #[error("not an X-Matrix authorization")]
    Scheme,
    /// It is too long, or has too many parameters.
    #[error("too long")]
    TooLong,
    /// It does not keep to the grammar.
    #[error("not a list of name=value pairs")]
    Grammar,
    /// A parameter that is needed is missing.
    #[error("no parameter {0}")]
    Missing(&'static str),
    /// A parameter that matters comes twice.
    #[error("the parameter {0} comes twice")]
    Twice(&'static str),
    /// A parameter's value can not be one.
    #[error("the parameter {0} has no valid value")]
    Value(&'static str),
}

/// The contents of an `X-Matrix` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XMatrix {
    /// Who claims to ask.
    pub origin: OwnedServerName,
    /// Whom they mean to ask; older servers do not say.
    pub destination: Option<OwnedServerName>,
    /// The identifier of the key that has signed, such as `ed25519:abc`.
    pub key: String,
    /// The signature.
    pub signature: [u8; 64],
}

impl XMatrix {
    /// Reads a header's value.
    ///
    /// More than the specification demands is taken where it asks for that: colons in values without quotes, names in any case,
    /// white space around commas. The signature may be called `sig`, as in the specification's examples and everywhere, or
    /// `signature`, as in its list of parameters.
    pub fn parse(header: &str) -> Result<Self, HeaderError> {
        if header.len() > MAX_HEADER {
            return Err(HeaderError::TooLong);
        }
        let (scheme, rest) = header.split_once(' ').ok_or(HeaderError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("X-Matrix") {
            return Err(HeaderError::Scheme);
        }
        let mut known = [("origin", None), ("destination", None), ("key", None), ("sig", None), ("signature", None)];
        for parameter in parameters(rest) {
            let (name, value) = parameter?;
            if let Some((name, kept)) = known.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name))
                && kept.replace(value).is_some()
            {
                return Err(HeaderError::Twice(name));
            }
        }
        let [(_, origin), (_, destination), (_, key), (_, sig), (_, signature)] = known;
        let server = |name, value: String| {
            Some(value)
                .filter(|value| is_server_name(value))
                .and_then(|value| OwnedServerName::try_from(value).ok())
                .ok_or(HeaderError::Value(name))
        };
        let key = key.ok_or(HeaderError::Missing("key"))?;
        if !is_signing_key_id(&key) || key.len() > 255 {
            return Err(HeaderError::Value("key"));
        }
        let signature = sig.or(signature).ok_or(HeaderError::Missing("sig"))?;
        Ok(Self {
            origin: server("origin", origin.ok_or(HeaderError::Missing("origin"))?)?,
            destination: destination.map(|value| server("destination", value)).transpose()?,
            key,
            signature: base64::decode_exact(signature).map_err(|_| HeaderError::Value("sig"))?,
        })
    }

    /// Whether this is the signature of a request to `us` with the key `public`.
    pub fn verify(
        &self,
        public: PublicKey,
        us: &ServerName,
        method: &Method,
        uri: &str,
        content: Option<&[u8]>,
    ) -> Result<bool, JsonError> {
        Ok(public.verify(&request_json(method, uri, &self.origin, us, content)?, &self.signature))
    }
}

/// Names and values, as [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-11.4) lists them.
fn parameters(text: &str) -> impl Iterator<Item = Result<(&str, String), HeaderError>> {
    let (mut rest, mut count, mut over) = (text, 0, false);
    std::iter::from_fn(move || {
        // Empty elements of a list mean nothing.
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if over || rest.is_empty() {
            return None;
        }
        count += 1;
        let next = if count > MAX_PARAMETERS { Err(HeaderError::TooLong) } else { parameter(rest) };
        Some(match next {
            Ok((name, value, after)) => {
                rest = after;
                Ok((name, value))
            }
            Err(error) => {
                over = true;
                Err(error)
            }
        })
    })
}

/// One parameter, and what follows it: nothing or a comma.
fn parameter(text: &str) -> Result<(&str, String, &str), HeaderError> {
    let (name, rest) = text.split_once('=').ok_or(HeaderError::Grammar)?;
    let name = name.trim_end_matches([' ', '\t']);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(HeaderError::Grammar);
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    let (value, rest) = if let Some(quoted) = rest.strip_prefix('"') {
        unquote(quoted)?
    } else {
        let end = rest.bytes().position(|byte| !is_token(byte) && byte != b':').unwrap_or(rest.len());
        let (value, rest) = rest.split_at(end);
        (value.to_owned(), rest)
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    if rest.is_empty() || rest.starts_with(',') { Ok((name, value, rest)) } else { Err(HeaderError::Grammar) }
}

/// A quoted string without its opening quote: what it stands for, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), HeaderError> {
    let (mut value, mut characters) = (String::new(), text.chars());
    loop {
        let character = match characters.next().ok_or(HeaderError::Grammar)? {
            '"' => return Ok((value, characters.as_str())),
            '\\' => characters.next().ok_or(HeaderError::Grammar)?,
            other => other,
        };
        if character.is_control() && character != '\t' {
            return Err(HeaderError::Grammar);
        }
        value.push(character);
    }
}

/// What may stand in a [token](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
