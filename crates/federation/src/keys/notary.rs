//! Answering for others: [querying keys through another
//! server](https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server).

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use roost_matrix::{ids::OwnedServerName, signing::sign_json};
use roost_store::remote_keys::{self, Answer};

use super::KeyRing;
use crate::Error;

/// How many servers one query can be about; more are not answered.
pub const MAX_SERVERS: usize = 100;

/// How many of them are asked at a time, when they have to be.
const AT_ONCE: usize = 8;

/// What somebody wants to know, by server.
pub type Query = BTreeMap<OwnedServerName, Criteria>;

/// What is wanted of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criteria {
    /// The identifiers of keys; without any, all keys are wanted.
    pub keys: Vec<String>,
    /// Until when the answer must be valid at least, in milliseconds since the epoch; left out, the present counts.
    pub valid_until: Option<u64>,
}

impl KeyRing {
    /// What servers have said of their keys, signed by this server, too. Servers that can not be reached and were never heard are
    /// missing; of those that can not be reached now, their last words are repeated.
    pub async fn answer_for(&self, query: Query) -> Result<Vec<String>, Error> {
        let answers = stream::iter(query.into_iter().take(MAX_SERVERS))
            .map(|(server, wanted)| self.answer_for_one(server, wanted))
            .buffered(AT_ONCE);
        let answers: Vec<_> = answers.collect().await;
        let answers: Result<Vec<Option<String>>, Error> = answers.into_iter().collect();
        Ok(answers?.into_iter().flatten().collect())
    }

    async fn answer_for_one(&self, server: OwnedServerName, wanted: Criteria) -> Result<Option<String>, Error> {
        let own = self.inner.own.identity();
        if server == own.server_name {
            return Ok(Some(self.own_answer()?));
        }
        let mut last = self.last(&server).await?;
        if !last.as_ref().is_some_and(|last| self.is_fresh(last, &wanted)) {
            // Nobody else is asked: two notaries could ask each other for ever.
            self.fetch_direct(&server).await;
            last = self.last(&server).await?;
        }
        let Some(last) = last else { return Ok(None) };
        let signed = sign_json(last.answer.as_bytes(), own.server_name.as_str(), &own.key)?;
        Ok(String::from_utf8(signed).ok())
    }

    async fn last(&self, server: &OwnedServerName) -> Result<Option<Answer>, Error> {
        let name = server.to_string();
        Ok(self.inner.store.read(move |read| remote_keys::answer(read, &name)).await?)
    }

    /// Whether an answer is what its server would most likely say now: within the first half of its life, valid for as long as
    /// somebody wants, and with the keys they ask for.
    fn is_fresh(&self, answer: &Answer, wanted: &Criteria) -> bool {
        let now = self.inner.world.now_ms();
        let half = answer.fetched_ms + answer.valid_until.saturating_sub(answer.fetched_ms) / 2;
        now < half && answer.valid_until >= wanted.valid_until.unwrap_or(now) && names_all(&answer.answer, &wanted.keys)
    }
}

/// Whether an answer names all of some keys.
fn names_all(answer: &str, keys: &[String]) -> bool {
    if keys.is_empty() {
        return true;
    }
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    keys.iter()
        .all(|key_id| ["verify_keys", "old_verify_keys"].iter().any(|member| answer[*member].get(key_id).is_some()))
}
