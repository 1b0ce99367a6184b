//! Who calls: the account behind the access token.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#authentication>

use axum::extract::{FromRequestParts, MatchedPath};
use http::{StatusCode, request::Parts};
use roost_identity::Account;
use roost_matrix::error::ErrCode;

use super::IdentityState;
use crate::{Error, caller::access_token, limits::Class};

/// A caller who has accepted the terms of service.
pub(crate) struct Caller(pub(crate) Account);

/// A caller who may have yet to accept them.
pub(crate) struct AnyCaller(pub(crate) Account);

impl FromRequestParts<IdentityState> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &IdentityState) -> Result<Self, Error> {
        let AnyCaller(account) = AnyCaller::from_request_parts(parts, state).await?;
        state.identity.check_terms(&account).await?;
        Ok(Self(account))
    }
}

impl FromRequestParts<IdentityState> for AnyCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &IdentityState) -> Result<Self, Error> {
        let missing =
            || Error::new(StatusCode::UNAUTHORIZED, ErrCode::Unauthorized, "This endpoint needs an access token");
        // Up to v1.19 it may also stand in the query, and homeservers in use put it there.
        let token = access_token(parts).filter(|token| !token.is_empty()).ok_or_else(missing)?;
        let account = state.identity.authenticate(&token).await?;
        let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        if let Some(class) = route.and_then(|route| Class::of(&parts.method, route)) {
            state.limits.user(class, account.user_id.as_str())?;
        }
        Ok(Self(account))
    }
}
