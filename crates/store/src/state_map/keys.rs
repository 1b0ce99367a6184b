//! Keys of state, an event type with a state key, by their numbers. A pair keeps its number for ever.

use std::collections::{BTreeMap, HashMap};

use super::StateMaps;
use crate::{Error, Read, Sequence, StateKeyNo, params, statements, values};

statements! {
    FIND = "SELECT state_key, state_key_no FROM state_keys WHERE kind = $1 AND state_key IN texts($2)";
    NAMES = "SELECT state_key_no, kind, state_key FROM state_keys WHERE state_key_no IN ints($1)";
    INSERT = "INSERT INTO state_keys (state_key_no, kind, state_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
}

/// Pairs kept in memory.
const CACHED: usize = 100_000;

type Name = (Box<str>, Box<str>);

pub(super) struct Cache(quick_cache::sync::Cache<Name, StateKeyNo>);

impl Cache {
    pub(super) fn new() -> Self {
        Self(quick_cache::sync::Cache::new(CACHED))
    }
}

/// The numbers of pairs (event type, state key). Pairs without one are left out: no state has them.
pub fn find<'a>(
    read: &Read<'_>,
    pairs: &[(&'a str, &'a str)],
) -> Result<HashMap<(&'a str, &'a str), StateKeyNo>, Error> {
    let mut kinds: BTreeMap<&str, BTreeMap<&str, (&'a str, &'a str)>> = BTreeMap::new();
    for pair in pairs {
        kinds.entry(pair.0).or_default().insert(pair.1, *pair);
    }
    let mut found = HashMap::with_capacity(pairs.len());
    for (kind, keys) in kinds {
        let names: Vec<&str> = keys.keys().copied().collect();
        read.each(FIND, params![kind, &names], |row| {
            if let Some(pair) = keys.get(row.text(0)?.as_ref()) {
                found.insert(*pair, row.get(1)?);
            }
            Ok(true)
        })?;
    }
    Ok(found)
}

/// The pairs (event type, state key) of some numbers, in no order.
pub fn names(read: &Read<'_>, numbers: &[StateKeyNo]) -> Result<Vec<(StateKeyNo, String, String)>, Error> {
    read.all(NAMES, params![numbers], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

impl StateMaps {
    /// The numbers of pairs (event type, state key), in the order of the pairs. Those without one get one now.
    pub async fn intern_keys(&self, pairs: &[(&str, &str)]) -> Result<Vec<StateKeyNo>, Error> {
        let (store, cache) = (&self.0.store, &self.0.keys.0);
        let owned = |pair: &(&str, &str)| -> Name { (pair.0.into(), pair.1.into()) };
        let mut known: HashMap<Name, StateKeyNo> = HashMap::with_capacity(pairs.len());
        let mut missing: Vec<Name> = Vec::new();
        for name in pairs.iter().map(owned) {
            match cache.get(&name) {
                Some(number) => drop(known.insert(name, number)),
                None => missing.push(name),
            }
        }
        missing.sort();
        missing.dedup();
        let lookup = |read: &Read<'_>, missing: Vec<Name>| {
            let pairs: Vec<(&str, &str)> = missing.iter().map(|(kind, key)| (&**kind, &**key)).collect();
            let found = find(read, &pairs)?;
            Ok::<HashMap<Name, StateKeyNo>, Error>(
                found.into_iter().map(|(pair, number)| ((pair.0.into(), pair.1.into()), number)).collect(),
            )
        };
        if !missing.is_empty() {
            let wanted = missing.clone();
            known.extend(store.read(move |read| lookup(read, wanted)).await?);
            missing.retain(|name| !known.contains_key(name));
        }
        if !missing.is_empty() {
            let count = u32::try_from(missing.len()).map_err(|_| Error::Inconsistent("too many state keys at once"))?;
            let first = store.take_numbers(Sequence::StateKey, count).await?;
            let found = store
                .write(move |tx| {
                    let rows: Vec<_> =
                        (first..).zip(&missing).map(|(number, (kind, key))| values![number, kind, key]).collect();
                    tx.execute_many(INSERT, &rows)?;
                    lookup(tx, missing.clone())
                })
                .await?;
            known.extend(found);
        }
        let numbers = pairs.iter().map(owned).map(|name| {
            let number = *known.get(&name).ok_or(Error::Inconsistent("two state keys have one number"))?;
            cache.insert(name, number);
            Ok(number)
        });
        numbers.collect()
    }
}
