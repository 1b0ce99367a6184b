//! `[support]`

use super::schema::section;

section! {
    /// Whom to turn to about this server: `/.well-known/matrix/support`. Empty keys are left out.
    Support in "support" {
        /// A page about support.
        page: String = String::new();
        /// The administrator's mail address.
        email: String = String::new();
        /// The administrator's Matrix id.
        matrix_id: String = String::new();
    }
}
