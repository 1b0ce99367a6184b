//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`
//!
//! Sends a message event, once, however often it is asked for with the same transaction id. Answered when it is on disk.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>

use axum::{Router, extract::State as Extract, routing::put};
use roost_rooms::{NewEvent, Transaction};
use ruma::{EventId, OwnedRoomId};

use super::splice::Json;
use crate::{Caller, Error, PathArgs, RawJson, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/send/{event_type}/{txn_id}", put(send))
}

/// The answer that names an event.
pub(super) fn event_id(id: &EventId) -> Json {
    // Ids of events that this server makes need no escaping.
    Json(format!("{{\"event_id\":\"{id}\"}}").into_bytes())
}

async fn send(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, kind, txn_id)): PathArgs<(OwnedRoomId, String, String)>,
    RawJson(content): RawJson,
) -> Result<Json, Error> {
    super::redact::check_txn_id(&txn_id)?;
    let transaction = Transaction::send(&caller.device_id, &kind, &txn_id);
    let event = NewEvent::message(&caller.user_id, &kind, content, Some(transaction));
    Ok(event_id(&state.rooms.append(&room_id, event).await?.event_id))
}
