//! Asking for keys.

use std::{sync::Arc, time::Duration};

use http::Method;
use roost_matrix::{
    ids::{OwnedServerName, ServerName},
    signing::{KeyRing as _, ServerKey, verify_json},
};
use roost_net::client::Limits;
use roost_store::remote_keys::{self, RemoteKey};
use serde_json::{Map, Value, json, value::RawValue};

use super::{Answer, Failed, Inner, KeyRing, Known, ServerKeys, Want, answer::MAX_ANSWER};
use crate::Error;

/// How long a server is left alone after a first failure, and at most after repeated ones; each doubles the time.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How long a server that has answered is not asked again, whatever key is missing; in milliseconds.
const BREATHER_MS: u64 = 30_000;

/// How many servers one request to a notary is about.
const BATCH: usize = 100;

/// How long a server may take to say its keys, and a notary to say those of others.
const DIRECT: Limits = Limits { bytes: MAX_ANSWER, silence: Duration::from_secs(10), total: Duration::from_secs(20) };
const NOTARY: Limits = Limits { bytes: 8 << 20, silence: Duration::from_secs(30), total: Duration::from_secs(45) };

impl KeyRing {
    /// Asks a server itself; whether it has answered. Many who want that at once cause one request.
    pub(super) async fn fetch_direct(&self, server: &ServerName) -> bool {
        let (inner, asked) = (Arc::clone(&self.inner), server.to_owned());
        self.inner
            .direct
            .join(server.to_owned(), move || async move {
                match inner.ask_directly(&asked).await {
                    Ok(()) => true,
                    Err(error) => {
                        tracing::debug!(%error, server = %asked, "no keys from their server");
                        false
                    }
                }
            })
            .await
    }

    /// Asks a notary for keys of other servers.
    pub(super) async fn fetch_through(&self, notary: &ServerName, wants: &[Want]) {
        if self.inner.pauses(notary) || !self.can_check(notary).await {
            return;
        }
        let mut servers = Map::new();
        for want in wants {
            let keys = servers.entry(want.server.to_string()).or_insert_with(|| json!({}));
            let until = want.valid_at.min(self.inner.world.now_ms());
            if let Some(keys) = keys.as_object_mut() {
                let asked = keys.entry(want.key_id.clone()).or_insert_with(|| json!({ "minimum_valid_until_ts": 0 }));
                let until = until.max(asked["minimum_valid_until_ts"].as_u64().unwrap_or(0));
                asked["minimum_valid_until_ts"] = until.into();
            }
        }
        let mut servers = servers.into_iter().peekable();
        while servers.peek().is_some() {
            let batch: Map<String, Value> = servers.by_ref().take(BATCH).collect();
            let query = json!({ "server_keys": batch });
            let (inner, asked) = (Arc::clone(&self.inner), notary.to_owned());
            let key = (asked.clone(), query.to_string());
            let work = move || async move {
                if let Err(error) = inner.ask_notary(&asked, &query).await {
                    tracing::warn!(%error, notary = %asked, "no keys from a notary");
                    inner.failed(&asked);
                }
            };
            self.inner.batches.join(key, work).await;
        }
    }

    /// Whether the keys of a notary itself are at hand, so that its words can be checked.
    async fn can_check(&self, notary: &ServerName) -> bool {
        let now = self.inner.world.now_ms();
        let valid = |keys: &ServerKeys| keys.keys.values().any(|key| !key.expired && key.valid_until_ts > now);
        if self.inner.of(notary).await.is_ok_and(|keys| valid(&keys)) {
            return true;
        }
        self.fetch_direct(notary).await;
        self.inner.of(notary).await.is_ok_and(|keys| valid(&keys))
    }
}

impl Inner {
    pub(super) async fn ask_directly(&self, server: &ServerName) -> Result<(), Error> {
        let now = self.world.now_ms();
        let known = self.of(server).await?;
        if self.pauses(server) || now.saturating_sub(known.fetched_ms) < BREATHER_MS {
            return Err(Error::BackedOff { server: server.to_owned() });
        }
        // Never closed.
        let _permit = self.fetching.acquire().await.ok();
        let asked = self.peers.ask(server, Method::GET, "/_matrix/key/v2/server", None, DIRECT).await;
        let answer = asked.and_then(|json| {
            let keys = |source| Error::Keys { server: server.to_owned(), source };
            Answer::read(&json, server, self.world.now_ms()).map_err(keys)
        });
        match answer {
            Ok(answer) => {
                self.failed.remove(server);
                self.keep(server, answer, true).await
            }
            Err(error) => {
                self.failed(server);
                Err(error)
            }
        }
    }

    async fn ask_notary(&self, notary: &OwnedServerName, query: &Value) -> Result<(), Error> {
        let _permit = self.fetching.acquire().await.ok();
        let json = self.peers.ask(notary, Method::POST, "/_matrix/key/v2/query", Some(query), NOTARY).await?;
        let failed = |source| Error::Keys { server: notary.clone(), source };
        let answers = split(&json).ok_or(failed(super::AnswerError::Form("it has no server_keys")))?;
        let words = Known([(notary.clone(), self.of(notary).await?)].into());
        let now = self.world.now_ms();
        let checks = |id: &str| words.key(notary, id).filter(|key| !key.expired && key.valid_until_ts > now);
        for answer in answers {
            let answer = answer.get();
            // Only what was asked for is of interest, so that a notary can not fill the store.
            let about = serde_json::from_str::<Value>(answer).ok();
            let about = about.as_ref().and_then(|answer| answer["server_name"].as_str()).unwrap_or_default();
            let Ok(server) = <&ServerName>::try_from(about) else { continue };
            if query["server_keys"].get(about).is_none() {
                continue;
            }
            let checked = verify_json(answer.as_bytes(), notary.as_str(), |id| checks(id).map(|key| key.key))
                .map_err(super::AnswerError::from)
                .and_then(|()| Answer::read(answer.as_bytes(), server, now));
            match checked {
                Ok(answer) => self.keep(server, answer, false).await?,
                Err(error) => tracing::warn!(%error, %notary, %server, "a notary's answer is not to be believed"),
            }
        }
        Ok(())
    }

    /// Takes in what a server says, `direct`ly or through somebody else. Keys it no longer names stay.
    async fn keep(&self, server: &ServerName, answer: Answer, direct: bool) -> Result<(), Error> {
        let now = self.world.now_ms();
        let before = self.of(server).await?;
        let mut keys = before.keys.clone();
        let mut changed = Vec::new();
        for (key_id, key) in answer.keys {
            if keys.get(&key_id).is_some_and(|old| !is_news(old, &key, direct)) {
                continue;
            }
            changed.push(RemoteKey {
                key_id: key_id.clone(),
                public_key: key.key.to_bytes(),
                valid_until: key.valid_until_ts,
                expired: key.expired,
                fetched_ms: now,
            });
            keys.insert(key_id, key);
        }
        let row = remote_keys::Answer { answer: answer.json, valid_until: answer.valid_until, fetched_ms: now };
        let name = server.to_string();
        self.store
            .write(move |tx| {
                let last = remote_keys::answer(tx, &name)?;
                remote_keys::put(tx, &name, &changed)?;
                if last.is_none_or(|last| last.valid_until <= row.valid_until) {
                    remote_keys::put_answer(tx, &name, &row)?;
                }
                Ok::<_, roost_store::Error>(())
            })
            .await?;
        self.known.insert(server.to_owned(), Arc::new(ServerKeys { keys, fetched_ms: now }));
        Ok(())
    }

    /// Whether a server has failed and is left alone for now.
    pub(super) fn pauses(&self, server: &ServerName) -> bool {
        self.failed.get(server).is_some_and(|failed| self.world.clock.monotonic() < failed.until)
    }

    fn failed(&self, server: &ServerName) {
        let times = self.failed.get(server).map_or(0, |failed| failed.times);
        let pause = FIRST_PAUSE.saturating_mul(1 << times.min(10)).min(LONGEST_PAUSE);
        let until = self.world.clock.monotonic() + pause;
        self.failed.insert(server.to_owned(), Failed { until, times: times.saturating_add(1) });
    }
}

/// Whether what is said of a key now counts more than what was said before. An end that was announced stands, and an old answer
/// handed on by a notary is no news; a server's own word is, even when it promises less than before.
fn is_news(old: &ServerKey, new: &ServerKey, direct: bool) -> bool {
    match (old.expired, new.expired) {
        (true, false) => false,
        (false, true) => true,
        (true, true) => new.valid_until_ts < old.valid_until_ts,
        (false, false) if direct => new != old,
        (false, false) => new.valid_until_ts > old.valid_until_ts,
    }
}

fn split(json: &[u8]) -> Option<Vec<Box<RawValue>>> {
    let mut members: std::collections::HashMap<String, Box<RawValue>> = serde_json::from_slice(json).ok()?;
    serde_json::from_str(members.remove("server_keys")?.get()).ok()
}
