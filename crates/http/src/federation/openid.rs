//! `GET /_matrix/federation/v1/openid/userinfo`
//!
//! Tells whoever holds a user's OpenID token which user that is.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#openid>

use axum::{Json, Router, extract::State as Extract, routing::get};
use http::StatusCode;
use roost_matrix::error::ErrCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Error, QueryArgs, State};

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/_matrix/federation/v1/openid/userinfo", get(userinfo))
}

#[derive(Deserialize)]
struct Query {
    access_token: String,
}

async fn userinfo(Extract(state): Extract<State>, QueryArgs(query): QueryArgs<Query>) -> Result<Json<Value>, Error> {
    let user = state.users.openid_user(&query.access_token).await?;
    let unknown =
        || Error::new(StatusCode::UNAUTHORIZED, ErrCode::UnknownToken, "The OpenID token is not known or has expired");
    Ok(Json(json!({ "sub": user.ok_or_else(unknown)? })))
}
