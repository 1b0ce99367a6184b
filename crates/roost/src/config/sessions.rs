//! `[sessions]`

use super::schema::section;

section! {
    /// Logins.
    Sessions in "sessions" {
        /// How long an access token lasts, in seconds, before a client that can refresh it has to. The tokens of clients
        /// that can not last until they log out.
        access_token_lifetime: u32 = 3600;
        /// How many devices a user can have. When a further one logs in, that which was not heard of for the longest time
        /// is logged out.
        max_devices: u32 = 1_000;
    }
}
