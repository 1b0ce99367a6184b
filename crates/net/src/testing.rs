//! For tests: a world whose clock can be turned, a certificate authority, and HTTP servers on loopback.
//!
//! What fails here panics: a test that can not be set up has failed.

mod authority;
mod server;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use roost_world::{BoxFuture, Clock, Executor, Random, World};

pub use self::{
    authority::Authority,
    server::{Answer, Seen, Server},
};

/// A world on the current tokio runtime, and its clock.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn world() -> (World, Arc<TurnedClock>) {
    let clock = Arc::new(TurnedClock { start: now(), ahead_ms: AtomicU64::new(0) });
    let executor = Arc::new(Real(tokio::runtime::Handle::current()));
    (World { clock: clock.clone(), random: Arc::new(Drawn), executor }, clock)
}

#[expect(clippy::disallowed_methods, reason = "this is the tests' clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// The real clock, turned forward on demand. Sleeps are not shortened by that.
pub struct TurnedClock {
    start: std::time::Instant,
    ahead_ms: AtomicU64,
}

impl TurnedClock {
    /// Turns the clock forward.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }
}

impl Clock for TurnedClock {
    #[expect(clippy::disallowed_methods, reason = "this is the tests' clock")]
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from((since + self.ahead()).as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed() + self.ahead()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the tests' clock")]
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct Drawn;

impl Random for Drawn {
    fn fill(&self, bytes: &mut [u8]) {
        use std::hash::{BuildHasher as _, RandomState};
        // The standard library seeds its hashes from the operating system: good enough for tests.
        for chunk in bytes.chunks_mut(8) {
            let random = RandomState::new().hash_one(chunk.len()).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

struct Real(tokio::runtime::Handle);

#[expect(clippy::disallowed_methods, reason = "this is the tests' executor")]
impl Executor for Real {
    fn spawn(&self, _name: &'static str, future: BoxFuture<()>) {
        self.0.spawn(future);
    }

    fn spawn_thread(&self, _name: &str, body: Box<dyn FnOnce() + Send>) {
        std::thread::spawn(body);
    }

    fn spawn_cpu(&self, body: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(body);
    }

    fn block_on(&self, future: Pin<&mut (dyn Future<Output = ()> + '_)>) {
        self.0.block_on(future);
    }
}
