//! An identity server alone, in this process.

use std::net::SocketAddr;

use roost::config::{Config, Families, Listen, Serves};
use tempfile::TempDir;

use crate::{
    Client,
    database::Scratch,
    server::{runtime, world},
};

/// An identity server alone, with a data directory and a database of its own, on a free port of 127.0.0.1.
pub struct IdentityServer {
    // Declared first, so that it ends before its database goes away.
    running: Option<roost::IdentityServer>,
    config: Config,
    client: Client,
    address: SocketAddr,
    _database: Scratch,
    _folder: TempDir,
}

impl IdentityServer {
    /// Starts one with a changed configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = Scratch::new(runtime()).await;
        let mut config = Config::default();
        config.top.data_dir = folder.path().to_str().expect("a UTF-8 path").to_owned();
        config.identity.database_url = database.url();
        config.database.durability = roost::config::Durability::Process;
        let serves = Families(vec![Serves::Identity, Serves::Metrics]);
        config.listen = vec![Listen { address: "127.0.0.1:0".to_owned(), serves, ..Listen::default() }];
        config.rate_limits.enabled = false;
        change(&mut config);
        let (running, address) = launch(&mut config).await;
        let client = Client::new(&format!("http://{address}"));
        Self { running: Some(running), config, client, address, _database: database, _folder: folder }
    }

    /// Stops it cleanly and starts it again, on the same data and the same port.
    ///
    /// # Panics
    /// When it does not start again.
    pub async fn restart(&mut self) {
        if let Some(running) = self.running.take() {
            runtime().spawn(running.stop()).await.expect("the server stops");
        }
        let (running, _) = launch(&mut self.config).await;
        self.running = Some(running);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client for it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for IdentityServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            drop(runtime().spawn(running.stop()));
        }
    }
}

async fn launch(config: &mut Config) -> (roost::IdentityServer, SocketAddr) {
    let wanted = config.clone();
    let start = async move { roost::IdentityServer::start(&wanted, world().clone()).await };
    let running = runtime().spawn(start).await.expect("the server starts").expect("the server starts");
    // A restart keeps the ports.
    for (listen, address) in config.listen.iter_mut().zip(running.addresses()) {
        listen.address = address.to_string();
    }
    let address = *running.addresses().first().expect("a listener");
    (running, address)
}
