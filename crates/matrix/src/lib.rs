//! What the Matrix specification says about events without looking anything up.
//!
//! Values in, values out: no I/O, no clock, no chance, no async. Names are the specification's; links lead to its sections.

#![deny(clippy::iter_over_hash_type)] // What comes out must not depend on a hash seed.

pub mod auth;
pub mod base64;
pub mod canonical_json;
pub mod error;
pub mod event;
mod glob;
pub mod ids;
pub mod push;
pub mod room_version;
pub mod server_acl;
pub mod signing;
pub mod state_res;
