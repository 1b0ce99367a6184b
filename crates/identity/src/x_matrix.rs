//! Requests that a homeserver has signed.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#request-authentication>

use roost_matrix::ids::{self, OwnedServerName, ServerName};
use serde_json::Value;

use crate::{Error, Identity};

/// The longest header that is looked at, in bytes.
const MAX_HEADER: usize = 4096;

/// The `Authorization` header of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    origin: OwnedServerName,
    destination: Option<String>,
    key: String,
    sig: String,
}

impl Identity {
    /// Which homeserver has signed a request: `authorization` is its header, `uri` its path and query, `body` its JSON.
    ///
    /// Homeservers that only know an identity server's address and not its name sign that as `destination_is`, so either name
    /// of the member is taken, with this server's name or the host of its URL.
    pub async fn signed_by(
        &self,
        authorization: &str,
        method: &str,
        uri: &str,
        body: &[u8],
    ) -> Result<OwnedServerName, Error> {
        let refused = Error::Forbidden("the signature of the homeserver is not valid");
        let Some(header) = read(authorization) else { return Err(refused) };
        let names = self.names();
        if header.destination.as_ref().is_some_and(|destination| !names.contains(destination)) {
            return Err(refused);
        }
        let Ok(body) = std::str::from_utf8(body) else { return Err(refused) };
        let text = |text: &str| Value::from(text).to_string();
        let (origin, key, sig) = (text(header.origin.as_str()), text(&header.key), text(&header.sig));
        let (method, uri) = (text(method), text(uri));
        let mut candidates = Vec::new();
        for name in &names {
            for member in ["destination_is", "destination"] {
                candidates.push(format!(
                    r#"{{"content":{body},"{member}":{},"method":{method},"origin":{origin},"signatures":{{{origin}:{{{key}:{sig}}}}},"uri":{uri}}}"#,
                    text(name),
                ));
            }
        }
        if self.0.homeservers.has_signed(&header.origin, &candidates).await? { Ok(header.origin) } else { Err(refused) }
    }

    /// What this server is called: by its name, and by those who know its URL.
    fn names(&self) -> Vec<String> {
        let mut names = vec![self.0.options.server_name.to_string()];
        if let Ok(url) = url::Url::parse(&self.0.options.base_url)
            && let Some(host) = url.host_str()
        {
            names.push(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")));
        }
        names.dedup();
        names
    }
}

/// Reads `X-Matrix origin=…,destination="…",key="…",sig="…"`.
fn read(header: &str) -> Option<Header> {
    if header.len() > MAX_HEADER {
        return None;
    }
    let (scheme, parameters) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("x-matrix") {
        return None;
    }
    let (mut origin, mut destination, mut key, mut sig) = (None, None, None, None);
    for parameter in parameters.split(',') {
        let (name, value) = parameter.trim().split_once('=')?;
        let value = value.trim();
        // Nothing that is written here needs a backslash or a comma.
        let value = value.strip_prefix('"').map_or(Some(value), |value| value.strip_suffix('"'))?;
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "origin" => &mut origin,
            "destination" => &mut destination,
            "key" => &mut key,
            "sig" => &mut sig,
            _ => continue,
        };
        if place.replace(value.to_owned()).is_some() {
            return None;
        }
    }
    let origin = origin.filter(|origin| ids::is_server_name(origin))?;
    Some(Header { origin: ServerName::parse(origin).ok()?, destination, key: key?, sig: sig? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_with_and_without_quotes() {
        let quoted = r#"X-Matrix origin="a.example:8448",destination="id.example",key="ed25519:1",sig="AbC+/""#;
        let header = read(quoted).unwrap();
        assert_eq!((header.origin.as_str(), header.destination.as_deref()), ("a.example:8448", Some("id.example")));
        assert_eq!((header.key.as_str(), header.sig.as_str()), ("ed25519:1", "AbC+/"));
        assert_eq!(read("x-matrix origin=a.example, key=ed25519:1, sig=AbC").unwrap().destination, None);
    }

    #[test]
    fn a_header_that_says_something_twice_or_not_at_all_is_refused() {
        for wrong in [
            "",
            "X-Matrix",
            "Bearer abc",
            "X-Matrix origin=a.example,key=ed25519:1",
            "X-Matrix origin=a.example,origin=b.example,key=ed25519:1,sig=x",
            "X-Matrix origin=a example,key=ed25519:1,sig=x",
            "X-Matrix origin=\"a.example,key=ed25519:1,sig=x",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(read(&format!("X-Matrix origin=a.example,key=k,sig={}", "x".repeat(5000))), None);
    }
}
