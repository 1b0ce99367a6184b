//! `/_matrix/client`

mod capabilities;
mod directory;
mod rooms;
mod versions;
