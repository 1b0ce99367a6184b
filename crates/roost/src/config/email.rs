//! `[email]`

use super::schema::section;

section! {
    /// Sending mail.
    Email in "email" {
        /// The mail server, such as `smtp://localhost:25`; empty: no mail is sent.
        smtp_url: String = String::new();
        /// From whom mails come, such as `Example <matrix@example.org>`; empty: `noreply` at the server's name.
        from: String = String::new();
    }
}
