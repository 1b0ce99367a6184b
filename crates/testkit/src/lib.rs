//! For tests: whole servers in this process, and clients that speak HTTP to them.
//!
//! ```no_run
//! # async fn test() {
//! use roost_testkit::Server;
//! let server = Server::start().await;
//! let alice = server.register("alice").await;
//! let (status, body) = alice.get("/_matrix/client/v3/account/whoami").await;
//! assert_eq!(status, 200, "{body}");
//! # }
//! ```
//!
//! The engine is named by `ROOST_TEST_DATABASE`: `sqlite` (the default) or `postgres`, where `ROOST_TEST_POSTGRES` is the
//! URL of a cluster in which each server gets a database of its own, dropped with it.
//!
//! What fails here panics: a test that can not be set up has failed.

mod client;
mod database;
mod identity;
mod mailbox;
mod server;
mod user;

pub use client::{Answer, Client};
pub use identity::IdentityServer;
pub use mailbox::{Letter, Mailbox};
pub use roost::config;
pub use roost_net::testing as outside;
pub use server::Server;
pub use user::User;

use std::{fmt::Write as _, time::Duration};

/// Waits on the real clock.
pub async fn sleep(duration: Duration) {
    server::world().clock.sleep(duration).await;
}

/// Asks again and again, for at most 10 s, until there is an answer.
///
/// # Panics
/// When there is none in time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    for _ in 0..500 {
        if let Some(answer) = ask().await {
            return answer;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 10 s: {what}");
}

/// `text` as one segment of a path: everything but letters, digits and `-._~` percent-encoded.
#[must_use]
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
