//! `[cache]`

use super::schema::section;

section! {
    /// What is kept in memory. Nothing is lost when it is small; it is read again.
    Cache in "cache" {
        /// Events, in MiB.
        events_mib: u32 = 24;
        /// Room states, in MiB.
        states_mib: u32 = 8;
        /// Sessions, each a few hundred bytes.
        sessions: u32 = 50_000;
    }
}
