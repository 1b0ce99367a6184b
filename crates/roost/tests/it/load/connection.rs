//! A blocking HTTP client: one connection, kept open, and an error when the server is gone.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

pub(crate) struct Connection {
    port: u16,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, stream: None }
    }

    /// Sends JSON (`null`: nothing) and reads JSON. After an error nobody knows what became of the request.
    pub(crate) fn call(&mut self, method: &str, path: &str, token: &str, body: &Value) -> io::Result<(u16, Value)> {
        let result = self.exchange(method, path, token, body);
        if result.is_err() {
            self.stream = None;
        }
        result
    }

    fn exchange(&mut self, method: &str, path: &str, token: &str, body: &Value) -> io::Result<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{authorization}\r\n{body}"
        );
        if self.stream.is_none() {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            self.stream = Some(BufReader::new(stream));
        }
        let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(gone)?;
        let mut length = None;
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(gone());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
        let mut answer = vec![0; length.expect("every answer says how long it is")];
        stream.read_exact(&mut answer)?;
        Ok((status, serde_json::from_slice(&answer).expect("every answer is JSON")))
    }
}
