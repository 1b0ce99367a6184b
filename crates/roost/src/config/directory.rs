//! `[directory]`

use super::schema::section;

section! {
    /// The public room list.
    Directory in "directory" {
        /// Whether clients need an access token to read it.
        require_authentication: bool = false;
        /// Whether other servers may read it.
        over_federation: bool = true, later "federation";
    }
}
