//! The real network: the hosts file, the system's DNS servers, TCP.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolveHosts},
    net::NetError,
    proto::rr::{Name, RData},
};
use roost_world::BoxFuture;
use tokio::net::TcpStream;

use super::{
    BoxStream, DnsError, MAX_NAME, MAX_RECORDS, Network, Service,
    hosts::{Hosts, Stamp, stamp},
};

/// The most answers that are kept until their time to live is over.
const CACHED: u64 = 4096;

/// The machine's own network. Names come from `/etc/hosts` and then from the servers of `/etc/resolv.conf`; both files are read
/// again when they change.
pub struct System {
    inner: Arc<Inner>,
}

struct Inner {
    hosts: Hosts,
    conf: PathBuf,
    resolver: Mutex<(Stamp, Option<Arc<TokioResolver>>)>,
}

impl System {
    /// Nothing is read or asked before the first lookup. Lookups need a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let (hosts, conf) = (Hosts::new(PathBuf::from("/etc/hosts")), PathBuf::from("/etc/resolv.conf"));
        Self { inner: Arc::new(Inner { hosts, conf, resolver: Mutex::default() }) }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Network for System {
    fn addresses(&self, host: &str) -> BoxFuture<Result<Vec<IpAddr>, DnsError>> {
        let (inner, host) = (Arc::clone(&self.inner), host.to_owned());
        Box::pin(async move {
            let mut addresses = inner.hosts.addresses(&host);
            if addresses.is_empty() {
                addresses = match inner.resolver()?.lookup_ip(name(&host)?).await {
                    Ok(found) => found.iter().collect(),
                    Err(error) => nothing(&error)?,
                };
            }
            addresses.truncate(MAX_RECORDS);
            Ok(addresses)
        })
    }

    fn services(&self, service: &str) -> BoxFuture<Result<Vec<Service>, DnsError>> {
        let (inner, service) = (Arc::clone(&self.inner), service.to_owned());
        Box::pin(async move {
            let found = match inner.resolver()?.srv_lookup(name(&service)?).await {
                Ok(found) => found,
                Err(error) => return nothing(&error),
            };
            let services = found.answers().iter().filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(Service {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                }),
                _ => None,
            });
            Ok(services.take(MAX_RECORDS).collect())
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // Requests are written whole; waiting for more to send would only delay them.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

impl Inner {
    fn resolver(&self) -> Result<Arc<TokioResolver>, DnsError> {
        let now = stamp(&self.conf);
        let mut kept = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        match &kept.1 {
            Some(resolver) if kept.0 == now => Ok(Arc::clone(resolver)),
            _ => {
                let resolver = Arc::new(build(&self.conf)?);
                *kept = (now, Some(Arc::clone(&resolver)));
                Ok(resolver)
            }
        }
    }
}

fn build(conf: &Path) -> Result<TokioResolver, DnsError> {
    let failed = |error: NetError| DnsError(format!("{}: {error}", conf.display()));
    let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never; // Ours is read again when it changes.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = CACHED;
    builder.build().map_err(failed)
}

/// A name as DNS takes it. One with a dot is whole, so that no search list is tried for it.
fn name(text: &str) -> Result<Name, DnsError> {
    if text.is_empty() || text.len() > MAX_NAME {
        return Err(DnsError("not a domain name".to_owned()));
    }
    let mut name = Name::from_ascii(text).map_err(|error| DnsError(error.to_string()))?;
    if text.contains('.') {
        name.set_fqdn(true);
    }
    Ok(name)
}

/// Tells "there is no such thing" from "nobody knows".
fn nothing<T>(error: &NetError) -> Result<Vec<T>, DnsError> {
    if error.is_no_records_found() || error.is_nx_domain() { Ok(Vec::new()) } else { Err(DnsError(error.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_found_without_dns_and_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let network = System::new();
        let addresses = network.addresses("localhost").await.unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback) && !addresses.is_empty());
        assert!(network.connect(listener.local_addr().unwrap()).await.is_ok());
    }

    #[test]
    fn what_is_no_domain_name_is_refused_before_anybody_is_asked() {
        assert!(name("").is_err());
        assert!(name(&"a.".repeat(127)).is_err());
        assert!(name(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(name("a.example").unwrap().is_fqdn());
        assert!(!name("peer").unwrap().is_fqdn());
        assert!(name("_matrix-fed._tcp.a.example").is_ok());
    }
}
