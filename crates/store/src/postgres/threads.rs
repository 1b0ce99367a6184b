//! The threads beside the writer: readers, and one that hears of other nodes' commits.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use roost_world::World;
use tokio::sync::{oneshot, watch};

use super::Postgres;
use crate::{Durability, Error, Read, frontier::Frontier, generation, writer::Queue};

/// How often the log's head is looked at when no doorbell rings: a notification may be lost with its connection.
const LOOK: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(Result<Read<'_>, Error>) + Send>;

/// Threads with a connection each, which they make when first needed.
pub(crate) struct Readers {
    queue: Arc<Queue<Job>>,
}

impl Readers {
    pub(crate) fn start(url: &str, count: usize, bound: usize, world: &World, stop: &watch::Sender<bool>) -> Self {
        let queue = Arc::new(Queue::new(bound));
        for _ in 0..count.max(1) {
            let (queue, url, on, running) = (Arc::clone(&queue), url.to_owned(), world.clone(), stop.subscribe());
            world.executor.spawn_thread(
                "store-reader",
                Box::new(move || {
                    serve(&queue, &url, &on);
                    drop(running);
                }),
            );
        }
        Self { queue }
    }

    pub(crate) async fn read<T, E>(&self, job: impl FnOnce(&Read<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let run: Job = Box::new(move |read| {
            let result = match read {
                Ok(read) => {
                    catch_unwind(AssertUnwindSafe(|| job(&read))).unwrap_or_else(|_| Err(E::from(Error::Panicked)))
                }
                Err(error) => Err(E::from(error)),
            };
            // Whoever has gone away no longer wants the answer.
            drop(sender.send(result));
        });
        self.queue.push(run).await?;
        receiver.await.unwrap_or_else(|_| Err(E::from(Error::Closed)))
    }

    pub(crate) fn close(&self) {
        self.queue.close();
    }
}

fn serve(queue: &Queue<Job>, url: &str, world: &World) {
    let mut kept: Option<Postgres> = None;
    while let Some(jobs) = queue.take(1) {
        for job in jobs {
            let session = kept.take().filter(|session| !session.is_closed());
            let session = session.map_or_else(|| Postgres::connect(url, Durability::Full, world), Ok);
            match session {
                Ok(session) => {
                    session.snapshot();
                    job(Ok(Read::new(&session)));
                    // After the answer: nobody waits for it.
                    kept = session.end().is_ok().then_some(session);
                }
                Err(error) => job(Err(error)),
            }
        }
    }
}

/// Listens for the doorbell and catches up with what other nodes committed, until told to stop.
pub(crate) fn listen(url: &str, frontier: &Frontier, world: &World, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let listened = Postgres::connect(url, Durability::Full, world).and_then(|session| {
            session.batch("LISTEN roost_log")?;
            while !*stop.borrow() {
                generation::reconcile(&session, frontier, world)?;
                session.wait(&mut stop)?;
            }
            Ok(())
        });
        if let Err(error) = listened {
            tracing::warn!(%error, "not listening to the database; trying again");
            let pause = async {
                tokio::select! {
                    () = world.clock.sleep(LOOK) => (),
                    _ = stop.wait_for(|stop| *stop) => (),
                }
            };
            if super::link::block_on(world, pause).is_err() {
                return;
            }
        }
    }
}

impl Postgres {
    /// Waits for a notification, for a while, or for the end.
    fn wait(&self, stop: &mut watch::Receiver<bool>) -> Result<(), Error> {
        let link = self.link.borrow();
        link.drive(&self.world, async {
            let mut sleep = self.world.clock.sleep(LOOK);
            let mut stopped = pin!(stop.wait_for(|stop| *stop));
            poll_fn(|cx| {
                let over =
                    link.rung.take() || sleep.as_mut().poll(cx).is_ready() || stopped.as_mut().poll(cx).is_ready();
                if over { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        })
    }
}
