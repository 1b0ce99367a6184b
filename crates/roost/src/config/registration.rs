//! `[registration]`

use super::schema::{choice, section};

choice! {
    /// Who may register.
    Mode {
        /// Everybody.
        Open = "open",
        /// Whoever holds a registration token.
        Token = "token",
        /// Nobody.
        Closed = "closed",
    }
}

section! {
    /// Who may create accounts by themselves.
    Registration in "registration" {
        /// "open": everybody; "token": whoever holds a registration token; "closed": nobody.
        mode: Mode = Mode::Token;
        /// Lets tools create accounts with `POST /_synapse/admin/v1/register` (nonce and HMAC); empty switches it off.
        shared_secret: String = String::new();
    }
}
