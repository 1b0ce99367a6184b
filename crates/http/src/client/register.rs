//! `POST /_matrix/client/v3/register`, `GET /_matrix/client/v3/register/available`,
//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`
//!
//! Makes an account for whoever may have one, and logs in its first device.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register>

use axum::{
    Json, Router,
    extract::State as Extract,
    routing::{get, post},
};
use http::HeaderMap;
use roost_users::{LoggedIn, NewAccount, NewDevice, new_user_id};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Address, Error, JsonBytes, QueryArgs, RegistrationMode, State,
    routes::ClientRoutes as _,
    uia::{Attempt, Flows, Operation, Stage},
};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/register", post(register))
        .client("/register/available", get(available))
        .client_v1("/register/m.login.registration_token/validity", get(token_validity))
}

/// What anybody may do, and what the holders of tokens may do.
const OPEN: Flows = &[&[Stage::Dummy]];
const TOKEN: Flows = &[&[Stage::RegistrationToken]];

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "type")]
    login_type: Option<String>,
    username: Option<String>,
    password: Option<String>,
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    inhibit_login: Option<bool>,
    refresh_token: Option<bool>,
}

fn closed() -> Error {
    Error::forbidden("Registration is disabled on this server")
}

async fn register(
    Extract(state): Extract<State>,
    QueryArgs(Kind { kind }): QueryArgs<Kind>,
    headers: HeaderMap,
    Address(address): Address,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    match kind.as_deref() {
        None | Some("user") => {}
        Some("guest") => return Err(Error::forbidden("This server has no guests")),
        Some(_) => return Err(Error::invalid_param("kind must be user or guest")),
    }
    let flows = match state.settings.registration {
        RegistrationMode::Open => OPEN,
        RegistrationMode::Token => TOKEN,
        RegistrationMode::Closed => &[],
    };
    let operation = Operation { what: "POST /register".to_owned(), user: None, address, flows, may_change: true };
    let attempt = Attempt::<Request>::read(&state, operation, &body)?;
    if attempt.request.login_type.as_deref() == Some("m.login.application_service") {
        // It would have to be a token of an application service, and this server has none.
        let has_token = headers.contains_key(http::header::AUTHORIZATION);
        return Err(if has_token { Error::unknown_token(false) } else { Error::missing_token() });
    }
    if flows.is_empty() {
        return Err(closed());
    }
    let user_id = match &attempt.request.username {
        Some(username) => Some(new_user_id(username, state.users.server_name())?),
        None => None,
    };
    if let Some(user_id) = &user_id {
        state.users.check_free(user_id).await?;
    }
    if let Some(password) = &attempt.request.password {
        roost_users::check_new_password(password)?;
    }
    let (request, proof) = attempt.authenticate(&state).await?;
    let user_id = match user_id {
        Some(user_id) => user_id,
        None => new_user_id(&state.users.invent_username(), state.users.server_name())?,
    };
    let device = NewDevice {
        device_id: request.device_id,
        display_name: request.initial_device_display_name,
        refreshable: request.refresh_token.unwrap_or(false),
    };
    let mut account = NewAccount::new(user_id.clone(), request.password);
    account.registration_token = proof.registration_token;
    account.device = (!request.inhibit_login.unwrap_or(false)).then_some(device);
    let logged_in = state.users.create(account).await?;
    // Not ruma's type: it writes `"device_id": null` where there is to be no such key.
    let mut response = Map::from_iter([("user_id".to_owned(), user_id.as_str().into())]);
    if let Some(LoggedIn { device_id, tokens }) = logged_in {
        response.insert("device_id".to_owned(), device_id.as_str().into());
        response.insert("access_token".to_owned(), tokens.access_token.into());
        if let Some(refresh_token) = tokens.refresh_token {
            response.insert("refresh_token".to_owned(), refresh_token.into());
        }
        if let Some(lifetime) = tokens.expires_in {
            response.insert("expires_in_ms".to_owned(), u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).into());
        }
    }
    Ok(Json(response.into()))
}

#[derive(Deserialize)]
struct Wanted {
    username: String,
}

/// `GET /register/available`: whether a name is free at the moment.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable>
async fn available(
    Extract(state): Extract<State>,
    QueryArgs(Wanted { username }): QueryArgs<Wanted>,
) -> Result<Json<Value>, Error> {
    if state.settings.registration == RegistrationMode::Closed {
        // Nobody can take a name, so nobody needs to know whose are taken.
        return Err(closed());
    }
    let user_id = new_user_id(&username, state.users.server_name())?;
    state.users.check_free(&user_id).await?;
    Ok(Json(json!({ "available": true })))
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

/// `GET /register/m.login.registration_token/validity`: whether a registration token is good at the moment.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity>
async fn token_validity(
    Extract(state): Extract<State>,
    QueryArgs(Token { token }): QueryArgs<Token>,
) -> Result<Json<Value>, Error> {
    if state.settings.registration == RegistrationMode::Closed {
        return Err(closed());
    }
    Ok(Json(json!({ "valid": state.users.registration_token_is_valid(&token).await? })))
}
