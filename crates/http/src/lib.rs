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
mod front;
mod identity;
pub mod limits;
mod operations;
mod params;
mod router;
mod routes;
mod state;
mod tallies;
mod uia;
mod well_known;

pub use args::{Args, Ruma};
pub use body::{JsonBytes, RawJson};
pub use caller::{Caller, MaybeCaller};
pub use door::Peer;
pub use error::Error;
pub use front::{Front, FrontParts, FrontSettings, Ready};
pub use identity::IdentityState;
pub use params::{PathArgs, QueryArgs};
pub use router::{Doors, Serves, router};
pub use state::{Parts, RegistrationMode, Settings, State, Support};
