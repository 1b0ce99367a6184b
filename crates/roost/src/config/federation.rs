//! `[federation]`

use super::schema::section;

section! {
    /// Talking to other homeservers.
    Federation in "federation" {
        /// Whether this server takes part at all.
        enabled: bool = true, later "federation";
        /// PEM files of certificate authorities trusted beside the system's.
        extra_ca_files: Vec<String> = Vec::new();
        /// Servers asked for the signing keys of others.
        trusted_key_servers: Vec<String> = Vec::new(), later "federation";
    }
}
