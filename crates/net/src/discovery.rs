//! [Server discovery](https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names): from a server's name to where
//! to connect, what the certificate there must prove and what the Host header says.

mod well_known;

#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, sync::Arc};

use roost_matrix::ids::{ServerName, is_server_name};
use roost_world::World;

use self::well_known::WellKnown;
use crate::{
    Error,
    client::{Candidate, Client, Host, Target},
    network::{Network, Service},
};

/// Where a homeserver is when nothing says otherwise.
const PORT: u16 = 8448;

/// One step of the way from a name to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was asked.
    pub asked: String,
    /// What came of it, or why nothing.
    pub found: Result<String, String>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Ok(found) => write!(f, "{}: {found}", self.asked),
            Err(problem) => write!(f, "{}: no: {problem}", self.asked),
        }
    }
}

/// How a name was resolved.
#[derive(Debug)]
pub struct Explanation {
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// Where they lead.
    pub target: Result<Target, Error>,
}

/// Finds servers. Cheap to clone; clones share what is cached.
#[derive(Clone)]
pub struct Discovery {
    network: Arc<dyn Network>,
    well_known: Arc<WellKnown>,
    world: World,
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Discovery")
    }
}

impl Discovery {
    /// Knows nothing yet. `client` must check certificates.
    #[must_use]
    pub fn new(client: Client, network: Arc<dyn Network>, world: World) -> Self {
        Self { network, well_known: Arc::new(WellKnown::new(client, world.clone())), world }
    }

    /// Where a server is. Whether it is there, nobody has asked yet.
    pub async fn find(&self, server: &ServerName) -> Result<Target, Error> {
        self.explain(server).await.target
    }

    /// The same with every step on the way.
    pub async fn explain(&self, server: &ServerName) -> Explanation {
        let mut steps = Vec::new();
        let target = self.resolve(server.as_str(), &mut steps).await;
        Explanation { steps, target }
    }

    async fn resolve(&self, name: &str, steps: &mut Vec<Step>) -> Result<Target, Error> {
        let (host, port) = split(name).ok_or_else(|| Error::ServerName(name.to_owned()))?;
        // Steps 1 and 2.
        let host = match direct(&host, port, name, steps) {
            Some(target) => return target,
            None => host.to_string(),
        };
        // Step 3.
        let asked = format!("https://{host}/.well-known/matrix/server");
        let delegated = self.well_known.ask(&host).await;
        steps.push(Step { asked, found: delegated.clone() });
        let Ok(delegated) = delegated else {
            return self.by_service(&host, steps).await;
        };
        // It was checked when it was fetched.
        let (host, port) = split(&delegated).ok_or_else(|| Error::ServerName(delegated.clone()))?;
        match direct(&host, port, &delegated, steps) {
            Some(target) => target,
            None => self.by_service(&host.to_string(), steps).await,
        }
    }

    /// SRV records, then the usual port: steps 3.3 to 3.5 and 4 to 6.
    async fn by_service(&self, host: &str, steps: &mut Vec<Step>) -> Result<Target, Error> {
        let certificate = Host::Name(host.to_owned());
        for service in ["_matrix-fed._tcp", "_matrix._tcp"] {
            let asked = format!("SRV {service}.{host}");
            let services = match self.network.services(&format!("{service}.{host}")).await {
                Ok(services) if services.is_empty() => {
                    steps.push(Step { asked, found: Err("there are no such records".to_owned()) });
                    continue;
                }
                Ok(services) => services,
                Err(error) => {
                    // Going on costs a try and no safety: the certificate is for the same name on every way.
                    steps.push(Step { asked, found: Err(error.to_string()) });
                    continue;
                }
            };
            if services.iter().all(|service| service.target.is_empty()) {
                steps.push(Step { asked, found: Err("the domain declares that no homeserver is there".to_owned()) });
                return Err(Error::NoService(host.to_owned()));
            }
            let candidates: Vec<_> = in_order(services, &self.world)
                .into_iter()
                .filter(|service| !service.target.is_empty())
                .map(|service| Candidate { host: Host::Name(service.target), port: service.port })
                .collect();
            let found = candidates.iter().map(Candidate::to_string).collect::<Vec<_>>().join(", ");
            steps.push(Step { asked, found: Ok(found) });
            return Target::tls(candidates, &certificate, host.to_owned());
        }
        let candidate = Candidate { host: certificate.clone(), port: PORT };
        steps.push(Step { asked: "the usual port".to_owned(), found: Ok(candidate.to_string()) });
        Target::tls(vec![candidate], &certificate, host.to_owned())
    }
}

/// A name that says itself where to go: steps 1, 2, 3.1 and 3.2.
fn direct(host: &Host, port: Option<u16>, name: &str, steps: &mut Vec<Step>) -> Option<Result<Target, Error>> {
    let (asked, port) = match (host, port) {
        (Host::Address(_), port) => ("the name is an address", port.unwrap_or(PORT)),
        (Host::Name(_), Some(port)) => ("the name has a port", port),
        (Host::Name(_), None) => return None,
    };
    let candidate = Candidate { host: host.clone(), port };
    steps.push(Step { asked: asked.to_owned(), found: Ok(candidate.to_string()) });
    Some(Target::tls(vec![candidate], host, name.to_ascii_lowercase()))
}

/// The parts of a [server name](https://spec.matrix.org/v1.19/appendices/#server-name).
fn split(name: &str) -> Option<(Host, Option<u16>)> {
    if !is_server_name(name) {
        return None;
    }
    // After the last colon there is a port, unless that colon is one of an IPv6 address.
    let (host, port) = match name.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (name, None),
    };
    let host = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(host.to_ascii_lowercase()),
    };
    Some((host, port))
}

/// SRV records in the order to try: by priority, and within one drawn by weight, as
/// [RFC 2782](https://www.rfc-editor.org/rfc/rfc2782) has it.
fn in_order(mut services: Vec<Service>, world: &World) -> Vec<Service> {
    services.sort_by_key(|service| (service.priority, service.weight));
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(first) = services.first().map(|service| service.priority) {
        let group = services.partition_point(|service| service.priority == first);
        let total: u64 = services.iter().take(group).map(|service| u64::from(service.weight)).sum();
        let mut drawn = u64::from_le_bytes(world.random_bytes()) % (total + 1);
        let chosen = services.iter().take(group).position(|service| {
            let weight = u64::from(service.weight);
            let hit = drawn <= weight;
            drawn = drawn.saturating_sub(weight);
            hit
        });
        ordered.push(services.remove(chosen.unwrap_or(0)));
    }
    ordered
}
