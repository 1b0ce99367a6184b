//! Requests that a homeserver has signed.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#request-authentication>

use http::Method;
use roost_matrix::{
    canonical_json::{self, Integers},
    ids::{OwnedServerName, ServerName},
};
use roost_net::sign::{XMatrix, request_json};
use serde_json::Value;

use crate::{Error, Identity};

impl Identity {
    /// Which homeserver has signed a request: `authorization` is its header, `uri` its path and query, `body` its JSON object.
    ///
    /// Homeservers know an identity server by the host in its URL and sign that as `destination_is`, so either name of the
    /// member is taken, with this server's name or with the host of its URL.
    pub async fn signed_by(
        &self,
        authorization: &str,
        method: &Method,
        uri: &str,
        body: &[u8],
    ) -> Result<OwnedServerName, Error> {
        let refused = Error::Forbidden("the signature of the homeserver is not valid");
        let Ok(header) = XMatrix::parse(authorization) else { return Err(refused) };
        let names = self.names();
        if header.destination.as_ref().is_some_and(|destination| !names.contains(destination)) {
            return Err(refused);
        }
        let key = self.0.homeservers.key(&header.origin, &header.key).await?;
        let Some(key) = key else { return Err(refused) };
        let signed = names.iter().any(|name| {
            let either = request_json(method, uri, &header.origin, name, Some(body)).ok();
            let or_other = with_destination_is(method, uri, &header.origin, name, body);
            [either, or_other].iter().flatten().any(|json| key.verify(json, &header.signature))
        });
        if signed { Ok(header.origin) } else { Err(refused) }
    }

    /// What this server is called: by its name, and by those who know its URL.
    fn names(&self) -> Vec<OwnedServerName> {
        let mut names = vec![self.0.options.server_name.clone()];
        if let Ok(url) = url::Url::parse(&self.0.options.base_url)
            && let Some(host) = url.host_str()
        {
            let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            names.extend(ServerName::parse(authority));
        }
        names.dedup();
        names
    }
}

/// What is signed with the destination under its other name.
fn with_destination_is(
    method: &Method,
    uri: &str,
    origin: &ServerName,
    destination: &ServerName,
    body: &[u8],
) -> Option<Vec<u8>> {
    let content = canonical_json::canonicalize_object(body, Integers::Lenient).ok()?;
    let text = |text: &str| Value::from(text).to_string();
    let (destination, method) = (text(destination.as_str()), text(method.as_str()));
    let (origin, uri) = (text(origin.as_str()), text(uri));
    let mut json = b"{\"content\":".to_vec();
    json.extend_from_slice(&content);
    json.extend_from_slice(
        format!(r#","destination_is":{destination},"method":{method},"origin":{origin},"uri":{uri}}}"#).as_bytes(),
    );
    canonical_json::canonicalize_object(&json, Integers::Lenient).ok()
}
