//! How commands speak to a running server: one JSON object a line over `data_dir/roost.sock`, which only the server's own
//! user can open.

use std::{
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

use roost_world::Stop;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
};

use crate::house::House;

/// The longest line.
const LINE: u64 = 64 * 1024;

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
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done(Value),
    Failed(String),
}

/// Opens the socket. The lock on the data directory is held, so what is left there belongs to nobody.
///
/// It is made in a folder that nobody else can enter and moved from there once it has its mode: a socket begins with what the
/// process's umask leaves it, and there is to be no moment in which others can open it.
pub(crate) fn open(path: &Path) -> io::Result<UnixListener> {
    // Not longer than the socket's own name, which has to fit into a short field of the kernel's.
    let folder = path.with_file_name(".new");
    let new = folder.join("sock");
    absent(std::fs::remove_file(&new))?;
    absent(std::fs::remove_dir(&folder))?;
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    std::fs::remove_dir(&folder)?;
    Ok(listener)
}

/// What is not there needs no removing.
fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
    BufReader::new(read.take(LINE)).read_line(&mut answer).await?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_replaces_what_was_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roost.sock");
        for left in ["nothing", "a socket", "an interrupted start"] {
            if left == "an interrupted start" {
                std::fs::create_dir(folder.path().join(".new")).unwrap();
                std::fs::write(folder.path().join(".new/sock"), "").unwrap();
            }
            let listener = open(&path).unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{left}");
            let (asked, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
            assert!(asked.is_ok() && accepted.is_ok(), "{left}");
            let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
            assert_eq!(names, ["roost.sock"], "{left}");
        }
    }

    #[tokio::test]
    async fn the_socket_is_made_where_nobody_else_can_enter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roost.sock");
        // What stands in the way of moving it stops it where it is made.
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("file"), "").unwrap();
        assert!(open(&path).is_err());
        assert!(folder.path().join(".new/sock").exists());
        let mode = std::fs::metadata(folder.path().join(".new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
