//! `POST /_matrix/identity/v2/validate/{email,msisdn}/requestToken`, `GET`, `POST …/validate/{email,msisdn}/submitToken`
//!
//! Proving that an address is one's own: a token is sent there and comes back.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#establishing-associations>

use axum::{
    Json, Router,
    extract::State as Extract,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use roost_identity::{Medium, ThirdPartyId, Wanted};
use roost_matrix::error::ErrCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    IdentityRoutes as _, IdentityState,
    caller::Caller,
    fields::{Fields, missing},
};
use crate::{Error, QueryArgs, limits::Class};

pub(crate) fn routes() -> Router<IdentityState> {
    let mut routes = Router::new();
    for medium in [Medium::Email, Medium::Msisdn] {
        let path = format!("/validate/{}", medium.as_str());
        let request = post(move |state, caller, fields| request_token(medium, state, caller, fields));
        let follow = get(move |state, headers, link| follow_link(medium, state, headers, link));
        let submit = move |state, caller, fields| submit_token(medium, state, caller, fields);
        routes =
            routes.v2(&format!("{path}/requestToken"), request).v2(&format!("{path}/submitToken"), follow.post(submit));
    }
    routes
}

/// `POST /validate/{medium}/requestToken`
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#post_matrixidentityv2validateemailrequesttoken>
async fn request_token(
    medium: Medium,
    Extract(state): Extract<IdentityState>,
    _caller: Caller,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let wanted = Wanted {
        client_secret: fields.needed("client_secret")?.to_owned(),
        send_attempt: fields.number("send_attempt")?,
        next_link: fields.text("next_link")?.filter(|link| !link.is_empty()).map(ToOwned::to_owned),
    };
    let sid = match medium {
        Medium::Email => {
            let id = ThirdPartyId::email(fields.needed("email")?)?;
            state.limits.user(Class::IdentityThirdPartyId, &id.key())?;
            state.identity.request_email(&id, id.address(), wanted).await?
        }
        Medium::Msisdn => {
            let (country, number) = (fields.needed("country")?, fields.needed("phone_number")?);
            let id = ThirdPartyId::phone(country, number)?;
            state.limits.user(Class::IdentityThirdPartyId, &id.key())?;
            state.identity.request_phone(&id, &format!("{country} {number}"), wanted).await?
        }
    };
    Ok(Json(json!({ "sid": sid })))
}

/// `POST /validate/{medium}/submitToken`
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#post_matrixidentityv2validateemailsubmittoken>
async fn submit_token(
    medium: Medium,
    Extract(state): Extract<IdentityState>,
    _caller: Caller,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    let (sid, secret, token) = (fields.needed("sid")?, fields.needed("client_secret")?, fields.needed("token")?);
    state.identity.submit(medium, sid, secret, token).await.map_err(refusal)?;
    Ok(Json(json!({ "success": true })))
}

/// Here the specification knows no code for a session that is not there but that of a wrong parameter.
fn refusal(error: roost_identity::Error) -> Error {
    match error {
        roost_identity::Error::NoSession => Error::bad_request(ErrCode::InvalidParam, error.to_string()),
        error => error.into(),
    }
}

#[derive(Deserialize)]
struct Link {
    sid: Option<String>,
    client_secret: Option<String>,
    token: Option<String>,
}

/// `GET /validate/{medium}/submitToken`: what a reader of a mail opens, in a browser, so without an access token. Browsers get
/// pages; whoever does not ask for one gets errors as everywhere else.
///
/// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#get_matrixidentityv2validateemailsubmittoken>
async fn follow_link(
    medium: Medium,
    Extract(state): Extract<IdentityState>,
    headers: HeaderMap,
    QueryArgs(link): QueryArgs<Link>,
) -> Result<Response, Error> {
    let reads_pages = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.to_ascii_lowercase().contains("text/html")));
    match submit_link(medium, &state, link).await {
        Ok(next_link) => {
            let location = next_link.and_then(|link| HeaderValue::try_from(link).ok());
            Ok(match location {
                Some(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
                None => page(StatusCode::OK, state.identity.confirmed_page()),
            })
        }
        Err(error) if reads_pages && error.status.is_client_error() => {
            Ok(page(error.status, state.identity.refused_page(&error.message)))
        }
        Err(error) => Err(error),
    }
}

async fn submit_link(medium: Medium, state: &IdentityState, link: Link) -> Result<Option<String>, Error> {
    let sid = link.sid.ok_or_else(|| missing("sid"))?;
    let secret = link.client_secret.ok_or_else(|| missing("client_secret"))?;
    let token = link.token.ok_or_else(|| missing("token"))?;
    state.identity.submit(medium, &sid, &secret, &token).await.map_err(refusal)
}

/// A page that runs nothing, is shown in no frame, and tells nobody from where its reader came: its URL holds a token.
fn page(status: StatusCode, html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, html).into_response()
}
