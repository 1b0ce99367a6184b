//! Request bodies: JSON objects, or forms as older clients send them.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#api-standards>

use axum::{body::Body, extract::FromRequest};
use bytes::Bytes;
use http::{Request, header};
use roost_matrix::{
    error::ErrCode,
    ids::{OwnedUserId, UserId, is_user_id},
};
use serde_json::{Map, Value};

use super::IdentityState;
use crate::{Error, Front, body};

/// The most fields of a form.
const MAX_FIELDS: usize = 100;

/// The members of a request's body.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    /// The members.
    members: Map<String, Value>,
    /// The body as it came.
    pub(crate) raw: Bytes,
}

impl FromRequest<IdentityState> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request<Body>, state: &IdentityState) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let front: &Front = state;
        let raw = body::read(front, &parts.headers, body).await?;
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        // There are tools that call every body a form.
        if is_form && raw.trim_ascii_start().first() != Some(&b'{') {
            let fields = url::form_urlencoded::parse(&raw).take(MAX_FIELDS);
            let members = fields.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect();
            return Ok(Self { members, raw });
        }
        body::check_object(&raw)?;
        let members = serde_json::from_slice(&raw)
            .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))?;
        Ok(Self { members, raw })
    }
}

impl Fields {
    /// A text that may be missing; null counts as missing.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::invalid_param(format!("{name} is not a text"))),
        }
    }

    /// A text that is needed.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Error> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A whole number that is needed; in a form it is digits.
    pub(crate) fn number(&self, name: &str) -> Result<i64, Error> {
        let wrong = || Error::invalid_param(format!("{name} is not a whole number"));
        match self.members.get(name) {
            None | Some(Value::Null) => Err(missing(name)),
            Some(Value::Number(number)) => number.as_i64().ok_or_else(wrong),
            Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }

    /// A list of texts that is needed.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let wrong = || Error::invalid_param(format!("{name} is not a list of texts"));
        match self.members.get(name) {
            None | Some(Value::Null) => Err(missing(name)),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A user id that is needed.
    pub(crate) fn user_id(&self, name: &str) -> Result<OwnedUserId, Error> {
        let text = self.needed(name)?;
        let user = is_user_id(text).then(|| UserId::parse(text).ok()).flatten();
        user.ok_or_else(|| Error::invalid_param(format!("{name} is not a user id")))
    }

    /// An object that is needed.
    pub(crate) fn object(&self, name: &str) -> Result<Self, Error> {
        match self.members.get(name) {
            None | Some(Value::Null) => Err(missing(name)),
            Some(Value::Object(members)) => Ok(Self { members: members.clone(), raw: Bytes::new() }),
            Some(_) => Err(Error::invalid_param(format!("{name} is not an object"))),
        }
    }
}

/// 400 `M_MISSING_PARAMS`, which is what the Identity Service API calls it.
pub(crate) fn missing(name: &str) -> Error {
    Error::bad_request(ErrCode::MissingParams, format!("{name} is missing"))
}
