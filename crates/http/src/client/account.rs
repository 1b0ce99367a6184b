//! `GET /_matrix/client/v3/account/whoami`, `POST …/account/password`, `POST …/account/deactivate`, `POST …/logout`,
//! `POST …/logout/all`
//!
//! Whose access token this is, and the ways to be rid of it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-management>

use std::net::IpAddr;

use axum::{
    Json, Router,
    extract::State as Extract,
    routing::{get, post},
};
use roost_store::UserNo;
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Address, Caller, Error, JsonBytes, MaybeCaller, State,
    routes::ClientRoutes as _,
    uia::{self, Attempt, Operation, Proof},
};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/account/whoami", get(whoami))
        .client("/account/password", post(password))
        .client("/account/deactivate", post(deactivate))
        .client("/logout", post(logout))
        .client("/logout/all", post(logout_all))
}

async fn whoami(caller: Caller) -> Json<Value> {
    Json(json!({ "user_id": caller.user_id, "device_id": caller.device_id, "is_guest": false }))
}

#[derive(Deserialize)]
struct NewPassword {
    new_password: String,
    logout_devices: Option<bool>,
}

/// `POST /account/password`: the caller's own session always stays.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword>
async fn password(
    Extract(state): Extract<State>,
    MaybeCaller(caller): MaybeCaller,
    Address(address): Address,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let operation = operation("POST /account/password", caller.as_ref(), address);
    let attempt = Attempt::<NewPassword>::read(&state, operation, &body)?;
    roost_users::check_new_password(&attempt.request.new_password)?;
    let (request, proof) = attempt.authenticate(&state).await?;
    let (_, user) = proved_user(proof)?;
    let keep = caller.as_ref().map(|caller| &*caller.device_id);
    state.users.change_password(user, request.new_password, keep, request.logout_devices.unwrap_or(true)).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Deactivation {
    erase: Option<bool>,
}

/// `POST /account/deactivate`: there is no way back, and nobody else gets the name.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate>
async fn deactivate(
    Extract(state): Extract<State>,
    MaybeCaller(caller): MaybeCaller,
    Address(address): Address,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let operation = operation("POST /account/deactivate", caller.as_ref(), address);
    let attempt = Attempt::<Deactivation>::read(&state, operation, &body)?;
    let (request, proof) = attempt.authenticate(&state).await?;
    let (user_id, user) = proved_user(proof)?;
    state.users.deactivate(user, &user_id, request.erase.unwrap_or(false)).await?;
    // No account has third-party ids yet, so there is nothing to unbind.
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
}

/// Both endpoints do without an access token: then the password alone says who it is.
fn operation(what: &str, caller: Option<&Caller>, address: Option<IpAddr>) -> Operation {
    match caller {
        Some(caller) => Operation::of_user(what.to_owned(), caller),
        None => Operation { what: what.to_owned(), user: None, address, flows: uia::PASSWORD, may_change: false },
    }
}

fn proved_user(proof: Proof) -> Result<(OwnedUserId, UserNo), Error> {
    proof.user.ok_or_else(|| Error::internal("a flow with a password proved no user"))
}

/// `POST /logout`: the session and its device go.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout>
async fn logout(Extract(state): Extract<State>, caller: Caller) -> Result<Json<Value>, Error> {
    state.users.sessions().log_out(&caller.session).await?;
    Ok(Json(json!({})))
}

/// `POST /logout/all`: every session and device of the user go.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall>
async fn logout_all(Extract(state): Extract<State>, caller: Caller) -> Result<Json<Value>, Error> {
    state.users.sessions().log_out_all(caller.user_no).await?;
    Ok(Json(json!({})))
}
