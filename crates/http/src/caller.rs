//! Who calls: the session behind the access token.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens>

use std::{convert::Infallible, net::IpAddr};

use axum::extract::{FromRequestParts, MatchedPath, Query};
use http::{header, request::Parts};
use roost_store::UserNo;
use roost_users::{Authentication, Session};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{Error, State, door::client_address, limits::Class, standing};

/// The authenticated caller. As an argument it makes an endpoint answer 401 to everybody else.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user_id: OwnedUserId,
    /// The user's number.
    pub user_no: UserNo,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The session.
    pub session: Session,
}

/// The caller, where an access token is optional; one that is given must be known.
#[derive(Clone, Debug)]
pub struct MaybeCaller(pub Option<Caller>);

impl FromRequestParts<State> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Error> {
        let token = access_token(parts).ok_or_else(Error::missing_token)?;
        authenticate(state, parts, &token).await
    }
}

impl FromRequestParts<State> for MaybeCaller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Error> {
        match access_token(parts) {
            Some(token) => authenticate(state, parts, &token).await.map(|caller| Self(Some(caller))),
            None => Ok(Self(None)),
        }
    }
}

/// The client's address, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub Option<IpAddr>);

impl FromRequestParts<State> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        Ok(Self(client_address(state, &parts.headers, &parts.extensions)))
    }
}

async fn authenticate(state: &State, parts: &Parts, token: &str) -> Result<Caller, Error> {
    let session = match state.users.sessions().authenticate(token).await? {
        Authentication::Valid(session) => session,
        Authentication::Expired => return Err(Error::unknown_token(true)),
        Authentication::Unknown => return Err(Error::unknown_token(false)),
    };
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    standing::check(&session, &parts.method, route.unwrap_or_default())?;
    let class = route.and_then(|route| Class::of(&parts.method, route));
    if let Some(class) = class {
        state.limits.user(class, session.user_id.as_str())?;
    }
    state.users.sessions().seen(&session, client_address(state, &parts.headers, &parts.extensions));
    Ok(Caller {
        user_id: session.user_id.clone(),
        user_no: session.user_no,
        device_id: session.device_id.clone(),
        session,
    })
}

/// The token from the `Authorization` header or else from the query, where the specification still allows it.
pub(crate) fn access_token(parts: &Parts) -> Option<String> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    if !parts.uri.query()?.contains('=') {
        return None;
    }
    // Decoded, as every parameter is: a client may encode more than it has to, the name included.
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).ok()?;
    pairs.into_iter().find_map(|(name, value)| (name == "access_token").then_some(value))
}
