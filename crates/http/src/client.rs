//! The Client-Server API.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/>

mod absent;
mod account;
mod account_data;
mod capabilities;
mod devices;
mod directory;
mod filter;
mod login;
mod openid;
mod profile;
mod push_rules;
mod receipts;
mod register;
mod rooms;
mod sync;
mod tags;
mod typing;
mod user_directory;
mod versions;

use axum::Router;

use crate::State;

/// Every endpoint of the Client-Server API.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .merge(absent::routes())
        .merge(account::routes())
        .merge(account_data::routes())
        .merge(capabilities::routes())
        .merge(devices::routes())
        .merge(directory::routes())
        .merge(filter::routes())
        .merge(login::routes())
        .merge(openid::routes())
        .merge(profile::routes())
        .merge(push_rules::routes())
        .merge(receipts::routes())
        .merge(register::routes())
        .merge(rooms::routes())
        .merge(sync::routes())
        .merge(tags::routes())
        .merge(typing::routes())
        .merge(user_directory::routes())
        .merge(versions::routes())
}
