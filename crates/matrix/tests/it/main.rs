//! The event crate against other implementations and the specification's data.

mod auth;
mod dag;
mod examples;
mod fuzzed;
mod fuzzed_rules;
mod generate;
mod holds;
mod holds_rules;
mod oracle;
mod push;
mod ruma_rooms;
mod ruma_signatures;
mod state_res;
mod story;
mod theirs;
