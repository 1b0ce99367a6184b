//! A stream that breaks when the other side takes nothing for too long.
//!
//! It lies right above the socket, below TLS: there each byte that goes out is seen. A client that reads slowly, but does read,
//! has all the time that it needs.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use roost_world::{BoxFuture, World};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module.
pub(super) struct Progress<S> {
    stream: S,
    world: World,
    limit: Duration,
    /// Set while something waits to be written.
    until: Option<BoxFuture<()>>,
}

impl<S> Progress<S> {
    pub(super) fn new(stream: S, limit: Duration, world: World) -> Self {
        Self { stream, world, limit, until: None }
    }

    /// Breaks off what has made no progress for too long.
    fn watch<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let until = self.until.get_or_insert_with(|| self.world.clock.sleep(self.limit));
        until.as_mut().poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        // A socket keeps nothing back, so this says nothing about progress when it is ready.
        if flushed.is_ready() { flushed } else { this.watch(flushed, cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        if shut.is_ready() { shut } else { this.watch(shut, cx) }
    }
}
