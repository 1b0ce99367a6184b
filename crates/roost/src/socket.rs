//! How commands speak to a running server: one JSON object a line over `data_dir/roost.sock`, which only the server's own
//! user can open.

use std::{io, os::unix::fs::PermissionsExt as _, path::Path};

use roost_world::Stop;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
};

use crate::{house::House, room};

/// The longest request, and the longest answer: the state of a large room is long.
const LINE: u64 = 64 * 1024;
const ANSWER: u64 = 256 * 1024 * 1024;

/// What a command wants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// An account.
    CreateUser {
        /// Localpart or user id.
        name: String,
        /// The password.
        password: String,
        /// Whether the user administers the server.
        admin: bool,
    },
    /// The list of background loops.
    Workers,
    /// Something about a room.
    Room(room::Request),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done(Value),
    Failed(String),
}

/// Opens the socket. The lock on the data directory is held, so what is left there belongs to nobody.
pub(crate) fn open(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers commands until `stop`.
pub(crate) async fn serve(listener: UnixListener, house: House, mut stop: Stop) {
    loop {
        tokio::select! {
            () = stop.wait() => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let house = house.clone();
                let executor = house.world.executor.clone();
                executor.spawn("command", Box::pin(async move {
                    if let Err(error) = converse(stream, &house).await {
                        tracing::debug!(%error, "a command went away");
                    }
                }));
            }
        }
    }
}

async fn converse(stream: UnixStream, house: &House) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LINE)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => house.answer(request).await.map_or_else(Answer::Failed, Answer::Done),
        Err(error) => Answer::Failed(format!("the server does not understand this command: {error}")),
    };
    let mut line = serde_json::to_vec(&answer).map_err(io::Error::other)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Asks the running server; `None` when there is none.
pub(crate) async fn ask(path: &Path, request: &Request) -> Option<Result<Value, String>> {
    let stream = UnixStream::connect(path).await.ok()?;
    Some(exchange(stream, request).await.map_err(|error| format!("the server hung up: {error}")).and_then(|answer| {
        match answer {
            Answer::Done(value) => Ok(value),
            Answer::Failed(problem) => Err(problem),
        }
    }))
}

async fn exchange(stream: UnixStream, request: &Request) -> io::Result<Answer> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(request).map_err(io::Error::other)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(read.take(ANSWER)).read_line(&mut answer).await?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}
