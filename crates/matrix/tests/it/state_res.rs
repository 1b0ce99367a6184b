//! State resolution.

mod chains;
mod convergence;
mod examples;
pub(crate) mod memory;
