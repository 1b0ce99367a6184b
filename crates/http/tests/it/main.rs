//! Tests that go in through HTTP, each module under its URL's own path.
//!
//! What fails here panics, as tests do.

mod admin;
mod bad_input;
mod client;
mod federation;
mod foundation;
mod identity;
mod roost;
mod well_known;
