//! `GET /.well-known/matrix/{client,server,support}`
//!
//! Where clients and servers find this homeserver, and whom to turn to about it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#well-known-uris>,
//! <https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver>

use axum::{Json, Router, extract::State as Extract, routing::get};
use serde_json::{Value, json};

use crate::{Error, State};

pub(crate) fn client() -> Router<State> {
    Router::new().route("/.well-known/matrix/client", get(client_document))
}

pub(crate) fn server() -> Router<State> {
    Router::new().route("/.well-known/matrix/server", get(server_document))
}

pub(crate) fn support() -> Router<State> {
    Router::new().route("/.well-known/matrix/support", get(support_document))
}

async fn client_document(Extract(state): Extract<State>) -> Result<Json<Value>, Error> {
    let base_url =
        state.settings.public_base_url.as_ref().ok_or_else(|| Error::not_found("No base URL is configured"))?;
    Ok(Json(json!({ "m.homeserver": { "base_url": base_url } })))
}

async fn server_document(Extract(state): Extract<State>) -> Result<Json<Value>, Error> {
    let base_url = state.settings.public_base_url.as_deref().filter(|_| state.settings.federation);
    let delegated = base_url.and_then(delegation).ok_or_else(|| Error::not_found("Nothing is delegated"))?;
    Ok(Json(json!({ "m.server": delegated })))
}

/// The server part of a base URL, with its port: without one, other servers would try 8448. Federation is HTTPS only.
fn delegation(base_url: &str) -> Option<String> {
    let server = base_url.strip_prefix("https://")?.split('/').next().filter(|server| !server.is_empty())?;
    let has_port = server.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    Some(if has_port { server.to_owned() } else { format!("{server}:443") })
}

async fn support_document(Extract(state): Extract<State>) -> Result<Json<Value>, Error> {
    let support = &state.settings.support;
    let mut contact = serde_json::Map::new();
    if let Some(email) = &support.email {
        contact.insert("email_address".to_owned(), email.as_str().into());
    }
    if let Some(matrix_id) = &support.matrix_id {
        contact.insert("matrix_id".to_owned(), matrix_id.as_str().into());
    }
    let mut document = serde_json::Map::new();
    if !contact.is_empty() {
        contact.insert("role".to_owned(), "m.role.admin".into());
        document.insert("contacts".to_owned(), json!([contact]));
    }
    if let Some(page) = &support.page {
        document.insert("support_page".to_owned(), page.as_str().into());
    }
    if document.is_empty() {
        return Err(Error::not_found("No support contacts are configured"));
    }
    Ok(Json(Value::Object(document)))
}

#[cfg(test)]
mod tests {
    use super::delegation;

    #[test]
    fn delegation_names_a_port() {
        assert_eq!(delegation("https://matrix.example.org").as_deref(), Some("matrix.example.org:443"));
        assert_eq!(delegation("https://matrix.example.org:8443/x").as_deref(), Some("matrix.example.org:8443"));
        assert_eq!(delegation("https://[2001:db8::1]").as_deref(), Some("[2001:db8::1]:443"));
        assert_eq!(delegation("http://matrix.example.org"), None);
    }
}
