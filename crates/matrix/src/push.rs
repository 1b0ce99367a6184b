//! [Push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules): which events notify a user, and how.
//!
//! A user's rules are compiled once ([`RuleSet::parse`]). Sets that decide alike are equal: what names the user (the server's
//! default rules do) is compiled to a place that is filled in at evaluation, so that all users who never changed their rules
//! share one set. An [`Event`] is taken apart once and then held against any number of sets; evaluating allocates nothing.

mod compile;
mod condition;
mod defaults;
mod event;
mod rules;

pub use self::{
    compile::{InvalidRules, MAX_CONDITIONS, MAX_PATTERN, MAX_RULES, MAX_SIZE},
    defaults::default_rules_json,
    event::Event,
    rules::{Actions, Owner, Room, RuleSet},
};
