//! A database of its own for each server.

use tokio::runtime::Handle;
use tokio_postgres::NoTls;

use crate::server::world;

/// A database that goes away with its handle.
#[derive(Debug)]
pub(crate) enum Scratch {
    /// A file in the server's data directory, which goes away by itself.
    Sqlite,
    /// A database in the tests' cluster.
    Postgres { cluster: String, name: String, runtime: Handle },
}

impl Scratch {
    pub(crate) async fn new(runtime: &Handle) -> Self {
        match std::env::var("ROOST_TEST_DATABASE").as_deref() {
            Err(_) | Ok("" | "sqlite") => Self::Sqlite,
            Ok("postgres") => {
                let cluster = std::env::var("ROOST_TEST_POSTGRES").expect("ROOST_TEST_POSTGRES names a cluster");
                let name = format!("roost_test_{}", world().random_text(16).to_lowercase());
                let scratch = Self::Postgres { cluster: cluster.clone(), name: name.clone(), runtime: runtime.clone() };
                let create = format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
                runtime.spawn(async move { execute(&cluster, &create).await }).await.expect("a database");
                scratch
            }
            Ok(other) => panic!("ROOST_TEST_DATABASE={other}: wants sqlite or postgres"),
        }
    }

    /// What `database.url` is for it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite => "sqlite:roost.db".to_owned(),
            Self::Postgres { cluster, name, .. } => {
                let (base, query) =
                    cluster.split_once('?').map_or((cluster.as_str(), ""), |(base, query)| (base, query));
                // The path of a postgres:// URL is the database's name.
                let server =
                    base.find("://").and_then(|at| base[at + 3..].find('/').map(|slash| &base[..at + 3 + slash]));
                let separator = if query.is_empty() { "" } else { "?" };
                format!("{}/{name}{separator}{query}", server.unwrap_or(base))
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Self::Postgres { cluster, name, runtime } = self {
            let (cluster, drop) = (cluster.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            let (done, wait) = std::sync::mpsc::channel();
            runtime.spawn(async move {
                execute(&cluster, &drop).await;
                let _ = done.send(());
            });
            // Without its end the process might be gone before the database is.
            let _ = wait.recv_timeout(std::time::Duration::from_secs(10));
        }
    }
}

async fn execute(cluster: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(cluster, NoTls).await.expect("the tests' cluster answers");
    let running = Handle::current().spawn(connection);
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    drop(client);
    let _ = running.await;
}
