//! A hash of a set of pairs that does not depend on their order, and follows a change without looking at the rest.

use roost_world::World;
use sha2::{Digest, Sha256};

use crate::{Error, Store, params, statements};

statements! {
    KEEP = "INSERT INTO store_meta (name, value) VALUES ('state_hash_key', $1) ON CONFLICT DO NOTHING";
    KEY = "SELECT value FROM store_meta WHERE name = 'state_hash_key'";
}

/// Hashes pairs with a key of this database: the sum of 128 bits for each pair. Without the key nobody can choose events whose
/// sums are equal.
pub(super) struct SetHash(Sha256);

impl SetHash {
    pub(super) async fn open(store: &Store, world: &World) -> Result<Self, Error> {
        let new = world.random_text(43);
        let key: Option<String> = store
            .write(move |tx| {
                tx.execute(KEEP, params![&new])?;
                tx.one(KEY, params![], |row| row.get(0))
            })
            .await?;
        Ok(Self::new(&key.ok_or(Error::Inconsistent("the key of the state hash has vanished"))?))
    }

    fn new(key: &str) -> Self {
        // A whole block, so that a pair costs one.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key.bytes()) {
            *to = from;
        }
        Self(Sha256::new().chain_update(block))
    }

    /// What a pair adds.
    pub(super) fn pair(&self, key: i64, value: i64) -> u128 {
        let hash = self.0.clone().chain_update(key.to_be_bytes()).chain_update(value.to_be_bytes()).finalize();
        hash.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
    }

    /// The hash after a key's value has changed.
    pub(super) fn change(&self, hash: u128, key: i64, old: Option<i64>, new: Option<i64>) -> u128 {
        let hash = old.map_or(hash, |old| hash.wrapping_sub(self.pair(key, old)));
        new.map_or(hash, |new| hash.wrapping_add(self.pair(key, new)))
    }
}

/// A hash as two columns.
pub(super) fn split(hash: u128) -> (i64, i64) {
    let half = |part: u128| u64::try_from(part & u128::from(u64::MAX)).unwrap_or_default().cast_signed();
    (half(hash), half(hash >> 64))
}

pub(super) fn join(low: i64, high: i64) -> u128 {
    u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_the_pairs_and_the_key_and_not_on_their_order() {
        let (one, other) = (SetHash::new("one"), SetHash::new("other"));
        let sum = |hash: &SetHash, pairs: &[(i64, i64)]| {
            pairs.iter().fold(0, |sum, (key, value)| hash.change(sum, *key, None, Some(*value)))
        };
        assert_eq!(sum(&one, &[(1, 2), (3, 4)]), sum(&one, &[(3, 4), (1, 2)]));
        assert_ne!(sum(&one, &[(1, 2), (3, 4)]), sum(&one, &[(1, 4), (3, 2)]));
        assert_ne!(sum(&one, &[(1, 2)]), sum(&other, &[(1, 2)]));
        assert_eq!(one.change(sum(&one, &[(1, 2), (3, 4)]), 1, Some(2), None), sum(&one, &[(3, 4)]));
        let hash = sum(&one, &[(1, 2)]);
        let (low, high) = split(hash);
        assert_eq!(join(low, high), hash);
    }
}
