//! A connection that is driven by the thread that uses it: no other thread has to be woken for a statement.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use roost_world::World;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Row, Socket, tls::NoTlsStream};

use crate::Error;

/// What a part of a message answers.
#[derive(Debug)]
pub(super) enum Answer {
    Rows(Vec<Row>),
    Count(u64),
    Done,
}

/// Part of a message: a statement to send, and its answer.
pub(super) type Part<'a> = Pin<Box<dyn Future<Output = Result<Answer, tokio_postgres::Error>> + 'a>>;

pub(super) struct Link {
    pub(super) client: Client,
    connection: RefCell<Option<Connection<Socket, NoTlsStream>>>,
    /// Whether a notification has come.
    pub(super) rung: Cell<bool>,
}

impl Link {
    pub(super) fn connect(config: &Config, world: &World) -> Result<Self, Error> {
        let (client, connection) = block_on(world, config.connect(NoTls))?.map_err(Error::connecting)?;
        Ok(Self { client, connection: RefCell::new(Some(connection)), rung: Cell::new(false) })
    }

    /// Runs a future that waits for the connection.
    pub(super) fn drive<T>(&self, world: &World, future: impl Future<Output = T>) -> Result<T, Error> {
        let mut future = pin!(future);
        let driven = poll_fn(|cx| {
            // The first poll sends; the connection is polled to carry it, and may have the answer at once.
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(value);
            }
            self.turn(cx);
            future.as_mut().poll(cx)
        });
        block_on(world, driven)
    }

    /// Carries what there is to send and takes what has come.
    fn turn(&self, cx: &mut Context<'_>) {
        let mut slot = self.connection.borrow_mut();
        while let Some(connection) = &mut *slot {
            match connection.poll_message(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => self.rung.set(true),
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => tracing::debug!(%notice, "PostgreSQL"),
                Poll::Ready(Some(Ok(_))) => (),
                Poll::Ready(Some(Err(error))) => {
                    let error = Error::from(error);
                    tracing::warn!(%error, "a connection to the database broke");
                    *slot = None;
                }
                // Dropped, it ends whoever waits for an answer.
                Poll::Ready(None) => *slot = None,
            }
        }
    }

    /// Whether the connection is gone, as far as can be known without asking.
    pub(super) fn is_closed(&self, world: &World) -> bool {
        let looked = poll_fn(|cx| {
            self.turn(cx);
            Poll::Ready(())
        });
        block_on(world, looked).is_err() || self.connection.borrow().is_none()
    }

    /// Sends all parts without waiting in between, and collects the answers.
    pub(super) fn send(&self, world: &World, mut parts: Vec<Part<'_>>) -> Result<Vec<Result<Answer, Error>>, Error> {
        self.drive(world, async {
            let mut answers: Vec<Option<Result<Answer, tokio_postgres::Error>>> = Vec::with_capacity(parts.len());
            answers.resize_with(parts.len(), || None);
            // Polled once in order: that is what sends them.
            poll_fn(|cx| {
                for (part, answer) in parts.iter_mut().zip(&mut answers) {
                    if let Poll::Ready(ready) = part.as_mut().poll(cx) {
                        *answer = Some(ready);
                    }
                }
                Poll::Ready(())
            })
            .await;
            let mut all = Vec::with_capacity(parts.len());
            for (part, answer) in parts.into_iter().zip(answers) {
                let answer = match answer {
                    Some(answer) => answer,
                    None => part.await,
                };
                all.push(answer.map_err(Error::from));
            }
            all
        })
    }
}

/// Runs a future on this thread, which is one of the store's own.
pub(super) fn block_on<T>(world: &World, future: impl Future<Output = T>) -> Result<T, Error> {
    let mut value = None;
    {
        let mut running = pin!(async { value = Some(future.await) });
        world.executor.block_on(running.as_mut());
    }
    value.ok_or(Error::Closed)
}
