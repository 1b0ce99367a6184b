//! `[http]`

use super::schema::section;

section! {
    /// What a request may cost before anybody looks at it.
    Http in "http" {
        /// The largest request body, in KiB.
        max_body_kib: u32 = 2048;
        /// The longest a request body may take to arrive, in seconds.
        body_timeout: u32 = 30;
        /// The largest request head (path, query and headers), in KiB; at most 128.
        max_head_kib: u32 = 32;
        /// The longest a request head may take to arrive, and an idle connection is kept open, in seconds.
        head_timeout: u32 = 60;
        /// How many connections are open at once; further ones wait.
        max_connections: u32 = 10_000;
        /// How many of them one address has (for IPv6, one /64 network); further ones are closed at once. Not counted when
        /// `client_address_header` is set: then all of them come from the proxy.
        max_connections_per_address: u32 = 1_000;
        /// How long a client may take nothing of an answer that is ready for it, in seconds, before its connection is
        /// closed. However slowly it reads, each byte that it takes begins this anew.
        write_timeout: u32 = 60;
        /// The header in which a reverse proxy in front of this server names the client's address, such as
        /// "X-Forwarded-For", for rate limits. Set it only when nobody can get past the proxy; empty: none.
        client_address_header: String = String::new();
    }
}
