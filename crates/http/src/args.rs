//! Requests and answers as ruma's types.

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts as _, RawPathParams},
    response::{IntoResponse, Response},
};
use http::{Method, Request};
use ruma::api::{IncomingRequest, OutgoingResponse, OutgoingResponseExt as _, error::DeserializationError};

use crate::{Error, State, body};

/// A request as ruma's type for it, read from path, query, headers and body. It consumes the body, so it comes last
/// among a handler's arguments.
#[derive(Clone, Debug)]
pub struct Args<T>(pub T);

impl<T> std::ops::Deref for Args<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: IncomingRequest> FromRequest<State> for Args<T> {
    type Rejection = Error;

    async fn from_request(request: Request<Body>, state: &State) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut parts, state)
            .await
            .map_err(|_| Error::invalid_param("The path is not UTF-8"))?;
        let path: Vec<&str> = path.iter().map(|(_, value)| value).collect();
        let bytes;
        let body: &[u8] = if matches!(parts.method, Method::GET | Method::HEAD) {
            b""
        } else {
            bytes = body::read(state, &parts.headers, body).await?;
            if bytes.is_empty() {
                b"{}"
            } else {
                body::check_object(&bytes)?;
                &bytes
            }
        };
        // The constraint on ruma's side is on the request's head; extensions stay out of it.
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = parts.uri;
        *request.headers_mut() = parts.headers;
        T::try_from_http_request_inner(request, &path).map(Self).map_err(|error| refusal(&error))
    }
}

fn refusal(error: &DeserializationError) -> Error {
    match error {
        // Grammar and encoding were checked before, so what is left is the wrong shape.
        DeserializationError::Json(error) => {
            Error::bad_json(format!("The request body is not as it should be: {error}"))
        }
        DeserializationError::Utf8(_) => Error::not_json("The request body is not UTF-8"),
        // Path parameters come as this variant, too; they can not be missing.
        DeserializationError::Query(error) => parameter(&error.to_string()),
        other => Error::invalid_param(other.to_string()),
    }
}

/// The error for a parameter of the path or the query.
pub(crate) fn parameter(message: &str) -> Error {
    if message.contains("missing field") {
        Error::missing_param(message.replace("missing field", "missing parameter"))
    } else {
        Error::invalid_param(message.to_owned())
    }
}

/// An answer as ruma's type for it.
#[derive(Clone, Debug)]
pub struct Ruma<R>(pub R);

impl<R: OutgoingResponse> IntoResponse for Ruma<R> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response.map(Body::from),
            Err(error) => Error::internal(format!("an answer could not be written: {error}")).into_response(),
        }
    }
}
