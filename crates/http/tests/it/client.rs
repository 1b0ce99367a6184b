//! `/_matrix/client`

mod versions;
