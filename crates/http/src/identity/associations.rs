//! `GET /_matrix/identity/v2/3pid/getValidated3pid`, `POST …/3pid/bind`, `POST …/3pid/unbind`
//!
//! What a session has proved, and what becomes of it.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#establishing-associations>

use axum::{
    Json, Router,
    extract::{FromRequest as _, FromRequestParts as _, Request, State as Extract},
    routing::{get, post},
};
use http::header;
use roost_identity::{Error as IdentityError, ThirdPartyId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    IdentityRoutes as _, IdentityState,
    caller::Caller,
    fields::{Fields, missing},
};
use crate::{Error, QueryArgs};

/// The most signatures of one request that are looked at; each may have a homeserver asked for its keys.
const MAX_SIGNATURES: usize = 4;

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new()
        .v2("/3pid/getValidated3pid", get(validated))
        .v2("/3pid/bind", post(bind))
        .v2("/3pid/unbind", post(unbind))
}

#[derive(Deserialize)]
struct Query {
    sid: Option<String>,
    client_secret: Option<String>,
}

/// `GET /3pid/getValidated3pid`
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#get_matrixidentityv23pidgetvalidated3pid>
async fn validated(
    Extract(state): Extract<IdentityState>,
    _caller: Caller,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json<Value>, Error> {
    let sid = query.sid.ok_or_else(|| missing("sid"))?;
    let secret = query.client_secret.ok_or_else(|| missing("client_secret"))?;
    let validated = state.identity.validated(&sid, &secret).await?;
    Ok(Json(json!({
        "medium": validated.medium,
        "address": validated.address,
        "validated_at": validated.validated_at,
    })))
}

/// `POST /3pid/bind`
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#post_matrixidentityv23pidbind>
async fn bind(Extract(state): Extract<IdentityState>, _caller: Caller, fields: Fields) -> Result<Json<Value>, Error> {
    let (sid, secret) = (fields.needed("sid")?, fields.needed("client_secret")?);
    Ok(Json(state.identity.bind(sid, secret, &fields.user_id("mxid")?).await?))
}

/// `POST /3pid/unbind`, by whoever has proved the address, or by the homeserver of its user, which signs the request.
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#post_matrixidentityv23pidunbind>
async fn unbind(Extract(state): Extract<IdentityState>, request: Request) -> Result<Json<Value>, Error> {
    let (mut parts, body) = request.into_parts();
    // A homeserver sends a header for each of its keys, and maybe for each name that the destination may have.
    let is_signature =
        |value: &&str| value.split_once(' ').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("x-matrix"));
    let authorizations = parts.headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    let signatures: Vec<String> =
        authorizations.filter(is_signature).take(MAX_SIGNATURES).map(ToOwned::to_owned).collect();
    if signatures.is_empty() {
        Caller::from_request_parts(&mut parts, &state).await?;
    }
    let uri = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let method = parts.method.clone();
    let fields = Fields::from_request(Request::from_parts(parts, body), &state).await?;
    let user = fields.user_id("mxid")?;
    let threepid = fields.object("threepid")?;
    let id = ThirdPartyId::named(threepid.needed("medium")?, threepid.needed("address")?)?;
    if signatures.is_empty() {
        let (sid, secret) = (fields.needed("sid")?, fields.needed("client_secret")?);
        state.identity.unbind(sid, secret, &user, &id).await?;
    } else {
        let mut signed = Err(IdentityError::Forbidden("nothing is signed"));
        for signature in &signatures {
            signed = state.identity.signed_by(signature, &method, &uri, &fields.raw).await;
            if signed.is_ok() {
                break;
            }
        }
        state.identity.unbind_for(&signed?, &user, &id).await?;
    }
    Ok(Json(json!({})))
}
