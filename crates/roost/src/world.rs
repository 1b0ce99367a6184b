//! The real world: the system's clock, the operating system's randomness, tokio and threads.
//!
//! Nobody else reads the clock or makes threads; see `clippy.toml`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use roost_world::{BoxFuture, Clock, Executor, Random, World};
use tokio::runtime::Handle;

/// The bound of the pool for blocking calls, of which only name resolution makes any.
pub(crate) const BLOCKING_THREADS: usize = 16;

/// How many CPU-heavy jobs may wait for each thread; further ones are refused.
const QUEUE: usize = 64;

/// The world as it is. Futures run on `runtime`; CPU-heavy closures on `threads` threads of their own.
#[must_use]
pub fn real(runtime: Handle, threads: usize) -> World {
    World {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        executor: Arc::new(Tokio { runtime, cpu: pool(threads.max(1)) }),
    }
}

struct SystemClock(Instant);

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the door by which time comes in")]
    fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the door by which time comes in")]
    fn now_ms(&self) -> u64 {
        // A clock before 1970 is set wrong; zero keeps the server up and shows it.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door by which time comes in")]
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is the door by which chance comes in")]
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            // Keys and tokens from a broken generator would be worse than no server.
            tracing::error!(%error, "the operating system gives no random numbers");
            std::process::abort();
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

struct Tokio {
    runtime: Handle,
    cpu: SyncSender<Job>,
}

impl Executor for Tokio {
    fn spawn(&self, _name: &'static str, future: BoxFuture<()>) {
        drop(self.runtime.spawn(future));
    }

    fn spawn_thread(&self, name: &str, body: Job) {
        thread(name, body);
    }

    fn spawn_cpu(&self, body: Job) {
        // A full queue drops the job; whoever waits for it hears that nothing will come.
        drop(self.cpu.try_send(body));
    }

    fn block_on(&self, future: Pin<&mut (dyn Future<Output = ()> + '_)>) {
        self.runtime.block_on(future);
    }
}

fn pool(threads: usize) -> SyncSender<Job> {
    let (sender, receiver) = sync_channel::<Job>(threads * QUEUE);
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 0..threads {
        let receiver: Arc<Mutex<Receiver<Job>>> = Arc::clone(&receiver);
        thread(
            &format!("cpu-{number}"),
            Box::new(move || {
                loop {
                    let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { break };
                    // A job that panics answers nobody, which its caller notices; the thread goes on.
                    drop(catch_unwind(AssertUnwindSafe(job)));
                }
            }),
        );
    }
    sender
}

fn thread(name: &str, body: Job) {
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(body) {
        tracing::error!(%error, name, "no thread could be started");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_answers_nobody_and_the_pool_goes_on() {
        let world = real(Handle::current(), 1);
        assert_eq!(world.cpu(|| panic!("on purpose")).await, None::<()>);
        assert_eq!(world.cpu(|| 7).await, Some(7));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_further_jobs() {
        let world = real(Handle::current(), 1);
        let (go, gate) = std::sync::mpsc::channel::<()>();
        world.executor.spawn_cpu(Box::new(move || {
            let _ = gate.recv();
        }));
        let waiting: Vec<_> = (0..QUEUE + 10).map(|_| Box::pin(world.cpu(|| ()))).collect();
        // The futures begin when they are polled, which joining does in their order.
        let (answers, ()) = tokio::join!(futures_util::future::join_all(waiting), async move { drop(go) });
        assert!(answers.iter().filter(|answer| answer.is_none()).count() >= 9);
        assert!(answers.first().is_some_and(Option::is_some));
    }

    #[tokio::test]
    async fn time_goes_on_and_chance_varies() {
        let world = real(Handle::current(), 1);
        let (before, wall) = (world.clock.monotonic(), world.now_ms());
        world.clock.sleep(Duration::from_millis(5)).await;
        assert!(world.clock.monotonic() >= before + Duration::from_millis(5));
        assert!(world.now_ms() >= wall && wall > 1_600_000_000_000);
        assert_ne!(world.random_bytes::<32>(), world.random_bytes::<32>());
    }
}
