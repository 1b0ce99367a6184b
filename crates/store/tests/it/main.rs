//! The store as the crates above it use it, in one process and in several.
#![expect(clippy::disallowed_methods, reason = "the tests spawn their tasks and watch a real clock")]

mod faults;
mod frontier;
mod nodes;
