//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`,
//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers`
//!
//! How far the caller has read.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#receipts>

use axum::{Json, Router, extract::State as Extract, routing::post};
use roost_users::{Markers, ReceiptKind};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Caller, Error, JsonBytes, PathArgs, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/rooms/{room_id}/receipt/{receipt_type}/{event_id}", post(receipt))
        .client("/rooms/{room_id}/read_markers", post(read_markers))
}

async fn receipt(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((room_id, kind, event_id)): PathArgs<(OwnedRoomId, String, OwnedEventId)>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let kind = ReceiptKind::parse(&kind)
        .ok_or_else(|| Error::invalid_param("The receipt type must be m.read, m.read.private or m.fully_read"))?;
    let mut body: Map<String, Value> =
        serde_json::from_slice(&body).map_err(|error| Error::bad_json(error.to_string()))?;
    let thread = match body.remove("thread_id") {
        None => None,
        Some(Value::String(thread)) => Some(thread),
        Some(_) => return Err(Error::invalid_param("thread_id must be a string")),
    };
    let markers = Markers::one(kind, event_id, thread)?;
    state.users.set_markers(caller.user_no, &room_id, markers).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Places {
    #[serde(rename = "m.fully_read")]
    fully_read: Option<OwnedEventId>,
    #[serde(rename = "m.read")]
    read: Option<OwnedEventId>,
    #[serde(rename = "m.read.private")]
    read_private: Option<OwnedEventId>,
}

/// `POST /read_markers`: the read marker, and the receipts with it.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers>
async fn read_markers(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let Places { fully_read, read, read_private } = serde_json::from_slice(&body)
        .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))?;
    let markers = Markers { fully_read, read, read_private, thread: None };
    state.users.set_markers(caller.user_no, &room_id, markers).await?;
    Ok(Json(json!({})))
}
