//! [Who asks](https://spec.matrix.org/v1.19/server-server-api/#request-authentication): requests of other servers, checked.

#[cfg(test)]
mod tests;

use http::{HeaderMap, Method, header};
use roost_matrix::{canonical_json::JsonError, ids::OwnedServerName, signing::KeyRing as _};
use roost_net::sign::{HeaderError, XMatrix};

use crate::{Error, Federation, keys::Want};

/// How many `Authorization` headers of one request are looked at: a server may sign with several keys.
const MAX_HEADERS: usize = 4;

/// Why a request does not count as that of a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// There is no `Authorization` header of the scheme.
    #[error("the request is not signed")]
    Unsigned,
    /// The header can not be read.
    #[error("the Authorization header is wrong: {0}")]
    Header(#[from] HeaderError),
    /// The request was meant for another server.
    #[error("the request is signed for {0}, which is another server")]
    Destination(OwnedServerName),
    /// Somebody claims to be this server.
    #[error("the request claims to come from this server itself")]
    OwnName,
    /// The key is not among those that its server names, or it signs with it no longer.
    #[error("{server} has no key {key_id} that is valid now, as far as can be found out")]
    NoKey {
        /// Who claims to ask.
        server: OwnedServerName,
        /// The key.
        key_id: String,
    },
    /// The signature is not one of this request.
    #[error("the signature of {0} does not match the request")]
    Signature(OwnedServerName),
    /// The body is not JSON.
    #[error("the body: {0}")]
    Body(JsonError),
    /// It could not be found out.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Federation {
    /// The server whose request this is. `uri` is path and query as they came; `body` is none when there is no body.
    pub async fn authenticate(
        &self,
        method: &Method,
        uri: &str,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Result<OwnedServerName, Denied> {
        let mut denied = Denied::Unsigned;
        for header in headers.get_all(header::AUTHORIZATION).iter().take(MAX_HEADERS) {
            // What is not text is of no scheme.
            let read = header.to_str().map_err(|_| HeaderError::Scheme).and_then(XMatrix::parse);
            let auth = match read {
                Ok(auth) => auth,
                Err(HeaderError::Scheme) => continue,
                Err(error) => {
                    denied = error.into();
                    continue;
                }
            };
            match self.check(auth, method, uri, body).await {
                Ok(origin) => return Ok(origin),
                Err(error) => denied = error,
            }
        }
        Err(denied)
    }

    async fn check(
        &self,
        auth: XMatrix,
        method: &Method,
        uri: &str,
        body: Option<&[u8]>,
    ) -> Result<OwnedServerName, Denied> {
        let us = self.server_name();
        if let Some(destination) = auth.destination.as_ref().filter(|destination| *destination != us) {
            return Err(Denied::Destination(destination.clone()));
        }
        if auth.origin == us {
            return Err(Denied::OwnName);
        }
        let now = self.now_ms();
        let want = Want { server: auth.origin.clone(), key_id: auth.key.clone(), valid_at: now };
        let known = self.keys.keys(&[want]).await?;
        // Old keys are valid for events only.
        let key = known.key(&auth.origin, &auth.key).filter(|key| !key.expired && key.valid_until_ts >= now);
        let Some(key) = key else {
            return Err(Denied::NoKey { server: auth.origin, key_id: auth.key });
        };
        match auth.verify(key.key, us, method, uri, body) {
            Ok(true) => Ok(auth.origin),
            Ok(false) => Err(Denied::Signature(auth.origin)),
            Err(error) => Err(Denied::Body(error)),
        }
    }

    fn now_ms(&self) -> u64 {
        self.world.now_ms()
    }
}
