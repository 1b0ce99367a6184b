//! `[outbound]`

use super::schema::section;

section! {
    /// Outgoing connections: federation, push, application services, previews, identity servers.
    Outbound in "outbound" {
        /// Networks (CIDR) exempt from the guard against private addresses, such as "127.0.0.0/8".
        allow_ranges: Vec<String> = Vec::new();
        /// false is for test networks only, never applies to federation, and logs a warning.
        verify_certificates: bool = true;
    }
}
