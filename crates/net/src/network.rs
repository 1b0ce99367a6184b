//! Names, addresses and connections, as a trait handed in at start: [`System`] in a server, [`Table`] in tests.

mod hosts;
mod system;
mod table;

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use roost_world::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::{system::System, table::Table};

/// The longest name that is looked up, in bytes: DNS's own limit.
pub const MAX_NAME: usize = 253;

/// The most addresses or services of one name that are looked at.
pub const MAX_RECORDS: usize = 32;

/// A connection's bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static> Stream for T {}

/// Any connection.
pub type BoxStream = Box<dyn Stream>;

/// A lookup failed: nobody knows whether there is such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DnsError(pub String);

/// An [SRV record](https://www.rfc-editor.org/rfc/rfc2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Lower ones are asked first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host, without a trailing dot; empty when the domain declares that it does not offer the service.
    pub target: String,
}

/// The network as the server sees it.
pub trait Network: Send + Sync + 'static {
    /// The addresses of a name (AAAA and A, behind CNAMEs); none when there is no such name or it has no address. At most
    /// [`MAX_RECORDS`].
    fn addresses(&self, host: &str) -> BoxFuture<Result<Vec<IpAddr>, DnsError>>;
    /// The SRV records of a name, in no particular order; none when there are none. At most [`MAX_RECORDS`].
    fn services(&self, name: &str) -> BoxFuture<Result<Vec<Service>, DnsError>>;
    /// Connects. Waits for as long as the system does: the caller sets the limit.
    fn connect(&self, address: SocketAddr) -> BoxFuture<io::Result<BoxStream>>;
}
