//! `[appservices]`

use super::schema::section;

section! {
    /// Application services (bridges and bots).
    AppServices in "appservices" {
        /// Their registration files, in the usual YAML format.
        files: Vec<String> = Vec::new(), later "application services";
    }
}
