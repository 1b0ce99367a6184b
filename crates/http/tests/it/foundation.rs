//! What holds on every path.

mod cors;
mod limits;
mod paths;
mod sockets;
mod standing;
