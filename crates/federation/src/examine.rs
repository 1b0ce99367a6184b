//! What happens on the way to a server, step by step.

#[cfg(test)]
mod tests;

use http::Method;
use roost_matrix::ids::ServerName;
use roost_net::{client::Limits, discovery::Step};
use serde_json::Value;

use crate::{Peers, keys::Answer};

/// What was found out about a server.
#[derive(Debug, Clone)]
pub struct Report {
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// Whether other servers can talk with it, as far as that can be seen from here.
    pub reachable: bool,
}

impl Peers {
    /// Finds a server, connects to it, and asks for its keys and its version.
    pub async fn examine(&self, server: &ServerName, now_ms: u64) -> Report {
        let explanation = self.discovery().explain(server).await;
        let mut steps = explanation.steps;
        let target = match explanation.target {
            Ok(target) => target,
            Err(error) => {
                steps.push(Step { asked: "where it is".to_owned(), found: Err(error.to_string()) });
                return Report { steps, reachable: false };
            }
        };
        let proof = format!("certificate for {}, Host {}", target.certificate_name(), target.authority());
        steps.push(Step { asked: "what is expected there".to_owned(), found: Ok(proof) });

        let limits = Limits::default();
        let path = "/_matrix/key/v2/server";
        let keys = self.ask_at(target.clone(), server, Method::GET, path, None, limits).await;
        let keys = keys.map_err(|error| error.to_string()).and_then(|json| {
            let answer = Answer::read(&json, server, now_ms).map_err(|error| error.to_string())?;
            if answer.valid_until <= now_ms {
                return Err("the keys are no longer valid".to_owned());
            }
            let names: Vec<_> = answer.keys.keys().map(String::as_str).collect();
            Ok(format!("{} key(s), rightly signed: {}", names.len(), names.join(", ")))
        });
        let reachable = keys.is_ok();
        steps.push(Step { asked: format!("GET {path}"), found: keys });

        let path = "/_matrix/federation/v1/version";
        let version = self.ask_at(target, server, Method::GET, path, None, limits).await;
        let version = version.map_err(|error| error.to_string()).and_then(|json| {
            let json: Value = serde_json::from_slice(&json).map_err(|_| "the answer is not JSON".to_owned())?;
            let text = |key: &str| json.pointer(&format!("/server/{key}")).and_then(Value::as_str).map(str::to_owned);
            let name = text("name").ok_or("it does not say what it is")?;
            // Others' texts go to a terminal.
            let shown = format!("{name} {}", text("version").unwrap_or_default());
            Ok(shown.chars().filter(|letter| !letter.is_control()).take(100).collect())
        });
        steps.push(Step { asked: format!("GET {path}"), found: version });
        Report { steps, reachable }
    }
}
