//! Roost's outward side: everything that opens a connection to somebody else.
//!
//! * [`network`]: names to addresses and addresses to connections, as a trait handed in;
//! * [`guard`]: which addresses may be connected to at all;
//! * [`tls`]: whom to believe;
//! * [`client`]: HTTP/1.1 and HTTP/2 with pooled connections, limits and streamed answers;
//! * [`discovery`]: from a server's name to where it is;
//! * [`sign`]: how servers prove to each other who asks;
//! * [`mail`]: mails by SMTP.
//!
//! Nothing here is durable: connections and answers that are kept for a while are bounded and can be lost.

pub mod client;
pub mod discovery;
mod error;
pub mod flights;
pub mod guard;
pub mod mail;
pub mod network;
pub mod sign;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;

pub use error::Error;
