//! What goes wrong on the way out.

use std::{io, net::IpAddr};

use crate::network::DnsError;

/// Why a connection, a request or a mail failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL can not be used.
    #[error("{url:?} is no URL that can be asked: {problem}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The request can not be written as HTTP.
    #[error("the request is no valid HTTP: {0}")]
    Request(#[from] http::Error),
    /// The name could not be looked up.
    #[error("{host} could not be looked up: {source}")]
    Dns {
        /// The name.
        host: String,
        /// Why.
        source: DnsError,
    },
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The domain declares that it has no such service.
    #[error("{0} declares that no homeserver is there")]
    NoService(String),
    /// A server name is none.
    #[error("{0:?} is no server name")]
    ServerName(String),
    /// The guard forbids all addresses of the host.
    #[error("{host} is at {address}, which is no public address (outbound.allow_ranges makes exceptions)")]
    Forbidden {
        /// The name or address asked for.
        host: String,
        /// The address that it has.
        address: IpAddr,
    },
    /// No connection.
    #[error("no connection to {address}: {source}")]
    Connect {
        /// Address and port.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No TLS, most likely because of the certificate.
    #[error("no TLS with {name}: {source}")]
    Tls {
        /// The name that the certificate was to prove.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// TLS is not set up rightly here.
    #[error("TLS: {0}")]
    TlsSetup(#[from] crate::tls::TlsError),
    /// The other side speaks no HTTP, or stopped speaking.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// It took too long.
    #[error("{0} took too long")]
    Timeout(&'static str),
    /// The answer is longer than wanted.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(u64),
    /// More redirects than the caller follows.
    #[error("too many redirects, the last one to {0}")]
    TooManyRedirects(String),
    /// The answer is not JSON.
    #[error("the answer is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A mail could not be written or delivered.
    #[error("mail: {0}")]
    Mail(#[from] crate::mail::MailError),
}

impl Error {
    /// Whether the same request may succeed later without anybody changing anything but the weather: the network, the other
    /// side's load. False when the request or the configuration is at fault.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Dns { .. } | Self::Connect { .. } | Self::Http(_) | Self::Timeout(_) => true,
            Self::Mail(error) => error.is_transient(),
            _ => false,
        }
    }
}
