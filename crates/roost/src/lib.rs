//! The server as a library, so that tests can start whole servers: configuration, wiring, commands, signals, telemetry.

mod cli;
mod commands;
pub mod config;
mod data_dir;
mod house;
mod listen;
mod room;
mod server;
mod socket;
mod telemetry;
mod world;

pub use cli::run;
pub use data_dir::{DataDir, DataDirError};
pub use house::{House, HouseError};
pub use listen::{ListenError, TlsError};
pub use server::{Server, StartError};
pub use world::real as real_world;
