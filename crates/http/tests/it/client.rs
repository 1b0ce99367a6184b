//! `/_matrix/client`

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

use serde_json::Value;

/// An error's code; empty when there is none.
fn errcode(body: &Value) -> &str {
    body["errcode"].as_str().unwrap_or_default()
}
