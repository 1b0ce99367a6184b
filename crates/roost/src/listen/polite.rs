//! A stream that gives hyper's own refusals a Matrix error for a body, and lets the other side read it.
//!
//! Requests that hyper can not parse (a head beyond all bounds, bytes that are no HTTP) never reach the router, and hyper
//! answers them with an empty body. And a connection that is closed while the client still sends is reset, so that the
//! client may never see why: therefore closing first says goodbye, and then reads on for a moment.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use roost_world::{BoxFuture, World};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long, and how many bytes of, a client may go on sending after the answer.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 4 << 20;

/// See the module.
pub(super) struct Polite<S> {
    stream: S,
    world: World,
    /// What stands in for hyper's refusal, and how much of it is written.
    instead: Vec<u8>,
    written: usize,
    closing: Closing,
}

enum Closing {
    Not,
    Flushing,
    Lingering { until: BoxFuture<()>, left: usize },
    Done,
}

impl<S> Polite<S> {
    pub(super) fn new(stream: S, world: World) -> Self {
        Self { stream, world, instead: Vec::new(), written: 0, closing: Closing::Not }
    }
}

/// The answer in place of hyper's bare refusal, if `head` is one. Answers of the router never have an empty body together
/// with such a status.
fn instead_of(head: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(head).ok()?;
    let status = text.strip_prefix("HTTP/1.1 4")?.get(..2)?;
    if !text.contains("\r\ncontent-length: 0\r\n") {
        return None;
    }
    let (line, code, message) = match status {
        "31" => ("431 Request Header Fields Too Large", "M_TOO_LARGE", "The request's headers are too large"),
        "14" => ("414 URI Too Long", "M_TOO_LARGE", "The request's path is too long"),
        "00" => ("400 Bad Request", "M_UNKNOWN", "The request is not valid HTTP"),
        _ => return None,
    };
    let body = format!(r#"{{"errcode":"{code}","error":"{message}"}}"#);
    let length = body.len();
    Some(
        format!(
            "HTTP/1.1 {line}\r\ncontent-type: application/json\r\naccess-control-allow-origin: *\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes(),
    )
}

impl<S: AsyncWrite + Unpin> Polite<S> {
    /// Writes what is left of a substituted answer.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.instead.get(self.written..).filter(|left| !left.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Polite<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Polite<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        if buf.starts_with(b"HTTP/1.1 4")
            && let Some(instead) = instead_of(buf)
        {
            this.instead = instead;
            this.written = 0;
            // Taken as written; flushing and closing wait until it really is.
            if let Poll::Ready(Err(error)) = this.poll_instead(cx) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal of hyper's is one piece.
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.closing {
                Closing::Not => {
                    ready!(this.poll_instead(cx))?;
                    this.closing = Closing::Flushing;
                }
                Closing::Flushing => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                    let until = this.world.clock.sleep(LINGER);
                    this.closing = Closing::Lingering { until, left: LINGER_BYTES };
                }
                Closing::Lingering { until, left } => {
                    let mut scratch = [0; 4096];
                    let mut buf = ReadBuf::new(&mut scratch);
                    match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                        Poll::Ready(Ok(())) if !buf.filled().is_empty() && *left > 0 => {
                            *left = left.saturating_sub(buf.filled().len());
                        }
                        Poll::Ready(_) => this.closing = Closing::Done,
                        Poll::Pending => {
                            ready!(until.as_mut().poll(cx));
                            this.closing = Closing::Done;
                        }
                    }
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::instead_of;

    #[test]
    fn a_bare_refusal_gets_a_matrix_error() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let instead = String::from_utf8(instead_of(bare).unwrap()).unwrap();
        let (head, body) = instead.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(body.contains("M_TOO_LARGE"));
    }

    #[test]
    fn answers_with_a_body_pass_untouched() {
        assert!(instead_of(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 20\r\n\r\n").is_none());
        assert!(instead_of(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_none());
    }
}
