//! The store as the crates above it use it, in one process and in several.

mod faults;
mod frontier;
mod nodes;
