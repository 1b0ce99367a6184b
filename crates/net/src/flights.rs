//! One piece of work for many who wait for it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};

type Work<V> = BoxFuture<'static, V>;

/// Work in progress, by key. Work that nobody waits for any longer is given up.
#[derive(Debug)]
pub struct Flights<K, V: Clone> {
    running: Mutex<Running<K, V>>,
}

#[derive(Debug)]
struct Running<K, V: Clone> {
    work: HashMap<K, WeakShared<Work<V>>>,
    /// At this many entries those that are over are looked for.
    tidy_at: usize,
}

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self { running: Mutex::new(Running { work: HashMap::new(), tidy_at: 64 }) }
    }
}

impl<K: Hash + Eq, V: Clone + Send + Sync + 'static> Flights<K, V> {
    /// Waits for the work that is in progress for `key`, or starts it.
    pub async fn join<F>(&self, key: K, start: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.board(key, start).await
    }

    fn board<F>(&self, key: K, start: impl FnOnce() -> F) -> Shared<Work<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended belongs to those who waited for it: later ones may want news.
        let joined = running.work.get(&key).and_then(WeakShared::upgrade).filter(|work| work.peek().is_none());
        if let Some(work) = joined {
            return work;
        }
        if running.work.len() >= running.tidy_at {
            running.work.retain(|_, work| work.upgrade().is_some_and(|work| work.peek().is_none()));
            running.tidy_at = running.work.len() * 2 + 64;
        }
        let work = start().boxed().shared();
        if let Some(weak) = work.downgrade() {
            running.work.insert(key, weak);
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_wait_for_one_piece_of_work_and_later_ones_start_it_anew() {
        let (flights, started) = (Flights::<&str, usize>::default(), Arc::new(AtomicUsize::new(0)));
        for round in 1..=2 {
            let gate = Arc::new(Semaphore::new(0));
            let waiters = (0..10).map(|_| {
                let (gate, started) = (Arc::clone(&gate), Arc::clone(&started));
                flights.join("key", move || async move {
                    let number = started.fetch_add(1, Ordering::SeqCst) + 1;
                    let _ = gate.acquire().await;
                    number
                })
            });
            let (answers, ()) = tokio::join!(futures_util::future::join_all(waiters), async { gate.add_permits(1) });
            assert!(answers.iter().all(|answer| *answer == round), "{answers:?}");
        }
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_given_up_and_started_anew_and_leaves_no_trace() {
        let flights = Flights::<usize, usize>::default();
        for key in 0..1000 {
            let waiting = flights.join(key, std::future::pending);
            tokio::select! { biased; _ = waiting => {}, () = std::future::ready(()) => {} }
        }
        assert!(flights.running.lock().unwrap().work.len() < 200);
        assert_eq!(flights.join(7, || async { 7 }).await, 7);
    }
}
