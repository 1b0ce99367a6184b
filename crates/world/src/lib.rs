//! The world as the server sees it: time, chance and execution, handed in at start.
//!
//! Nothing below `roost` reads the real clock, draws random numbers or spawns threads by itself. They take a [`World`],
//! so that a test can run whole servers on a virtual clock with a seed.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

mod worker;

pub use worker::{State as WorkerState, Status as WorkerStatus, Stop, Worker, Workers};

/// A boxed future, as trait objects need it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Time. Wall time for what is written down, monotonic time for waiting.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
    /// Time since some fixed moment of this process; never goes back.
    fn monotonic(&self) -> Duration;
    /// Resolves once `duration` has passed on this clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;
}

/// Chance. In production the operating system's generator, in tests a seeded one.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Where work runs.
pub trait Executor: Send + Sync + 'static {
    /// Runs a future to its end in the background.
    fn spawn(&self, name: &'static str, future: BoxFuture<()>);
    /// Runs a closure on a thread where it may block for as long as it likes (the store's writer and readers).
    fn spawn_thread(&self, name: &str, body: Box<dyn FnOnce() + Send>);
    /// Runs a CPU-heavy closure (password hashing) on a bounded pool.
    fn spawn_cpu(&self, body: Box<dyn FnOnce() + Send>);
    /// Runs a future to its end on the calling thread, which must be one of [`Executor::spawn_thread`]'s.
    fn block_on(&self, future: Pin<&mut (dyn Future<Output = ()> + '_)>);
}

/// Everything a crate needs of the world, cheap to clone.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Execution.
    pub executor: Arc<dyn Executor>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

impl World {
    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// `LEN` unpredictable bytes.
    #[must_use]
    pub fn random_bytes<const LEN: usize>(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A string of `len` characters from `A-Za-z0-9`, each drawn evenly: secrets, tokens, opaque ids.
    #[must_use]
    pub fn random_text(&self, len: usize) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::with_capacity(len);
        while text.len() < len {
            for byte in self.random_bytes::<32>() {
                // 248 is the largest multiple of 62 that fits a byte: above it the draw would favour the first letters.
                if byte < 248 && text.len() < len {
                    text.push(char::from(ALPHABET[usize::from(byte % 62)]));
                }
            }
        }
        text
    }

    /// Runs a CPU-heavy closure on the bounded pool and waits for its value; `None` when the pool is gone or it panicked.
    pub async fn cpu<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.executor.spawn_cpu(Box::new(move || {
            // A receiver that has gone away no longer wants the answer.
            drop(sender.send(body()));
        }));
        receiver.await.ok()
    }

    /// Waits for `future` at most `limit`; `None` when the time ran out first.
    pub async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let sleep = self.clock.sleep(limit);
        tokio::pin!(future);
        tokio::select! {
            biased;
            value = &mut future => Some(value),
            () = sleep => None,
        }
    }
}
