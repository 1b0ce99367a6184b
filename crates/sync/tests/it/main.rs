//! `/sync` over a real store and room engine, without HTTP.

#![expect(clippy::disallowed_methods, reason = "tests run on the real clock and the test's own runtime")]

mod house;
mod limits;
mod model;
mod partial;
mod waiting;
