//! Running the binary.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output},
    time::Duration,
};

use tempfile::TempDir;

/// A folder to run `roost` in, with a port of its own.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) port: u16,
}

impl Place {
    pub(crate) fn new() -> Self {
        // The port is free when it is asked for, which is all that can be had without a race.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder: TempDir::new().unwrap(), port }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `roost` with arguments, in this folder, listening on this port.
    pub(crate) fn roost(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roost"));
        command.args(arguments).current_dir(self.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROOST_") {
                command.env_remove(name);
            }
        }
        command.env("ROOST_LISTEN", format!(r#"[{{"address": "127.0.0.1:{}"}}]"#, self.port));
        command.env("ROOST_PASSWORDS__MEMORY_KIB", "8").env("ROOST_PASSWORDS__ITERATIONS", "1");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.roost(arguments).output().unwrap()
    }

    /// Runs a server, and waits until it answers.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Running {
        self.serve_with(self.roost(arguments))
    }

    pub(crate) fn serve_with(&self, mut command: Command) -> Running {
        let out = self.path().join("out");
        command.stdout(File::create(&out).unwrap()).stderr(File::create(self.path().join("err")).unwrap());
        let mut child = command.spawn().unwrap();
        for _ in 0..500 {
            if get(self.port, "/_matrix/client/versions").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return Running { child, out };
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("roost ended with {status}: {}", std::fs::read_to_string(self.path().join("err")).unwrap());
            }
            pause();
        }
        drop(child.kill());
        panic!("roost does not answer: {}", std::fs::read_to_string(self.path().join("err")).unwrap());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("err")).unwrap()
    }
}

/// A server of this test.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
}

impl Running {
    pub(crate) fn printed(&self) -> String {
        // The greeting comes right after the first answer can.
        for _ in 0..100 {
            let text = std::fs::read_to_string(&self.out).unwrap();
            if text.contains("Data:") {
                return text;
            }
            pause();
        }
        panic!("no greeting");
    }

    /// Sends a signal and waits for the end; `None` when it takes longer than `limit`.
    pub(crate) fn end(mut self, signal: &str, limit: Duration) -> Option<ExitStatus> {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        for _ in 0..limit.as_millis() / 20 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            pause();
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// GET over a connection of its own; `None` when nobody listens.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    exchange(port, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
}

/// POST JSON over a connection of its own.
pub(crate) fn post(port: u16, path: &str, body: &str) -> Option<String> {
    let length = body.len();
    exchange(
        port,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

/// A request of a user.
pub(crate) fn send_as(port: u16, method: &str, path: &str, token: &str, body: &str) -> Option<String> {
    let length = body.len();
    exchange(
        port,
        &format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-length: {length}\r\n\r\n{body}"
        ),
    )
}

fn exchange(port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
