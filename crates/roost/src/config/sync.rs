//! `[sync]`

use super::schema::section;

section! {
    /// What clients are told at once.
    Sync in "sync" {
        /// The size of an answer to /sync, in MiB, from which on further rooms come with their last event alone; clients
        /// then ask for what is missing where they show it. The state of rooms is told in any case, however large.
        max_answer_mib: u32 = 64;
        /// How many large answers (of clients that begin from nothing, or were long away) are put together at once;
        /// further ones wait.
        large_at_once: u32 = 4;
        /// How many requests of one device are answered at once; when there are more, the oldest is told that there is
        /// nothing new, since its client has most likely gone away.
        per_device: u32 = 5;
        /// How many requests of all devices of one user are answered at once; further ones get `M_LIMIT_EXCEEDED`.
        per_user: u32 = 100;
    }
}
