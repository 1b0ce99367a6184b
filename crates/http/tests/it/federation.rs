//! `/_matrix/federation` and `/_matrix/key`.

mod keys;
mod rooms;
mod version;
