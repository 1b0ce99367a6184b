//! `[log]`

use super::schema::{choice, section};

choice! {
    /// How log lines look.
    Format {
        /// For people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// The log, on standard error.
    Log in "log" {
        /// "error", "warn", "info", "debug" or "trace", or a filter such as `info,roost_sync=debug`.
        level: String = "info".to_owned();
        /// "human" or "json".
        format: Format = Format::Human;
        /// Whether every answered request is logged, not only the failed ones.
        requests: bool = false;
    }
}
