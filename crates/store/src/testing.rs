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

impl Random for Real {
    fn fill(&self, bytes: &mut [u8]) {
        use std::hash::{BuildHasher, RandomState};
        // The standard library seeds its hashes from the operating system: good enough for tests.
        for chunk in bytes.chunks_mut(8) {
            let random = RandomState::new().hash_one(chunk.len()).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
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

/// A database that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    /// How to open it.
    pub options: Options,
    _place: Place,
}

#[derive(Debug)]
enum Place {
    Folder { _folder: tempfile::TempDir },
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
        Self { options, _place: Place::Folder { _folder: folder } }
    }

    /// Opens it. More than one store may be open at once.
    ///
    /// # Panics
    /// When it can not be opened.
    pub async fn open(&self) -> Store {
        Store::open(self.options.clone(), world()).await.expect("the store opens")
    }
}

/// An open store with a database of its own.
#[derive(Debug)]
pub struct TestStore {
    store: Store,
    /// Its database.
    pub scratch: Scratch,
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
    let scratch = Scratch::sqlite();
    TestStore { store: scratch.open().await, scratch }
}
