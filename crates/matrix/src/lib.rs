//! The specification as values: no I/O, no clock, no async.

pub mod error;
pub mod push;
