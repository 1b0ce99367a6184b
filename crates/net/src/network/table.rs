//! A network of names and addresses that are made up, over loopback.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use roost_world::BoxFuture;
use tokio::net::TcpStream;

use super::{BoxStream, DnsError, Network, Service};

/// Names, services and addresses from a table, for tests. Addresses lead to where [`Table::route`] says, loopback addresses to
/// themselves, and all others nowhere. Cheap to clone; clones share the table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    hosts: HashMap<String, Vec<IpAddr>>,
    services: HashMap<String, Vec<Service>>,
    broken: HashSet<String>,
    routes: HashMap<SocketAddr, SocketAddr>,
    lookups: Vec<String>,
    connected: Vec<SocketAddr>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a name its addresses.
    pub fn host(&self, name: &str, addresses: &[IpAddr]) {
        self.lock().hosts.insert(name.to_owned(), addresses.to_vec());
    }

    /// Gives a name its SRV records.
    pub fn service(&self, name: &str, services: &[Service]) {
        self.lock().services.insert(name.to_owned(), services.to_vec());
    }

    /// Makes lookups of a name fail.
    pub fn broken(&self, name: &str) {
        self.lock().broken.insert(name.to_owned());
    }

    /// Leads connections to `address` to `real`.
    pub fn route(&self, address: SocketAddr, real: SocketAddr) {
        self.lock().routes.insert(address, real);
    }

    /// What was looked up so far.
    #[must_use]
    pub fn lookups(&self) -> Vec<String> {
        self.lock().lookups.clone()
    }

    /// Which addresses were connected to so far, or tried.
    #[must_use]
    pub fn connected(&self) -> Vec<SocketAddr> {
        self.lock().connected.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network for Table {
    fn addresses(&self, host: &str) -> BoxFuture<Result<Vec<IpAddr>, DnsError>> {
        let mut inner = self.lock();
        inner.lookups.push(host.to_owned());
        let found = if inner.broken.contains(host) {
            Err(DnsError("the name server does not answer".to_owned()))
        } else {
            Ok(inner.hosts.get(host).cloned().unwrap_or_default())
        };
        Box::pin(std::future::ready(found))
    }

    fn services(&self, name: &str) -> BoxFuture<Result<Vec<Service>, DnsError>> {
        let mut inner = self.lock();
        inner.lookups.push(name.to_owned());
        let found = if inner.broken.contains(name) {
            Err(DnsError("the name server does not answer".to_owned()))
        } else {
            Ok(inner.services.get(name).cloned().unwrap_or_default())
        };
        Box::pin(std::future::ready(found))
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<io::Result<BoxStream>> {
        let mut inner = self.lock();
        inner.connected.push(address);
        let real = inner.routes.get(&address).copied().or_else(|| address.ip().is_loopback().then_some(address));
        Box::pin(async move {
            let real = real.ok_or(io::ErrorKind::HostUnreachable)?;
            Ok(Box::new(TcpStream::connect(real).await?) as BoxStream)
        })
    }
}
