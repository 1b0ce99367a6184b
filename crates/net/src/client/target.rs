//! Whom a request goes to.

use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::{DnsName, ServerName};
use url::Url;

use crate::{Error, network::MAX_NAME};

/// A name to look up, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A place to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Where to connect, what the certificate there must prove, and what the Host header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    candidates: Vec<Candidate>,
    tls: Option<ServerName<'static>>,
    authority: String,
    key: String,
}

impl Target {
    /// A target over TLS. `candidates` are tried in their order, `certificate` is what the certificate must be for (sent as SNI
    /// when it is a name), `authority` the Host header.
    pub fn tls(candidates: Vec<Candidate>, certificate: &Host, authority: String) -> Result<Self, Error> {
        let name = match certificate {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => ServerName::DnsName(
                DnsName::try_from(name.clone())
                    .map_err(|_| Error::Url { url: name.clone(), problem: "not a domain name" })?,
            ),
        };
        Ok(Self::new(candidates, Some(name), authority))
    }

    /// A target without TLS.
    #[must_use]
    pub fn plain(candidates: Vec<Candidate>, authority: String) -> Self {
        Self::new(candidates, None, authority)
    }

    fn new(candidates: Vec<Candidate>, tls: Option<ServerName<'static>>, authority: String) -> Self {
        // The order of candidates may be drawn anew each time; it is the same destination all the same.
        let mut places: Vec<_> = candidates.iter().map(Candidate::to_string).collect();
        places.sort_unstable();
        let name = tls.as_ref().map_or("plain".into(), ServerName::to_str);
        let key = format!("{name} {authority} {}", places.join(" "));
        Self { candidates, tls, authority, key }
    }

    /// Target and path of a URL.
    pub(super) fn from_url(url: &Url) -> Result<(Self, String), Error> {
        let refuse = |problem| Error::Url { url: url.as_str().chars().take(200).collect(), problem };
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(refuse("only http and https can be asked")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds a user name or a password"));
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) if name.len() <= MAX_NAME => Host::Name(name.to_owned()),
            Some(url::Host::Ipv4(address)) => Host::Address(address.into()),
            Some(url::Host::Ipv6(address)) => Host::Address(address.into()),
            _ => return Err(refuse("it has no host")),
        };
        let port = url.port_or_known_default().ok_or_else(|| refuse("it has no port"))?;
        let mut authority = url.host_str().unwrap_or_default().to_owned();
        if let Some(port) = url.port() {
            authority = format!("{authority}:{port}");
        }
        let mut path = url.path().to_owned();
        if let Some(query) = url.query() {
            path = format!("{path}?{query}");
        }
        let candidates = vec![Candidate { host: host.clone(), port }];
        let target = if secure { Self::tls(candidates, &host, authority)? } else { Self::plain(candidates, authority) };
        Ok((target, path))
    }

    /// The URL of a path here, as far as redirects are relative to it.
    pub(super) fn url(&self, path: &str) -> Result<Url, Error> {
        let url = format!("{}{path}", self.base());
        Url::parse(&url).map_err(|_| Error::Url { url, problem: "it is not a URL" })
    }

    /// Scheme and authority.
    pub(super) fn base(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.authority)
    }

    /// Where to connect, in the order to try.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// What the Host header says.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is asked over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What the certificate must be for.
    pub(super) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.tls.as_ref()
    }

    /// What the certificate must be for, as text; empty without TLS.
    #[must_use]
    pub fn certificate_name(&self) -> String {
        self.tls.as_ref().map(|name| name.to_str().into_owned()).unwrap_or_default()
    }

    /// Equal for targets that can share connections.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}
