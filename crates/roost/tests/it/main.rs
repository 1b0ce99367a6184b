//! Tests that drive the built binary from outside.
//!
//! What fails here panics, as tests do.

mod check;
mod commands;
mod configuration;
mod crash;
mod disk;
mod federation;
mod load;
mod process;
mod serving;
