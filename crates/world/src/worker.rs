//! Background loops with a name, a state and a stop.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::{BoxFuture, World};

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or waits for something to do.
    Running,
    /// It ended because it was told to.
    Stopped,
    /// It ended by itself, which is a fault.
    Failed,
}

/// A worker, as an operator sees it.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its name, unique in the process.
    pub name: &'static str,
    /// What it is doing.
    pub state: State,
}

/// Tells a worker (or a long poll) to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Resolves when it is time to end.
    pub async fn wait(&mut self) {
        // An error means that the sender is gone: then it is time to end, too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether it is time to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }
}

/// A background loop.
pub trait Worker: Send + 'static {
    /// Its name, unique in the process.
    fn name(&self) -> &'static str;
    /// Runs until `stop`; returning earlier counts as a failure.
    fn run(self: Box<Self>, stop: Stop) -> BoxFuture<()>;
}

type Known = (&'static str, watch::Receiver<State>);

/// The workers of a process: starts them, lists them, stops them.
#[derive(Clone, Debug)]
pub struct Workers {
    world: World,
    stop: Arc<watch::Sender<bool>>,
    all: Arc<Mutex<Vec<Known>>>,
}

impl Workers {
    /// No workers yet.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self { world, stop: Arc::new(watch::Sender::new(false)), all: Arc::default() }
    }

    /// The signal that [`Workers::stop`] gives, for whoever waits for long (long polls).
    #[must_use]
    pub fn stop_signal(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// Starts a worker.
    pub fn start(&self, worker: impl Worker) {
        let name = worker.name();
        self.start_future(name, |stop| Box::new(worker).run(stop));
    }

    /// Starts a worker that is no more than a future.
    pub fn start_future<F>(&self, name: &'static str, run: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (state, watched) = watch::channel(State::Running);
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push((name, watched));
        let stop = self.stop_signal();
        let running = run(stop.clone());
        self.world.executor.spawn(
            name,
            Box::pin(async move {
                // Dropped without a verdict (a panic), the guard reports the failure.
                let guard = Verdict { state, stop };
                running.await;
                drop(guard);
            }),
        );
    }

    /// The workers and their states.
    #[must_use]
    pub fn list(&self) -> Vec<Status> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, state)| Status { name, state: *state.borrow() }).collect()
    }

    /// Tells every worker to end and waits until all have.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let all: Vec<_> = {
            let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().map(|(_, state)| state.clone()).collect()
        };
        for mut state in all {
            // An error means that the worker is gone altogether.
            let _ = state.wait_for(|state| *state != State::Running).await;
        }
    }
}

struct Verdict {
    state: watch::Sender<State>,
    stop: Stop,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        let ended = if self.stop.is_set() { State::Stopped } else { State::Failed };
        self.state.send_replace(ended);
    }
}
