//! Answers that are put together from events which are JSON already.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use roost_rooms::Rendered;

/// JSON bytes as an answer.
pub(super) struct Json(pub(super) Vec<u8>);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Writes events as an array.
pub(super) fn array(out: &mut Vec<u8>, events: &[Rendered]) {
    out.push(b'[');
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&event.json);
    }
    out.push(b']');
}

/// An object under construction, member by member.
pub(super) struct Object(Vec<u8>);

impl Object {
    pub(super) fn new() -> Self {
        Self(vec![b'{'])
    }

    fn key(&mut self, key: &'static str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A text that needs no escaping: a token.
    pub(super) fn token(mut self, key: &'static str, token: &roost_store::token::Token) -> Self {
        self.key(key);
        self.0.extend_from_slice(format!("\"{token}\"").as_bytes());
        self
    }

    pub(super) fn events(mut self, key: &'static str, events: &[Rendered]) -> Self {
        self.key(key);
        array(&mut self.0, events);
        self
    }

    pub(super) fn event(mut self, key: &'static str, event: &Rendered) -> Self {
        self.key(key);
        self.0.extend_from_slice(&event.json);
        self
    }

    pub(super) fn end(mut self) -> Json {
        self.0.push(b'}');
        Json(self.0)
    }
}
