//! A mail server that keeps what it is given.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use crate::server::runtime;

/// A mail as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and body, lines ended by `\n`, with quoted-printable undone.
    pub text: String,
}

#[derive(Default)]
struct Inner {
    letters: Mutex<Vec<Letter>>,
    refuses: AtomicBool,
}

/// A mail server on a free port of 127.0.0.1. It ends when it is dropped.
pub struct Mailbox {
    address: SocketAddr,
    inner: Arc<Inner>,
    running: AbortHandle,
}

impl Mailbox {
    /// Opens one.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn open() -> Self {
        let open = async { TcpListener::bind("127.0.0.1:0").await.expect("a free port") };
        let listener = runtime().spawn(open).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::<Inner>::default();
        let kept = Arc::clone(&inner);
        let running = runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&kept);
                runtime().spawn(async move {
                    // Whoever hangs up has sent no mail.
                    let _ = converse(stream, &inner).await;
                });
            }
        });
        Self { address, inner, running: running.abort_handle() }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What has arrived so far.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.inner.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last one that has arrived.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn last(&self) -> Letter {
        self.letters().pop().expect("a mail")
    }

    /// Whether it refuses every recipient from now on.
    pub fn refuse(&self, refuses: bool) {
        self.inner.refuses.store(refuses, Ordering::SeqCst);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn converse(stream: TcpStream, inner: &Inner) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.test\r\n").await?;
    let mut letter = Letter { from: String::new(), to: Vec::new(), text: String::new() };
    let mut data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end_matches(['\r', '\n']);
        let command = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let address =
            || line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(address, _)| address);
        let answer = if data {
            if line != "." {
                letter.text.push_str(line.strip_prefix('.').unwrap_or(line));
                letter.text.push('\n');
                continue;
            }
            data = false;
            letter.text = unquoted(&letter.text);
            inner.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter.clone());
            "250 taken"
        } else {
            match command.as_str() {
                "EHLO" => "250-mail.test\r\n250-SMTPUTF8\r\n250 8BITMIME",
                "MAIL" => {
                    letter = Letter { from: address().to_owned(), to: Vec::new(), text: String::new() };
                    "250 fine"
                }
                "RCPT" if inner.refuses.load(Ordering::SeqCst) => "550 nobody of that name",
                "RCPT" => {
                    letter.to.push(address().to_owned());
                    "250 fine"
                }
                "DATA" => {
                    data = true;
                    "354 go on"
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").await?;
                    return Ok(());
                }
                _ => "500 what",
            }
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// Undoes quoted-printable, as far as ASCII needs it.
fn unquoted(text: &str) -> String {
    text.replace("=\n", "").replace("=3D", "=").replace("=0A", "\n")
}
