//! A whole server in this process.

use std::{net::SocketAddr, path::Path, sync::OnceLock};

use http::Method;
use roost::config::{Config, Mode};
use roost_world::World;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};

use crate::{Client, database::Scratch};

/// Where servers run: one runtime for all tests of a process, as long as the process.
pub(crate) fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
        })
        .handle()
}

/// The real world, shared by all servers of a process.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| roost::real_world(runtime().clone(), 2))
}

/// A server with a data directory and a database of its own, on a free port of 127.0.0.1. Its name is `localhost`,
/// registration is open, rate limits are off, and password hashes are cheap; [`Server::with`] changes any of that.
pub struct Server {
    // Declared first, so that it ends before its database goes away.
    running: Option<roost::Server>,
    config: Config,
    client: Client,
    address: SocketAddr,
    _database: Scratch,
    folder: TempDir,
}

impl Server {
    /// Starts a server.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a server with a changed configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = Scratch::new(runtime()).await;
        let mut config = Config::default();
        config.top.data_dir = folder.path().to_str().expect("a UTF-8 path").to_owned();
        config.database.url = database.url();
        // What tests are after survives a killed process; the disk's own speed is not their subject.
        config.database.durability = roost::config::Durability::Process;
        for listen in &mut config.listen {
            "127.0.0.1:0".clone_into(&mut listen.address);
        }
        config.registration.mode = Mode::Open;
        config.rate_limits.enabled = false;
        config.passwords.memory_kib = 8;
        config.passwords.iterations = 1;
        change(&mut config);
        let (running, address) = launch(&mut config).await;
        let client = Client::new(&format!("http://{address}"));
        Self { running: Some(running), config, client, address, _database: database, folder }
    }

    /// Stops the server cleanly and starts it again, on the same data and the same port.
    ///
    /// # Panics
    /// When it does not start again.
    pub async fn restart(&mut self) {
        self.stop().await;
        let (running, _) = launch(&mut self.config).await;
        self.running = Some(running);
    }

    /// Stops the server cleanly.
    ///
    /// # Panics
    /// When stopping panics.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            runtime().spawn(running.stop()).await.expect("the server stops");
        }
    }

    /// Where it listens: the first listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens: all listeners.
    ///
    /// # Panics
    /// When it is stopped.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.running.as_ref().expect("a running server").addresses()
    }

    /// Its URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// A client without an access token.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What is behind its doors, for tests that look there.
    ///
    /// # Panics
    /// When it is stopped.
    #[must_use]
    pub fn house(&self) -> &roost::House {
        self.running.as_ref().expect("a running server").house()
    }

    /// GET without an access token.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.client.call(Method::GET, path, "", None).await
    }

    /// PUT without an access token.
    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.client.call(Method::PUT, path, "", Some(body)).await
    }

    /// POST without an access token.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.client.call(Method::POST, path, "", Some(body)).await
    }

    /// DELETE without an access token.
    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.client.call(Method::DELETE, path, "", None).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // Not waited for: its clients live on the test's own runtime, which stands still meanwhile.
            drop(runtime().spawn(running.stop()));
        }
    }
}

async fn launch(config: &mut Config) -> (roost::Server, SocketAddr) {
    let wanted = config.clone();
    let start = async move { roost::Server::start(&wanted, world().clone()).await };
    let running = runtime().spawn(start).await.expect("the server starts").expect("the server starts");
    // A restart keeps the ports.
    for (listen, address) in config.listen.iter_mut().zip(running.addresses()) {
        listen.address = address.to_string();
    }
    let address = *running.addresses().first().expect("a listener");
    (running, address)
}
