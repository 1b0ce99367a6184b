//! A server to be measured.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{HeaderValue, Uri};

use crate::client::Connection;

/// A server to be measured: its name in the tables, where it is, and how accounts are made there.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) host: HeaderValue,
    pub(crate) shared_secret: Option<String>,
    pub(crate) registration_token: Option<String>,
    pub(crate) room_version: Option<String>,
    pub(crate) patience: Duration,
}

impl Target {
    /// A new connection to the server.
    pub(crate) fn connection(&self) -> Connection {
        Connection::new(self.address, self.host.clone(), self.patience)
    }
}

/// Where `http://host:port` is. Anything but the machine itself is refused unless the caller owns the server: this
/// program is made to use up what it is pointed at.
pub(crate) fn locate(url: &str, owned: bool) -> Result<(SocketAddr, HeaderValue), String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    if uri.scheme_str() != Some("http") {
        return Err(format!("{url}: only http:// addresses are measured (TLS would be measured with them)"));
    }
    if uri.path() != "/" && !uri.path().is_empty() {
        return Err(format!("{url}: give the server's address without a path"));
    }
    let authority = uri.authority().ok_or_else(|| format!("{url}: no host"))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(80);
    let address = match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port),
        Err(_) if host == "localhost" => SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port),
        Err(_) => return Err(format!("{url}: give an IP address or localhost")),
    };
    if !address.ip().is_loopback() && !owned {
        return Err(format!("{url} is not this machine; add --i-own-this-server if it is yours to load"));
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|error| format!("{url}: {error}"))?;
    Ok((address, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_measured_unless_the_server_is_ones_own() {
        assert!(locate("http://127.0.0.1:8008", false).is_ok());
        assert!(locate("http://[::1]:8008", false).is_ok());
        assert!(locate("http://localhost:8008", false).is_ok());
        assert!(locate("http://192.0.2.7:8008", false).is_err());
        assert!(locate("http://192.0.2.7:8008", true).is_ok());
        assert!(locate("https://127.0.0.1:8448", true).is_err());
    }
}
