//! `/_matrix/federation`

mod openid;
