//! `/_matrix/client/v3/directory`, `/_matrix/client/v3/publicRooms`

mod list;
mod room;
