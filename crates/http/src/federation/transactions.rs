//! `PUT /_matrix/federation/v1/send/{txnId}`
//!
//! Takes in what another server sends: events, each with a result of its own. Sent again, it changes nothing.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid>

use axum::{Json, Router, extract::State as Extract, routing::put};
use roost_federation::{Transaction, TransactionError};
use serde_json::{Map, Value, json};

use super::origin::Origin;
use crate::{Error, State};

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/_matrix/federation/v1/send/{transaction_id}", put(send))
}

async fn send(Extract(state): Extract<State>, origin: Origin) -> Result<Json<Value>, Error> {
    let transaction = Transaction::read(&origin.body).map_err(|error| match error {
        TransactionError::TooLarge => Error::invalid_param(error.to_string()),
        error => Error::bad_json(error.to_string()),
    })?;
    let results = state.exchange.transaction(&origin.server, transaction).await?;
    let pdus: Map<_, _> = results
        .into_iter()
        .map(|(id, problem)| (id.to_string(), problem.map_or_else(|| json!({}), |error| json!({ "error": error }))))
        .collect();
    Ok(Json(json!({ "pdus": pdus })))
}
