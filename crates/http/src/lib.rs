//! The server's HTTP face: routes, extractors, errors.
//!
//! One file per endpoint or small family; each exposes `routes()`, and [`router()`] puts them together.

mod admin;
mod args;
mod body;
mod caller;
mod client;
mod door;
mod error;
mod federation;
pub mod limits;
mod operations;
mod params;
mod router;
mod routes;
mod standing;
mod state;
mod tallies;
mod uia;
mod well_known;

pub use args::{Args, Ruma};
pub use body::{JsonBytes, RawJson};
pub use caller::{Address, Caller, MaybeCaller};
pub use door::Peer;
pub use error::Error;
pub use params::{PathArgs, QueryArgs};
pub use router::{Serves, router};
pub use state::{Parts, RegistrationMode, Settings, State, Support};
