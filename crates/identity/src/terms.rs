//! The terms of service, and who has accepted them.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#terms-of-service>

use std::collections::BTreeMap;

use roost_store::identity_accounts;
use serde_json::{Map, Value, json};

use crate::{Account, Error, Identity};

/// A policy that users have to accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its id, such as `privacy_policy`.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its name and its URL in each language, by the language's code.
    pub languages: BTreeMap<String, PolicyText>,
}

/// A policy in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    /// What it is called.
    pub name: String,
    /// Where it can be read; other versions and languages have other URLs.
    pub url: String,
}

impl Identity {
    /// All policies, as `GET /terms` answers them.
    #[must_use]
    pub fn terms(&self) -> Value {
        let policies = self.0.options.policies.iter().map(|policy| {
            let texts = policy.languages.iter().map(|(language, text)| {
                // A language can not hide the version.
                (language.clone(), json!({ "name": text.name, "url": text.url }))
            });
            let mut object: Map<String, Value> = texts.collect();
            object.insert("version".to_owned(), policy.version.as_str().into());
            (policy.id.clone(), Value::Object(object))
        });
        Value::Object(policies.collect())
    }

    /// Refuses who has yet to accept a policy. One language of it is enough.
    pub async fn check_terms(&self, account: &Account) -> Result<(), Error> {
        let urls = self.urls();
        if urls.is_empty() {
            return Ok(());
        }
        let user = account.user_id.clone();
        let accepted = self.0.store.read(move |read| Ok::<_, Error>(identity_accounts::accepted(read, &user, &urls)?));
        let accepted = accepted.await?;
        let has_accepted = |policy: &Policy| policy.languages.values().any(|text| accepted.contains(&text.url));
        if self.0.options.policies.iter().all(has_accepted) { Ok(()) } else { Err(Error::TermsNotSigned) }
    }

    /// Notes what a user accepts, beside what was accepted before. URLs that belong to no policy of today mean nothing and
    /// are not kept.
    pub async fn accept_terms(&self, account: &Account, urls: &[String]) -> Result<(), Error> {
        let known: Vec<String> = self.urls().into_iter().filter(|url| urls.contains(url)).collect();
        if known.is_empty() {
            return Ok(());
        }
        let (user, now) = (account.user_id.clone(), self.0.world.now_ms());
        self.0.store.write(move |tx| Ok(identity_accounts::accept(tx, &user, &known, now)?)).await
    }

    fn urls(&self) -> Vec<String> {
        let texts = self.0.options.policies.iter().flat_map(|policy| policy.languages.values());
        texts.map(|text| text.url.clone()).collect()
    }
}
