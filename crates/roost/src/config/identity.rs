//! `[identity]`

use super::schema::section;

section! {
    /// The identity server.
    Identity in "identity" {
        /// Whether it runs inside `roost serve`.
        enabled: bool = false, later "the identity server";
    }
}
