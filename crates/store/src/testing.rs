//! For tests: a world with a real clock and threads, and databases that vanish with their handle.

use std::{ops::Deref, pin::Pin, sync::Arc, time::Duration};

use roost_world::{BoxFuture, Clock, Executor, Random, World};

use crate::{Database, Options, Store};

/// A world on the current tokio runtime.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn world() -> World {
    let executor = Real(tokio::runtime::Handle::current());
    World {
        clock: Arc::new(RealClock(now())),
        random: Arc::new(Real(executor.0.clone())),
        executor: Arc::new(executor),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the tests' clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

struct RealClock(std::time::Instant);

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the tests' clock")]
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the tests' clock")]
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct Real(tokio::runtime::Handle);

impl Real {
    fn draw(bytes: &mut [u8]) {
        use std::hash::{BuildHasher, RandomState};
        // The standard library seeds its hashes from the operating system: good enough for tests.
        for chunk in bytes.chunks_mut(8) {
            let random = RandomState::new().hash_one(chunk.len()).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

impl Random for Real {
    fn fill(&self, bytes: &mut [u8]) {
        Self::draw(bytes);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the tests' executor")]
impl Executor for Real {
    fn spawn(&self, _name: &'static str, future: BoxFuture<()>) {
        self.0.spawn(future);
    }

    fn spawn_thread(&self, _name: &str, body: Box<dyn FnOnce() + Send>) {
        let handle = self.0.clone();
        std::thread::spawn(move || {
            let _entered = handle.enter();
            body();
        });
    }

    fn spawn_cpu(&self, body: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(body);
    }

    fn block_on(&self, future: Pin<&mut (dyn Future<Output = ()> + '_)>) {
        self.0.block_on(future);
    }
}

/// Names a cluster in which PostgreSQL tests make databases of their own.
const CLUSTER: &str = "ROOST_TEST_POSTGRES";

/// A database that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    /// How to open it.
    pub options: Options,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder { _folder: tempfile::TempDir },
    Cluster { url: String, name: String },
}

impl Scratch {
    /// A new SQLite database.
    ///
    /// # Panics
    /// When there is no temporary folder.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options::new(Database::Sqlite(folder.path().join("roost.db")));
        Self { options, place: Place::Folder { _folder: folder } }
    }

    /// A new PostgreSQL database in the cluster that `ROOST_TEST_POSTGRES` names (`postgres://…/…`). `None`, and a line
    /// that says so, when the variable is not set.
    ///
    /// # Panics
    /// When the database can not be made.
    #[must_use]
    pub fn postgres() -> Option<Self> {
        Self::postgres_sorting("LC_COLLATE 'C' LC_CTYPE 'C'")
    }

    /// The same with another collation.
    pub(crate) fn postgres_sorting(collation: &str) -> Option<Self> {
        let Ok(cluster) = std::env::var(CLUSTER) else {
            eprintln!("SKIPPED on PostgreSQL: {CLUSTER} is not set");
            return None;
        };
        let mut random = [0; 8];
        Real::draw(&mut random);
        let name = format!("roost_test_{}_{:x}", std::process::id(), u64::from_le_bytes(random));
        administer(&cluster, format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {collation}"))
            .expect("a new database");
        let options = Options { readers: 2, ..Options::new(Database::Postgres(beside(&cluster, &name))) };
        Some(Self { options, place: Place::Cluster { url: cluster, name } })
    }

    /// Opens it. More than one store may be open at once.
    ///
    /// # Panics
    /// When it can not be opened.
    pub async fn open(&self) -> Store {
        Store::open(self.options.clone(), world()).await.expect("the store opens")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Place::Cluster { url, name } = &self.place
            && let Err(error) = administer(url, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        {
            eprintln!("{name} was left behind: {error}");
        }
    }
}

/// The URL of another database of a cluster.
fn beside(cluster: &str, name: &str) -> String {
    let (rest, query) = cluster.split_once('?').map_or((cluster, None), |(rest, query)| (rest, Some(query)));
    let scheme = rest.find("://").map_or(0, |at| at + 3);
    let host = rest[scheme..].find('/').map_or(rest, |at| &rest[..scheme + at]);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{host}/{name}{query}")
}

/// Runs a statement in the cluster, from a thread of its own: also from `drop`, inside a runtime.
#[expect(clippy::disallowed_methods, reason = "tests have threads of their own")]
fn administer(url: &str, sql: String) -> Result<(), String> {
    let url = url.to_owned();
    let work = move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.map_err(|error| format!("{error:?}"))?;
            tokio::spawn(connection);
            client.batch_execute(&sql).await.map_err(|error| format!("{error:?}"))
        })
    };
    std::thread::spawn(work).join().map_err(|_| "panicked".to_owned())?
}

/// An open store with a database of its own.
#[derive(Debug)]
pub struct TestStore {
    store: Store,
    /// Its database.
    pub scratch: Scratch,
}

impl TestStore {
    /// Opens a database.
    ///
    /// # Panics
    /// When it can not be opened.
    pub async fn open(scratch: Scratch) -> Self {
        Self { store: scratch.open().await, scratch }
    }

    /// On SQLite.
    ///
    /// # Panics
    /// When it can not be opened.
    pub async fn sqlite() -> Self {
        Self::open(Scratch::sqlite()).await
    }

    /// On PostgreSQL; `None`, and a line that says so, when there is none.
    ///
    /// # Panics
    /// When it can not be opened.
    pub async fn postgres() -> Option<Self> {
        Some(Self::open(Scratch::postgres()?).await)
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// A store on a new database of the engine that `ROOST_TEST_DATABASE` names: `sqlite` (the default) or `postgres`.
///
/// # Panics
/// When it can not be opened.
pub async fn store() -> TestStore {
    match std::env::var("ROOST_TEST_DATABASE").as_deref() {
        Ok("postgres") => TestStore::postgres().await.expect("ROOST_TEST_DATABASE=postgres needs ROOST_TEST_POSTGRES"),
        _ => TestStore::sqlite().await,
    }
}

/// Makes a test on each engine of each `async fn name(store: TestStore)`.
#[macro_export]
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name($crate::testing::TestStore::sqlite().await).await;
                }
            )*
        }

        mod on_postgresql {
            $(
                #[tokio::test]
                async fn $name() {
                    if let Some(store) = $crate::testing::TestStore::postgres().await {
                        super::$name(store).await;
                    }
                }
            )*
        }
    };
}

impl Scratch {
    /// The rows of every table of a SQLite database, as (table, row as text and bytes); nothing on PostgreSQL.
    ///
    /// # Panics
    /// When the database can not be read.
    #[must_use]
    pub fn dump(&self) -> Vec<(String, Vec<u8>)> {
        let Database::Sqlite(path) = &self.options.database else { return Vec::new() };
        let connection = rusqlite::Connection::open(path).expect("the database");
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table'";
        let mut names = connection.prepare(names).expect("prepared");
        let names: Vec<String> =
            names.query_map([], |row| row.get(0)).expect("tables").collect::<Result<_, _>>().expect("names");
        let mut found = Vec::new();
        for name in names {
            let mut rows = connection.prepare(&format!("SELECT * FROM \"{name}\"")).expect("prepared");
            let columns: Vec<String> = rows.column_names().map(str::to_owned).collect();
            let mut rows = rows.query([]).expect("rows");
            while let Some(row) = rows.next().expect("a row") {
                let mut text = Vec::new();
                for (at, column) in columns.iter().enumerate() {
                    text.extend_from_slice(format!(" {column}=").as_bytes());
                    match row.get_ref(at).expect("a cell") {
                        rusqlite::types::ValueRef::Integer(number) => {
                            text.extend_from_slice(number.to_string().as_bytes());
                        }
                        rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                            text.extend_from_slice(bytes);
                        }
                        rusqlite::types::ValueRef::Null | rusqlite::types::ValueRef::Real(_) => {}
                    }
                }
                text.push(b' ');
                found.push((name.clone(), text));
            }
        }
        found
    }

    /// The tables of a SQLite database of which a row holds some bytes.
    #[must_use]
    pub fn holding(&self, needle: &str) -> Vec<String> {
        let is_in = |row: &[u8]| row.windows(needle.len()).any(|part| part == needle.as_bytes());
        let mut tables: Vec<_> =
            self.dump().into_iter().filter(|(_, row)| is_in(row)).map(|(table, _)| table).collect();
        tables.dedup();
        tables
    }
}
