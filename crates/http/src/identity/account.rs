//! `POST /_matrix/identity/v2/account/register`, `GET …/account`, `POST …/account/logout`
//!
//! Users come with an OpenID token of their homeserver and go with an access token.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#authentication>

use axum::{
    Json, Router,
    extract::{Request, State as Extract},
    routing::{get, post},
};
use http::StatusCode;
use roost_matrix::error::ErrCode;
use serde_json::{Value, json};

use super::{IdentityRoutes as _, IdentityState, caller::Caller, fields::Fields};
use crate::{Error, caller::access_token};

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new()
        .v2("/account/register", post(register))
        .v2("/account", get(account))
        .v2("/account/logout", post(logout))
}

/// `POST /account/register`
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#post_matrixidentityv2accountregister>
async fn register(Extract(state): Extract<IdentityState>, fields: Fields) -> Result<Json<Value>, Error> {
    let (token, server) = (fields.needed("access_token")?, fields.needed("matrix_server_name")?);
    if !fields.needed("token_type")?.eq_ignore_ascii_case("bearer") {
        return Err(Error::invalid_param("token_type is not Bearer"));
    }
    fields.number("expires_in")?;
    let token = state.identity.register(server, token).await?;
    // `access_token` is what servers answered before the specification had settled on a name, and some clients still look.
    Ok(Json(json!({ "token": token, "access_token": token })))
}

/// `GET /account`
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#get_matrixidentityv2account>
async fn account(Caller(account): Caller) -> Json<Value> {
    Json(json!({ "user_id": account.user_id }))
}

/// `POST /account/logout`, the one POST that may come without a body. Whoever has yet to accept the terms can go, too.
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#post_matrixidentityv2accountlogout>
async fn logout(Extract(state): Extract<IdentityState>, request: Request) -> Result<Json<Value>, Error> {
    let (parts, _) = request.into_parts();
    let token = access_token(&parts).ok_or_else(|| {
        Error::new(StatusCode::UNAUTHORIZED, ErrCode::Unauthorized, "This endpoint needs an access token")
    })?;
    let account = match state.identity.authenticate(&token).await {
        // Here the specification wants another code than everywhere else.
        Err(roost_identity::Error::UnknownToken) => {
            let text = "The access token is not known";
            return Err(Error::new(StatusCode::UNAUTHORIZED, ErrCode::UnknownToken, text));
        }
        account => account?,
    };
    state.identity.log_out(&account).await?;
    Ok(Json(json!({})))
}
