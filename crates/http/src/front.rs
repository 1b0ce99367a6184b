//! What every listener has, whatever it serves.

use std::{ops::Deref, sync::Arc, time::Duration};

use http::HeaderName;
use roost_world::{BoxFuture, Workers, World};

use crate::{limits::Limits, tallies::Tallies};

/// What every listener has, whatever it serves: a shared [`FrontParts`], and the metrics.
#[derive(Clone)]
pub struct Front(Arc<Inner>);

struct Inner {
    parts: FrontParts,
    tallies: Tallies,
}

/// Asks the database a small question; the error is for the log.
pub type Ready = dyn Fn() -> BoxFuture<Result<(), String>> + Send + Sync;

/// The parts of a [`Front`].
pub struct FrontParts {
    /// Time, chance and execution.
    pub world: World,
    /// The background loops; long polls watch their stop signal.
    pub workers: Workers,
    /// What the configuration says about requests.
    pub settings: FrontSettings,
    /// The rate limits.
    pub limits: Limits,
    /// Whether the database answers.
    pub ready: Box<Ready>,
    /// Writes the metrics in Prometheus' text format, when there is a recorder.
    pub metrics_text: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

/// What the configuration says about requests.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// The largest accepted request body, in bytes.
    pub max_body: usize,
    /// The longest a request body may take to arrive.
    pub body_timeout: Duration,
    /// The largest accepted request head (URI and headers), in bytes.
    pub max_head: usize,
    /// The header in which a trusted proxy names the client's address.
    pub client_address_header: Option<HeaderName>,
    /// Whether every answered request is logged, and not only the failed ones.
    pub log_requests: bool,
}

impl Front {
    /// Shares `parts`.
    #[must_use]
    pub fn new(parts: FrontParts) -> Self {
        Self(Arc::new(Inner { parts, tallies: Tallies::default() }))
    }

    /// How many requests were answered, and how fast.
    pub(crate) fn tallies(&self) -> &Tallies {
        &self.0.tallies
    }
}

impl Deref for Front {
    type Target = FrontParts;

    fn deref(&self) -> &FrontParts {
        &self.0.parts
    }
}
