//! Lookups: which user an address belongs to.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#association-lookup>

use std::collections::{BTreeMap, HashSet};

use roost_matrix::{base64, ids::OwnedUserId};
use roost_store::{
    identity_associations::{self, Association, Hash},
    identity_peppers::{self, Phase},
};
use sha2::{Digest as _, Sha256};

use crate::{Error, Identity, Medium};

/// The longest pepper that is looked at, in bytes.
const MAX_PEPPER: usize = 255;

/// What clients need to know to ask: the pepper and the algorithms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashDetails {
    /// The pepper.
    pub pepper: String,
    /// The algorithms.
    pub algorithms: Vec<&'static str>,
}

/// The hash of an association with a pepper.
pub(crate) fn hash(association: &Association, pepper: &str) -> Hash {
    sha256(&association.address, &association.medium, pepper)
}

fn sha256(address: &str, medium: &str, pepper: &str) -> Hash {
    let mut digest = Sha256::new();
    for part in [address, " ", medium, " ", pepper] {
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

impl Identity {
    /// The pepper of today, and the algorithms of this server.
    pub async fn hash_details(&self) -> Result<HashDetails, Error> {
        let peppers = self.0.store.read(|read| Ok::<_, Error>(identity_peppers::list(read)?)).await?;
        let current = peppers.into_iter().rev().find(|pepper| pepper.phase == Phase::Current);
        let pepper = current.ok_or(Error::Unusable("the identity server has no pepper"))?.pepper;
        Ok(HashDetails { pepper, algorithms: self.algorithms() })
    }

    fn algorithms(&self) -> Vec<&'static str> {
        let plain = self.0.options.plain_lookups.then_some("none");
        ["sha256"].into_iter().chain(plain).collect()
    }

    /// Refuses a lookup that asks for more than one may.
    pub fn check_lookup(&self, addresses: &[String]) -> Result<(), Error> {
        let most = self.0.options.max_lookup;
        if addresses.len() > most { Err(Error::TooManyAddresses(most)) } else { Ok(()) }
    }

    /// The users behind those of some addresses that are bound, by the addresses as they were asked for.
    pub async fn lookup(
        &self,
        algorithm: &str,
        pepper: &str,
        addresses: Vec<String>,
    ) -> Result<BTreeMap<String, OwnedUserId>, Error> {
        self.check_lookup(&addresses)?;
        if !self.algorithms().contains(&algorithm) {
            return Err(Error::UnknownAlgorithm);
        }
        if pepper.len() > MAX_PEPPER {
            return Err(Error::InvalidPepper);
        }
        let (hashed, pepper) = (algorithm == "sha256", pepper.to_owned());
        metrics::counter!("roost_identity_looked_up_total").increment(u64::try_from(addresses.len()).unwrap_or(0));
        let read = self.0.store.read(move |read| {
            // The pepper and the hashes with it come from one snapshot: none of them can go in between.
            let known = identity_peppers::list(read)?
                .into_iter()
                .find(|known| known.pepper == pepper && matches!(known.phase, Phase::Current | Phase::Previous));
            let number = known.ok_or(Error::InvalidPepper)?.number;
            if hashed {
                let asked: Vec<Hash> = addresses.iter().filter_map(|address| decode(address)).collect();
                let wanted: HashSet<Hash> = asked.iter().copied().collect();
                let found = identity_associations::hashed(read, number, &asked)?;
                let found = found.into_iter().filter(|(hash, _)| wanted.contains(hash));
                return Ok(found.map(|(hash, user)| (base64::encode_url(&hash), user)).collect());
            }
            let mut mappings = BTreeMap::new();
            for medium in [Medium::Email, Medium::Msisdn] {
                let ending = format!(" {}", medium.as_str());
                let asked: Vec<String> =
                    addresses.iter().filter_map(|asked| asked.strip_suffix(&ending)).map(ToOwned::to_owned).collect();
                if !asked.is_empty() {
                    let found = identity_associations::plain(read, medium.as_str(), &asked)?;
                    mappings.extend(found.into_iter().map(|(address, user)| (address + &ending, user)));
                }
            }
            Ok::<_, Error>(mappings)
        });
        read.await
    }
}

/// A hash in exactly the one form that it has: else an answer would be under another name than the question.
fn decode(text: &str) -> Option<Hash> {
    if text.len() != 43 {
        return None;
    }
    let hash: Hash = base64::decode_url(text).ok()?.try_into().ok()?;
    (base64::encode_url(&hash) == text).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_of_the_specification_come_out() {
        for (address, medium, hash) in [
            ("alice@example.com", "email", "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc"),
            ("bob@example.com", "email", "LJwSazmv46n0hlMlsb_iYxI0_HXEqy_yj6Jm636cdT8"),
            ("18005552067", "msisdn", "nlo35_T5fzSGZzJApqu8lgIudJvmOQtDaHtr-I4rU7I"),
        ] {
            assert_eq!(base64::encode_url(&sha256(address, medium, "matrixrocks")), hash);
            assert_eq!(decode(hash), Some(sha256(address, medium, "matrixrocks")));
        }
    }

    #[test]
    fn a_hash_in_any_other_form_is_none() {
        let hash = "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc";
        for wrong in ["", "alice@example.com email", &hash[..42], &format!("{hash}="), &hash.replace('c', "d")] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        assert_eq!(decode("nlo35/T5fzSGZzJApqu8lgIudJvmOQtDaHtr+I4rU7I"), None, "the other alphabet");
    }
}
