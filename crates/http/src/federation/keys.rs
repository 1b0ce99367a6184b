//! `GET /_matrix/key/v2/server`, `POST /_matrix/key/v2/query`, `GET /_matrix/key/v2/query/{server_name}`
//!
//! The keys that this server signs with, and, as a notary, those of others with this server's signature beside theirs. Nobody
//! has to say who they are.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::State as Extract,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::header;
use roost_federation::keys::{Criteria, MAX_SERVERS, Query};
use roost_matrix::ids::{OwnedServerName, is_server_name};
use serde::Deserialize;

use crate::{Error, JsonBytes, PathArgs, QueryArgs, State};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/_matrix/key/v2/server", get(own))
        .route("/_matrix/key/v2/query", post(query))
        .route("/_matrix/key/v2/query/{server_name}", get(query_one))
}

async fn own(Extract(state): Extract<State>) -> Result<Response, Error> {
    Ok(json(state.federation.keys.own_answer()?))
}

#[derive(Deserialize)]
struct Body {
    server_keys: BTreeMap<String, BTreeMap<String, Wanted>>,
}

#[derive(Deserialize)]
struct Wanted {
    minimum_valid_until_ts: Option<u64>,
}

async fn query(Extract(state): Extract<State>, JsonBytes(body): JsonBytes) -> Result<Response, Error> {
    let Body { server_keys } = serde_json::from_slice(&body)
        .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))?;
    if server_keys.len() > MAX_SERVERS {
        return Err(Error::too_large(format!("A query can be about {MAX_SERVERS} servers")));
    }
    let mut query = Query::new();
    for (server, keys) in server_keys {
        let valid_until = keys.values().filter_map(|wanted| wanted.minimum_valid_until_ts).max();
        query.insert(server_name(server)?, Criteria { keys: keys.into_keys().collect(), valid_until });
    }
    answer(&state, query).await
}

async fn query_one(
    Extract(state): Extract<State>,
    PathArgs(server): PathArgs<String>,
    QueryArgs(Wanted { minimum_valid_until_ts }): QueryArgs<Wanted>,
) -> Result<Response, Error> {
    let criteria = Criteria { keys: Vec::new(), valid_until: minimum_valid_until_ts };
    answer(&state, Query::from([(server_name(server)?, criteria)])).await
}

fn server_name(text: String) -> Result<OwnedServerName, Error> {
    Some(text)
        .filter(|text| is_server_name(text))
        .and_then(|text| OwnedServerName::try_from(text).ok())
        .ok_or_else(|| Error::invalid_param("This is not a server name"))
}

async fn answer(state: &State, query: Query) -> Result<Response, Error> {
    let answers = state.federation.keys.answer_for(query).await?;
    Ok(json(format!("{{\"server_keys\":[{}]}}", answers.join(","))))
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
