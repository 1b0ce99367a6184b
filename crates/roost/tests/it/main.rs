//! Tests that drive the built binary from outside.
//!
//! What fails here panics, as tests do.

mod commands;
mod configuration;
mod process;
mod rooms;
mod serving;
