//! Several servers that speak with each other over TLS.

use roost::config::{Config, Listen};
use roost_net::testing::Authority;
use tempfile::TempDir;

use crate::Server;

/// An authority that the servers of a test believe.
pub struct Village {
    authority: Authority,
    certificates: TempDir,
}

impl Default for Village {
    fn default() -> Self {
        Self::new()
    }
}

impl Village {
    /// A new one.
    ///
    /// # Panics
    /// When there is no temporary folder.
    #[must_use]
    pub fn new() -> Self {
        let (authority, certificates) = (Authority::new(), tempfile::tempdir().expect("a temporary folder"));
        let (certificate, key) = authority.issue(&["127.0.0.1"]);
        std::fs::write(certificates.path().join("cert.pem"), certificate).expect("written");
        std::fs::write(certificates.path().join("key.pem"), key).expect("written");
        Self { authority, certificates }
    }

    /// Starts a server whose name is its address.
    pub async fn server(&self) -> Server {
        self.server_with(|_| {}).await
    }

    /// The same with a changed configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn server_with(&self, change: impl FnOnce(&mut Config)) -> Server {
        // The name has the port in it, so that it must be known before.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let name = free.local_addr().expect("an address").to_string();
        drop(free);
        let file = |name: &str| self.certificates.path().join(name).display().to_string();
        let authority = self.authority.file().display().to_string();
        Server::with(|config| {
            config.top.server_name.clone_from(&name);
            config.outbound.allow_ranges = vec!["127.0.0.0/8".to_owned()];
            config.federation.extra_ca_files = vec![authority];
            // It speaks TLS as well, and there to other servers; all else it serves there does not matter.
            config.listen.push(Listen {
                address: name,
                tls_certificate: Some(file("cert.pem")),
                tls_private_key: Some(file("key.pem")),
                ..Listen::default()
            });
            change(config);
        })
        .await
    }
}
