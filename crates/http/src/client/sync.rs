//! `GET /_matrix/client/v3/sync`
//!
//! What is new for the client since a token, or everything. Waits for something new when there is nothing and the client
//! allows it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>

use std::time::Duration;

use axum::{
    Router,
    extract::State as Extract,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::header;
use roost_store::token::SyncToken;
use roost_sync::{Filter, SyncRequest};
use serde::Deserialize;

use crate::{Caller, Error, QueryArgs, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new().client("/sync", get(sync))
}

#[derive(Debug, Deserialize)]
struct Query {
    filter: Option<String>,
    since: Option<String>,
    #[serde(default)]
    full_state: bool,
    /// Accepted, and without effect until there is presence.
    #[serde(rename = "set_presence")]
    _set_presence: Option<SetPresence>,
    #[serde(default)]
    timeout: u64,
    #[serde(default)]
    use_state_after: bool,
    /// What clients call it that are older than its specification.
    #[serde(default, rename = "org.matrix.msc4222.use_state_after")]
    unstable_use_state_after: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SetPresence {
    Online,
    Offline,
    Unavailable,
}

async fn sync(
    Extract(state): Extract<State>,
    caller: Caller,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Response, Error> {
    let since = match query.since.as_deref() {
        None | Some("") => None,
        Some(token) => {
            Some(token.parse::<SyncToken>().map_err(|_| Error::invalid_param("since is not a token of this server"))?)
        }
    };
    let filter = match query.filter.as_deref() {
        None | Some("") => Filter::default(),
        Some(inline) if inline.starts_with('{') => Filter::parse(inline)?,
        Some(id) => {
            let stored = state.users.filter(caller.user_no, id).await?;
            Filter::parse(&stored.ok_or_else(|| Error::invalid_param("There is no such filter"))?)?
        }
    };
    let request = SyncRequest {
        user: caller.user_no,
        user_id: caller.user_id.clone(),
        device: caller.device_id.clone(),
        since,
        filter,
        timeout: Duration::from_millis(query.timeout),
        full_state: query.full_state,
        state_after: match (query.use_state_after, query.unstable_use_state_after) {
            (true, _) => Some("state_after"),
            (false, true) => Some("org.matrix.msc4222.state_after"),
            (false, false) => None,
        },
    };
    let answer = state.sync.sync(request).await?;
    // A device that was logged out while it waited learns nothing more.
    if query.timeout > 0 && !state.users.sessions().is_alive(&caller.session).await? {
        return Err(Error::unknown_token(false));
    }
    // Not as a vector: the answer is under way until the connection has let go of it.
    Ok(([(header::CONTENT_TYPE, "application/json")], Bytes::from_owner(answer)).into_response())
}
