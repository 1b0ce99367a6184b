//! A small HTTP client.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// An HTTP client for one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} with a body that is not JSON ({error}): {:?}", self.status, self.body))
    }

    /// A header's text; empty when it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or("(not text)"))
    }
}

impl Client {
    /// A client for the server at `base`, such as `http://127.0.0.1:8008`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { base: base.to_owned(), http }
    }

    /// Sends a request as it is.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = self.http.request(request).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{what}: {error}")).to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Sends a request with a raw body and headers.
    ///
    /// # Panics
    /// When there is no answer, or path and headers are no HTTP.
    pub async fn raw(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body.into())).expect("a valid request")).await
    }

    /// Sends JSON (or nothing) with an access token (or, when it is empty, without one) and reads JSON.
    ///
    /// # Panics
    /// When there is no answer, or it is not JSON.
    pub async fn call(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![(header::CONTENT_TYPE.as_str(), "application/json")];
        if !token.is_empty() {
            headers.push((header::AUTHORIZATION.as_str(), &authorization));
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let answer = self.raw(method, path, &headers, body).await;
        (answer.status, answer.json())
    }
}
