//! `GET`, `POST /_synapse/admin/v1/register`
//!
//! Makes accounts for tools that share a secret with the server. Without a configured secret there is no such endpoint.
//!
//! A tool asks for a nonce, which is good once and for a minute, and sends it back with a name, a password and the
//! HMAC-SHA1 (keyed with the secret, in hexadecimal) of nonce, name, password and `admin` or `notadmin`, and the type of
//! user if one is given, with a NUL between each two.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State as Extract, routing::get};
use hmac::{Hmac, KeyInit as _, Mac as _};
use roost_matrix::error::ErrCode;
use roost_users::{NewAccount, NewDevice, new_user_id};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::{Error, JsonBytes, State};

/// How long a nonce is good.
const LIFETIME: Duration = Duration::from_secs(60);

/// How many nonces are good at the same time; the oldest give way.
const MAX_NONCES: usize = 1000;

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/_synapse/admin/v1/register", get(nonce).post(register))
}

/// The nonces that are good.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<VecDeque<(String, Duration)>>);

impl Nonces {
    fn issue(&self, state: &State) -> String {
        let nonce = state.world.random_text(32);
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= MAX_NONCES {
            nonces.pop_front();
        }
        nonces.push_back((nonce.clone(), state.world.clock.monotonic()));
        nonce
    }

    /// Whether the nonce was good; it is no longer.
    fn spend(&self, state: &State, nonce: &str) -> bool {
        let now = state.world.clock.monotonic();
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.retain(|(_, issued)| now.saturating_sub(*issued) < LIFETIME);
        let before = nonces.len();
        nonces.retain(|(known, _)| known != nonce);
        nonces.len() < before
    }
}

fn secret(state: &State) -> Result<&str, Error> {
    let secret = state.settings.registration_secret.as_deref();
    secret.filter(|secret| !secret.is_empty()).ok_or_else(Error::unrecognized)
}

async fn nonce(Extract(state): Extract<State>) -> Result<Json<Value>, Error> {
    secret(&state)?;
    Ok(Json(json!({ "nonce": state.nonces().issue(&state) })))
}

#[derive(Deserialize)]
struct Request {
    nonce: String,
    username: String,
    password: String,
    mac: String,
    displayname: Option<String>,
    admin: Option<bool>,
    user_type: Option<String>,
    inhibit_login: Option<bool>,
}

async fn register(Extract(state): Extract<State>, JsonBytes(body): JsonBytes) -> Result<Json<Value>, Error> {
    let secret = secret(&state)?;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))?;
    // With a NUL inside, two requests could have the same MAC.
    if [&request.username, &request.password].into_iter().any(|text| text.contains('\0')) {
        return Err(Error::bad_request(ErrCode::Unknown, "Neither name nor password can hold a NUL"));
    }
    if !state.nonces().spend(&state, &request.nonce) {
        return Err(Error::bad_request(ErrCode::Unknown, "The nonce is not known, was used or has expired"));
    }
    let admin = request.admin.unwrap_or(false);
    let mut parts = vec![
        request.nonce.as_str(),
        request.username.as_str(),
        request.password.as_str(),
        if admin { "admin" } else { "notadmin" },
    ];
    parts.extend(request.user_type.as_deref());
    if !mac_fits(secret, &parts.join("\0"), &request.mac) {
        return Err(Error::forbidden("The MAC is not right"));
    }
    let user_id = new_user_id(&request.username, state.users.server_name())?;
    let mut account = NewAccount::new(user_id.clone(), Some(request.password));
    account.admin = admin;
    account.displayname = request.displayname;
    account.device = (!request.inhibit_login.unwrap_or(false)).then(NewDevice::default);
    let logged_in = state.users.create(account).await?;
    let mut answer = json!({ "user_id": user_id, "home_server": state.users.server_name() });
    if let (Some(logged_in), Some(answer)) = (logged_in, answer.as_object_mut()) {
        answer.insert("access_token".to_owned(), logged_in.tokens.access_token.into());
        answer.insert("device_id".to_owned(), logged_in.device_id.as_str().into());
    }
    Ok(Json(answer))
}

fn mac_fits(secret: &str, message: &str, hex: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(message.as_bytes());
    // Compared in constant time.
    from_hex(hex).is_some_and(|given| mac.verify_slice(&given).is_ok())
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}
