//! `[presence]`

use super::schema::section;

section! {
    /// Who is online.
    Presence in "presence" {
        /// Whether presence is kept and shown.
        enabled: bool = true, later "presence";
    }
}
