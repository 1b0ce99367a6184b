//! `GET /_matrix/client/v3/login`, `POST /_matrix/client/v3/login`, `POST /_matrix/client/v3/refresh`
//!
//! Turns a password into a session, and a refresh token into the session's next tokens.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login>

use axum::{
    Json, Router,
    extract::State as Extract,
    routing::{get, post},
};
use roost_matrix::error::ErrCode;
use roost_users::{NewDevice, local_user_id};
use ruma::api::client::session::{
    login::v3::{DiscoveryInfo, HomeserverInfo, Response},
    refresh_token,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Args, Error, JsonBytes, Ruma, State, limits::Class, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new().client("/login", get(flows).post(login)).client("/refresh", post(refresh))
}

const PASSWORD: &str = "m.login.password";

async fn flows() -> Json<Value> {
    Json(json!({ "flows": [{ "type": PASSWORD }] }))
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "type")]
    login_type: String,
    identifier: Option<Identifier>,
    /// What `identifier` has replaced.
    user: Option<String>,
    address: Option<String>,
    password: Option<String>,
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    refresh_token: Option<bool>,
}

#[derive(Deserialize)]
struct Identifier {
    /// The specification's own example of a login by third-party id has none.
    #[serde(rename = "type")]
    kind: Option<String>,
    user: Option<String>,
    address: Option<String>,
}

async fn login(Extract(state): Extract<State>, JsonBytes(body): JsonBytes) -> Result<Ruma<Response>, Error> {
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))?;
    if request.login_type != PASSWORD {
        return Err(Error::bad_request(ErrCode::Unknown, "This type of login is not offered"));
    }
    let said = named_user(&request)?;
    let password = request.password.ok_or_else(|| Error::bad_json("The password is missing"))?;
    let user_id = local_user_id(&said, state.users.server_name());
    match &user_id {
        Some(user_id) => state.limits.user(Class::Login, user_id.as_str())?,
        // Nobody's name may be as long as the body, and the limit keeps what it is given.
        None => state.limits.user(Class::Login, &said.chars().take(64).collect::<String>())?,
    }
    let user = state.users.check_password(user_id.as_deref(), password).await?;
    // Only this server's users have passwords here.
    let user_id = user_id.ok_or_else(|| Error::forbidden("Wrong user name or password"))?;
    let device = NewDevice {
        device_id: request.device_id,
        display_name: request.initial_device_display_name,
        refreshable: request.refresh_token.unwrap_or(false),
    };
    let logged_in = state.users.log_in(user, device).await?;
    let mut response = Response::new(user_id, logged_in.tokens.access_token, logged_in.device_id);
    response.refresh_token = logged_in.tokens.refresh_token;
    response.expires_in = logged_in.tokens.expires_in;
    response.well_known =
        state.settings.public_base_url.clone().map(|url| DiscoveryInfo::new(HomeserverInfo::new(url)));
    Ok(Ruma(response))
}

/// Whom the request names: by `identifier`, or as clients of old did.
fn named_user(request: &Request) -> Result<String, Error> {
    let missing = || Error::bad_json("The request does not say who logs in");
    let nobody = || Error::forbidden("Nobody here is known by that address");
    match &request.identifier {
        Some(identifier) => match identifier.kind.as_deref() {
            Some("m.id.user") => identifier.user.clone().ok_or_else(missing),
            Some("m.id.thirdparty" | "m.id.phone") => Err(nobody()),
            None if identifier.address.is_some() => Err(nobody()),
            None => Err(missing()),
            Some(_) => Err(Error::bad_request(ErrCode::Unknown, "This type of identifier is not known")),
        },
        None if request.user.is_none() && request.address.is_some() => Err(nobody()),
        None => request.user.clone().ok_or_else(missing),
    }
}

/// `POST /refresh`: the next tokens of a session.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh>
async fn refresh(
    Extract(state): Extract<State>,
    Args(request): Args<refresh_token::v3::Request>,
) -> Result<Ruma<refresh_token::v3::Response>, Error> {
    let tokens = state.users.sessions().refresh(&request.refresh_token).await?;
    let mut response = refresh_token::v3::Response::new(tokens.access_token);
    response.refresh_token = tokens.refresh_token;
    response.expires_in_ms = tokens.expires_in;
    Ok(Ruma(response))
}
