//! `/.well-known/matrix/server`, asked and remembered.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, header};
use quick_cache::sync::Cache;
use roost_world::World;
use serde_json::Value;

use super::split;
use crate::{
    Error,
    client::{Client, Limits, Request},
    flights::Flights,
};

/// How many answers are remembered.
const CACHED: usize = 10_000;

/// The longest answer that is read, in bytes.
const MAX_BODY: u64 = 50 * 1024;

/// How many redirects are followed.
const REDIRECTS: u8 = 5;

/// How long an answer is remembered that does not say for how long.
const USUAL: Duration = Duration::from_secs(24 * 3600);

/// The longest and the shortest time for which an answer is remembered, whatever it says.
const LONGEST: Duration = Duration::from_secs(48 * 3600);
const SHORTEST: Duration = Duration::from_secs(5 * 60);

/// How long a first failure is remembered, and the longest for repeated ones; each doubles the time.
const FAILURE: Duration = Duration::from_secs(5 * 60);
const LONGEST_FAILURE: Duration = Duration::from_secs(3600);

/// The server delegated to, or why there is none.
type Answer = Result<String, String>;

#[derive(Clone)]
struct Known {
    answer: Answer,
    until: Duration,
    failures: u32,
}

pub(super) struct WellKnown {
    client: Client,
    known: Arc<Cache<String, Known>>,
    running: Flights<String, Answer>,
    world: World,
}

impl WellKnown {
    pub(super) fn new(client: Client, world: World) -> Self {
        Self { client, known: Arc::new(Cache::new(CACHED)), running: Flights::default(), world }
    }

    /// What a host says, now or a while ago. Many who ask at once cause one request.
    pub(super) async fn ask(&self, host: &str) -> Answer {
        let known = self.known.get(host);
        if let Some(known) = &known
            && self.world.clock.monotonic() < known.until
        {
            return known.answer.clone();
        }
        let failures = known.map_or(0, |known| known.failures);
        let (client, cache, world) = (self.client.clone(), Arc::clone(&self.known), self.world.clone());
        let asked = host.to_owned();
        self.running
            .join(host.to_owned(), move || async move {
                let known = remember(fetch(&client, &asked, &world).await, failures, world.clock.monotonic());
                let answer = known.answer.clone();
                cache.insert(asked, known);
                answer
            })
            .await
    }
}

fn remember(fetched: Result<(String, Duration), String>, failures: u32, now: Duration) -> Known {
    match fetched {
        Ok((delegated, keep)) => Known { answer: Ok(delegated), until: now + keep, failures: 0 },
        Err(problem) => {
            let keep = FAILURE.saturating_mul(1 << failures.min(10)).min(LONGEST_FAILURE);
            Known { answer: Err(problem), until: now + keep, failures: failures.saturating_add(1) }
        }
    }
}

async fn fetch(client: &Client, host: &str, world: &World) -> Result<(String, Duration), String> {
    let limits = Limits { bytes: MAX_BODY, silence: Duration::from_secs(10), total: Duration::from_secs(20) };
    let request = Request::to_url(Method::GET, &format!("https://{host}/.well-known/matrix/server"))
        .map_err(text)?
        .limits(limits)
        .follow(REDIRECTS);
    let response = client.send(request).await.map_err(text)?;
    if response.status != http::StatusCode::OK {
        return Err(format!("the status is {}", response.status.as_u16()));
    }
    let keep = lifetime(&response.headers, world.now_ms());
    // It is JSON whatever its content type says.
    let body = response.body.collect().await.map_err(text)?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| "the answer is not JSON".to_owned())?;
    let delegated = body.get("m.server").and_then(Value::as_str).ok_or("there is no m.server in it")?;
    if split(delegated).is_none() {
        let shown: String = delegated.chars().take(100).collect();
        return Err(format!("m.server is {shown:?}, which is no server name"));
    }
    Ok((delegated.to_owned(), keep))
}

fn text(error: impl Into<Error>) -> String {
    error.into().to_string()
}

/// How long an answer says that it holds, within bounds.
fn lifetime(headers: &HeaderMap, now_ms: u64) -> Duration {
    let directives = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase());
    let (mut stale, mut age) = (false, None);
    for directive in directives {
        match directive.split_once('=') {
            None => stale |= directive == "no-store" || directive == "no-cache",
            Some(("max-age", seconds)) => age = age.or_else(|| seconds.trim_matches('"').parse().ok()),
            Some(_) => {}
        }
    }
    let number = |name| headers.get(name).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let lifetime = match age {
        _ if stale => Duration::ZERO,
        Some(seconds) => {
            Duration::from_secs(seconds).saturating_sub(Duration::from_secs(number(header::AGE).unwrap_or(0)))
        }
        None => match headers.get(header::EXPIRES) {
            None => USUAL,
            // What is no date has expired already, by HTTP's rules.
            Some(date) => date
                .to_str()
                .ok()
                .and_then(|date| httpdate::parse_http_date(date).ok())
                .and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok())
                .map_or(Duration::ZERO, |date| date.saturating_sub(Duration::from_millis(now_ms))),
        },
    };
    lifetime.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(headers: &[(&'static str, &str)]) -> u64 {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        // 1 January 2030.
        lifetime(&headers, 1_893_456_000_000).as_secs()
    }

    #[test]
    fn an_answer_is_kept_for_as_long_as_it_says_within_bounds_and_a_day_without_a_word() {
        assert_eq!(kept(&[]), 24 * 3600);
        assert_eq!(kept(&[("cache-control", "public, max-age=7200")]), 7200);
        assert_eq!(kept(&[("cache-control", "Max-Age=\"7200\""), ("age", "3200")]), 4000);
        assert_eq!(kept(&[("cache-control", "max-age=0")]), 300);
        assert_eq!(kept(&[("cache-control", "no-store, max-age=7200")]), 300);
        assert_eq!(kept(&[("cache-control", "max-age=99999999999999")]), 48 * 3600);
        assert_eq!(kept(&[("expires", "Tue, 01 Jan 2030 02:00:00 GMT")]), 7200);
        assert_eq!(kept(&[("expires", "Tue, 01 Jan 2030 02:00:00 GMT"), ("cache-control", "max-age=600")]), 600);
        assert_eq!(kept(&[("expires", "0")]), 300);
        assert_eq!(kept(&[("cache-control", "max-age=soon")]), 24 * 3600);
    }

    #[test]
    fn repeated_failures_are_remembered_for_longer_up_to_an_hour() {
        let (mut failures, mut times) = (0, Vec::new());
        for _ in 0..6 {
            let known = remember(Err("broken".to_owned()), failures, Duration::ZERO);
            failures = known.failures;
            times.push(known.until.as_secs());
        }
        assert_eq!(times, [300, 600, 1200, 2400, 3600, 3600]);
        assert_eq!(remember(Ok(("a".to_owned(), USUAL)), failures, Duration::ZERO).failures, 0);
        assert_eq!(remember(Err(String::new()), u32::MAX, Duration::ZERO).until, LONGEST_FAILURE);
    }
}
