//! `/_matrix/client`

mod directory;
mod rooms;
mod versions;
