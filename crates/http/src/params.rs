//! Parameters of path and query as own types, for endpoints that do not use ruma's.

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{Error, args::parameter};

/// The path's parameters, percent-decoded once, in their order: `PathArgs((room, kind)): PathArgs<(OwnedRoomId, String)>`.
#[derive(Clone, Debug)]
pub struct PathArgs<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathArgs<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(args)| Self(args))
            .map_err(|error| Error::invalid_param(error.body_text()))
    }
}

/// The query's parameters; unknown ones are ignored.
#[derive(Clone, Debug)]
pub struct QueryArgs<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for QueryArgs<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(args)| Self(args))
            .map_err(|error| parameter(&error.body_text()))
    }
}
