//! How many requests were answered, and how fast: by route, method and status.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use http::StatusCode;
use metrics::{Counter, Histogram};

/// The metrics of the HTTP layer. To find one again by its labels costs more than many a request, so they are kept; there
/// are no more than routes, methods and statuses allow.
#[derive(Default)]
pub(crate) struct Tallies(RwLock<HashMap<String, Vec<Tally>>>);

struct Tally {
    method: &'static str,
    status: StatusCode,
    answered: Counter,
    took: Histogram,
}

impl Tallies {
    /// Counts an answer.
    pub(crate) fn count(&self, route: &str, method: &'static str, status: StatusCode, took: Duration) {
        let same = |tally: &&Tally| tally.method == method && tally.status == status;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = known.get(route).and_then(|tallies| tallies.iter().find(same)) {
            return tally.count(took);
        }
        drop(known);
        let tally = Tally::new(route, method, status);
        tally.count(took);
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(route.to_owned()).or_default().push(tally);
    }
}

impl Tally {
    fn new(route: &str, method: &'static str, status: StatusCode) -> Self {
        let took = metrics::histogram!(
            "roost_http_request_duration_seconds", "method" => method, "route" => route.to_owned()
        );
        let answered = metrics::counter!(
            "roost_http_requests_total",
            "method" => method, "route" => route.to_owned(), "status" => status.as_str().to_owned()
        );
        Self { method, status, answered, took }
    }

    fn count(&self, took: Duration) {
        self.answered.increment(1);
        self.took.record(took.as_secs_f64());
    }
}
