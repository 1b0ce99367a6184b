//! `GET /_matrix/client/v3/devices`, `GET`, `PUT`, `DELETE /_matrix/client/v3/devices/{deviceId}`,
//! `POST /_matrix/client/v3/delete_devices`
//!
//! The caller's devices.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-management>

use axum::{
    Json, Router,
    extract::State as Extract,
    routing::{get, post},
};
use roost_users::Device;
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Caller, Error, JsonBytes, PathArgs, State,
    routes::ClientRoutes as _,
    uia::{Attempt, Operation},
};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/devices", get(list))
        .client("/devices/{device_id}", get(one).put(rename).delete(delete))
        .client("/delete_devices", post(delete_many))
}

fn describe(device: Device) -> Value {
    let mut body = Map::new();
    body.insert("device_id".to_owned(), device.device_id.as_str().into());
    if let Some(name) = device.display_name {
        body.insert("display_name".to_owned(), name.into());
    }
    if let Some(ip) = device.last_seen_ip {
        body.insert("last_seen_ip".to_owned(), ip.into());
    }
    if let Some(at) = device.last_seen_at {
        body.insert("last_seen_ts".to_owned(), at.into());
    }
    body.into()
}

async fn list(Extract(state): Extract<State>, caller: Caller) -> Result<Json<Value>, Error> {
    let devices = state.users.devices(caller.user_no).await?;
    Ok(Json(json!({ "devices": devices.into_iter().map(describe).collect::<Vec<_>>() })))
}

fn unknown() -> Error {
    Error::not_found("You have no such device")
}

async fn one(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(device_id): PathArgs<OwnedDeviceId>,
) -> Result<Json<Value>, Error> {
    let device = state.users.device(caller.user_no, &device_id).await?;
    device.map(|device| Json(describe(device))).ok_or_else(unknown)
}

#[derive(Deserialize)]
struct Update {
    display_name: Option<String>,
}

async fn rename(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(device_id): PathArgs<OwnedDeviceId>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let update: Update = serde_json::from_slice(&body)
        .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))?;
    match update.display_name {
        Some(name) => state.users.rename_device(caller.user_no, &device_id, name).await?,
        None => drop(state.users.device(caller.user_no, &device_id).await?.ok_or_else(unknown)?),
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Nothing {}

async fn delete(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(device_id): PathArgs<OwnedDeviceId>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let operation = Operation::of_user(format!("DELETE /devices/{device_id}"), &caller);
    Attempt::<Nothing>::read(&state, operation, &body)?.authenticate(&state).await?;
    state.users.delete_devices(caller.user_no, vec![device_id.into()]).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Devices {
    devices: Vec<String>,
}

async fn delete_many(
    Extract(state): Extract<State>,
    caller: Caller,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Value>, Error> {
    let operation = Operation::of_user("POST /delete_devices".to_owned(), &caller);
    let (request, _) = Attempt::<Devices>::read(&state, operation, &body)?.authenticate(&state).await?;
    state.users.delete_devices(caller.user_no, request.devices).await?;
    Ok(Json(json!({})))
}
