//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`
//!
//! Strips an event of all that is not needed to keep the room together.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid>

use axum::{Router, extract::State as Extract, routing::put};
use roost_rooms::{NewEvent, Transaction};
use ruma::api::client::redact::redact_event::v3::Request;
use serde_json::{json, value::to_raw_value};

use super::{send::event_id, splice::Json};
use crate::{Args, Caller, Error, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/redact/{event_id}/{txn_id}", put(redact))
}

/// Transaction ids are kept, so their length has an end.
pub(super) fn check_txn_id(txn_id: &str) -> Result<(), Error> {
    if txn_id.len() > 255 { Err(Error::invalid_param("The transaction id is longer than 255 bytes")) } else { Ok(()) }
}

/// Whether the caller has sent the event that is to be redacted.
async fn is_own(state: &State, caller: &Caller, request: &Request) -> Result<bool, Error> {
    match state.rooms.event(&request.room_id, &request.event_id, &caller.user_id, None).await {
        Ok(event) => Ok(*event.stored.pdu.sender() == *caller.user_id),
        // What they can not see is not theirs.
        Err(roost_rooms::Error::NotFound(_) | roost_rooms::Error::UnknownRoom | roost_rooms::Error::Forbidden(_)) => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

async fn redact(Extract(state): Extract<State>, caller: Caller, Args(request): Args<Request>) -> Result<Json, Error> {
    check_txn_id(request.txn_id.as_str())?;
    if caller.session.suspended && !is_own(&state, &caller, &request).await? {
        return Err(Error::user_suspended());
    }
    let content = match &request.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    };
    let content = to_raw_value(&content).map_err(Error::internal)?;
    let transaction = Transaction::redact(&caller.device_id, &request.event_id, request.txn_id.as_str());
    let event = NewEvent {
        redacts: Some(request.event_id.clone()),
        ..NewEvent::message(&caller.user_id, "m.room.redaction", content, Some(transaction))
    };
    Ok(event_id(&state.rooms.append(&request.room_id, event).await?.event_id))
}
