//! `POST /_matrix/client/v3/user_directory/search`
//!
//! Finds people by id or display name, among those whom the caller could meet.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#user-directory>

use axum::{Json, Router, extract::State as Extract, routing::post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Caller, Error, JsonBytes, State, routes::ClientRoutes as _};

/// How many results there are when the request does not say, and at most.
const DEFAULT_LIMIT: u64 = 10;
const MAX_LIMIT: u64 = 100;

pub(crate) fn routes() -> Router<State> {
    Router::new().client("/user_directory/search", post(search))
}

#[derive(Deserialize)]
struct Request {
    search_term: String,
    limit: Option<u64>,
}

async fn search(
    Extract(state): Extract<State>,
    caller: Caller,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))?;
    let limit = usize::try_from(request.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT)).unwrap_or_default();
    let (found, limited) = state.users.search(caller.user_no, &request.search_term, limit).await?;
    let results = found.into_iter().map(|found| {
        let mut user = Map::from_iter([("user_id".to_owned(), Value::from(found.user_id.as_str()))]);
        if let Some(name) = found.displayname {
            user.insert("display_name".to_owned(), name.into());
        }
        if let Some(url) = found.avatar_url {
            user.insert("avatar_url".to_owned(), url.into());
        }
        Value::Object(user)
    });
    Ok(Json(json!({ "results": results.collect::<Vec<_>>(), "limited": limited })))
}
