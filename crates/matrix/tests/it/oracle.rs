//! Synapse's own event code, asked over a pipe.
//!
//! Needs a Python that has `matrix-synapse`, named by `ROOST_TEST_PYTHON`. Without it the tests that ask say on standard
//! error that they were skipped.

mod events;
mod rooms;

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

pub(crate) struct Oracle {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts the oracle. `None` when there is none; `test` is then named as skipped.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let Some(python) = std::env::var_os("ROOST_TEST_PYTHON").filter(|python| !python.is_empty()) else {
            // Not `eprintln!`, which the test harness hides.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED {test}: ROOST_TEST_PYTHON names no Python that has matrix-synapse"
            );
            return None;
        };
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/synapse_oracle.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ROOST_TEST_PYTHON can be run");
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Some(Self { child, requests, answers })
    }

    /// Asks one question. `Err` is what Synapse refused with.
    pub(crate) fn ask(&mut self, operation: &str, arguments: Value) -> Result<Value, String> {
        let mut request = arguments;
        request["op"] = json!(operation);
        let requests = self.requests.as_mut().expect("open until dropped");
        writeln!(requests, "{request}").expect("the oracle lives");
        requests.flush().expect("the oracle lives");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the oracle answers");
        let mut answer: Value =
            serde_json::from_str(&line).expect("the oracle answers with JSON; is matrix-synapse installed?");
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.requests = None;
        let _ = self.child.wait();
    }
}
