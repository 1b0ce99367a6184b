//! Reading request bodies: bounded in size and time, and checked to be JSON before anything looks at them.

use axum::{
    body::Body,
    extract::{FromRef, FromRequest},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, StatusCode, header};
use roost_matrix::{
    canonical_json::{self, Integers},
    error::ErrCode,
};
use serde_json::value::RawValue;

use crate::{Error, Front};

/// Reads a whole body, within the limits for size and time.
pub(crate) async fn read(state: &Front, headers: &HeaderMap, body: Body) -> Result<Bytes, Error> {
    let limit = state.settings.max_body;
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(too_large(limit));
    }
    if axum::body::HttpBody::is_end_stream(&body) {
        return Ok(Bytes::new());
    }
    let mut stream = body.into_data_stream();
    let reading = async {
        // Most bodies arrive in one piece, which then needs no copy.
        let Some(first) = stream.next().await.transpose().map_err(|_| cut_off())? else { return Ok(Bytes::new()) };
        let mut whole: Option<BytesMut> = None;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| cut_off())?;
            let whole = whole.get_or_insert_with(|| BytesMut::from(&first[..]));
            if whole.len() + piece.len() > limit {
                return Err(too_large(limit));
            }
            whole.extend_from_slice(&piece);
        }
        let whole = whole.map_or(first, BytesMut::freeze);
        if whole.len() > limit { Err(too_large(limit)) } else { Ok(whole) }
    };
    state.world.timeout(state.settings.body_timeout, reading).await.unwrap_or_else(|| {
        Err(Error::new(StatusCode::REQUEST_TIMEOUT, ErrCode::Unknown, "The request body took too long to arrive"))
    })
}

fn too_large(limit: usize) -> Error {
    Error::too_large(format!("The request body is larger than {limit} bytes"))
}

fn cut_off() -> Error {
    Error::not_json("The request body could not be read to its end")
}

/// Checks that a body is one JSON object, not nested too deeply.
pub(crate) fn check_object(body: &[u8]) -> Result<(), Error> {
    // Numbers are the endpoints' business: only events have limits for them, and those depend on the room version.
    canonical_json::check(body, Integers::Lenient).map_err(|error| {
        let message = format!("The request body is {error}");
        if error.is_not_json() { Error::not_json(message) } else { Error::bad_json(message) }
    })?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::bad_json("The request body is not a JSON object"));
    }
    Ok(())
}

/// A request body as the bytes of a JSON object, for endpoints that keep what they are given.
#[derive(Clone, Debug)]
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes
where
    Front: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let body = read(&Front::from_ref(state), &parts.headers, body).await?;
        if body.is_empty() {
            return Ok(Self(Bytes::from_static(b"{}")));
        }
        check_object(&body)?;
        Ok(Self(body))
    }
}

/// A request body as a raw JSON object.
#[derive(Clone, Debug)]
pub struct RawJson(pub Box<RawValue>);

impl<S: Send + Sync> FromRequest<S> for RawJson
where
    Front: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Error> {
        let JsonBytes(body) = JsonBytes::from_request(request, state).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| Error::not_json(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use roost_matrix::canonical_json::MAX_DEPTH;

    use super::*;

    fn code(body: &[u8]) -> Option<&'static str> {
        check_object(body).err().and_then(|error| error.errcode).map(ErrCode::as_str)
    }

    #[test]
    fn a_body_that_is_not_json_is_told_apart_from_one_that_is_not_wanted() {
        assert_eq!(code(b"{\"a\":[1,2.5,null]}"), None);
        assert_eq!(code(b"{"), Some("M_NOT_JSON"));
        assert_eq!(code(b"{\"a\":\"\xff\"}"), Some("M_NOT_JSON"));
        assert_eq!(code(b"{} x"), Some("M_NOT_JSON"));
        assert_eq!(code(b"[]"), Some("M_BAD_JSON"));
        assert_eq!(code(b"7"), Some("M_BAD_JSON"));
    }

    #[test]
    fn nesting_is_counted_outside_of_strings_only() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert_eq!(code(nested(MAX_DEPTH).as_bytes()), None);
        assert_eq!(code(nested(MAX_DEPTH + 1).as_bytes()), Some("M_BAD_JSON"));
        assert_eq!(code(nested(100_000).as_bytes()), Some("M_BAD_JSON"));
        let text = format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1000));
        assert_eq!(code(text.as_bytes()), None);
    }
}
