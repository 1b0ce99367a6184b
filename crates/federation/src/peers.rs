//! Requests to other servers.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use roost_matrix::ids::ServerName;
use roost_net::{
    client::{Client, Limits, Request, Response, Target},
    discovery::Discovery,
    sign,
};
use serde_json::Value;

use crate::{Error, Identity};

/// Requests to other servers by their names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    identity: Identity,
    client: Client,
    discovery: Discovery,
}

impl Peers {
    /// Asks in the name of `identity`. `client` must check certificates.
    #[must_use]
    pub fn new(identity: Identity, client: Client, discovery: Discovery) -> Self {
        Self { inner: Arc::new(Inner { identity, client, discovery }) }
    }

    /// In whose name.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// Where servers are.
    #[must_use]
    pub fn discovery(&self) -> &Discovery {
        &self.inner.discovery
    }

    /// Sends a [signed](https://spec.matrix.org/v1.19/server-server-api/#request-authentication) request. `path` is path and
    /// query, percent-encoded; `body` is JSON. The answer comes as it is, whatever its status.
    pub async fn send(
        &self,
        server: &ServerName,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        limits: Limits,
    ) -> Result<Response, Error> {
        let Identity { server_name, key } = self.identity();
        let proof = sign::authorization(key, &method, path, server_name, server, body.as_deref())?;
        let target = self.find(server).await?;
        let mut request = Request::new(method, target, path).limits(limits);
        if let Some(body) = body {
            request = request.json(body);
        }
        let failed = |source| Error::Net { server: server.to_owned(), source };
        let request = request.header(header::AUTHORIZATION, &proof).map_err(failed)?;
        self.inner.client.send(request).await.map_err(failed)
    }

    /// Asks without a signature, as keys and versions are asked for, and reads the whole answer. Any status but 200 is an error.
    pub(crate) async fn ask(
        &self,
        server: &ServerName,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limits: Limits,
    ) -> Result<Bytes, Error> {
        let target = self.find(server).await?;
        self.ask_at(target, server, method, path, body, limits).await
    }

    /// The same at a place that is known.
    pub(crate) async fn ask_at(
        &self,
        target: Target,
        server: &ServerName,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limits: Limits,
    ) -> Result<Bytes, Error> {
        let failed = |source| Error::Net { server: server.to_owned(), source };
        let mut request = Request::new(method, target, path).limits(limits);
        if let Some(body) = body {
            request = request.json(body.to_string());
        }
        let response = self.inner.client.send(request).await.map_err(failed)?;
        if response.status != StatusCode::OK {
            return Err(Error::Status { server: server.to_owned(), status: response.status.as_u16() });
        }
        response.body.collect().await.map_err(failed)
    }

    async fn find(&self, server: &ServerName) -> Result<Target, Error> {
        let found = self.inner.discovery.find(server).await;
        found.map_err(|source| Error::Net { server: server.to_owned(), source })
    }
}
