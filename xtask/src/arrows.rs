//! Which crate may use which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::Deserialize;

/// `(crate, what it may use directly)`; it may also use all that those may use. Crates that do not exist yet have their
/// place already.
const ARROWS: &[(&str, &[&str])] = &[
    ("world", &[]),
    ("matrix", &[]),
    ("store", &["world", "matrix"]),
    ("net", &["world", "matrix"]),
    ("rooms", &["store"]),
    ("users", &["rooms"]),
    ("push", &["users"]),
    ("federation", &["net", "store", "rooms", "users"]),
    ("addresses", &["net", "store", "rooms", "users"]),
    ("sync", &["rooms", "users", "push"]),
    ("followers", &["net", "rooms", "users", "push"]),
    ("media", &["net", "store", "users"]),
    ("identity", &["net", "store"]),
    ("http", &["federation", "sync", "followers", "media", "identity", "addresses"]),
    ("roost", &["http"]),
];

/// Crates of others that only some of ours may use: `(dependency, who)`.
const RESERVED: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("tokio-postgres", &["store"]),
    ("axum", &["http", "roost"]),
    ("getrandom", &["roost"]),
    ("mimalloc", &["roost"]),
    ("clap", &["roost", "bench"]),
];

/// What the pure crate must never see.
const IMPURE: &[&str] = &["tokio", "hyper", "axum", "rand", "getrandom", "futures-util", "tracing", "metrics"];

#[derive(Deserialize)]
struct Manifest {
    package: Package,
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
    #[serde(default, rename = "dev-dependencies")]
    dev_dependencies: BTreeMap<String, toml::Value>,
    #[serde(default, rename = "build-dependencies")]
    build_dependencies: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Deny {
    bans: Bans,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

/// Checks every manifest under `crates/` and the lock file; the error lists every arrow that is not allowed.
pub(crate) fn check() -> Result<(), String> {
    let root = crate::root();
    let mut wrong = Vec::new();
    let mut seen = 0;
    let mut folders: Vec<_> = fs::read_dir(root.join("crates"))
        .map_err(|error| format!("crates/: {error}"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("Cargo.toml").exists())
        .collect();
    folders.sort();
    for folder in folders {
        let manifest: Manifest = read(&folder.join("Cargo.toml"))?;
        wrong.extend(violations(&manifest));
        seen += 1;
    }
    wrong.extend(banned(&read(&root.join("Cargo.lock"))?, &read(&root.join("deny.toml"))?));
    if wrong.is_empty() {
        println!("arrows: {seen} crates, every arrow allowed");
        Ok(())
    } else {
        Err(format!("arrows: not allowed (see xtask/src/arrows.rs and deny.toml):\n  {}", wrong.join("\n  ")))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn violations(manifest: &Manifest) -> Vec<String> {
    let name = short(&manifest.package.name);
    let mut wrong = Vec::new();
    if name == "testkit" {
        return wrong;
    }
    let Some(allowed) = may_use(name) else {
        wrong.push(format!("{name} has no place in the house"));
        return wrong;
    };
    for dependency in manifest.dependencies.keys().chain(manifest.build_dependencies.keys()) {
        if let Some(own) = own(dependency) {
            if own == "testkit" {
                wrong.push(format!("{name} → testkit (it is a dev-dependency only)"));
            } else if !allowed.contains(own) {
                wrong.push(format!("{name} → {own}"));
            }
        }
        if name == "matrix" && IMPURE.contains(&dependency.as_str()) {
            wrong.push(format!("matrix → {dependency} (it does no I/O)"));
        }
        if let Some((_, who)) = RESERVED.iter().find(|(reserved, _)| reserved == dependency)
            && !who.contains(&name)
        {
            wrong.push(format!("{name} → {dependency} (only {} may)", who.join(", ")));
        }
    }
    for own in manifest.dev_dependencies.keys().filter_map(|dependency| own(dependency)) {
        if own != "testkit" && own != name && !allowed.contains(own) {
            wrong.push(format!("{name} → {own} (in tests, too, only through testkit)"));
        }
    }
    wrong
}

fn banned(lock: &Lock, deny: &Deny) -> Vec<String> {
    deny.bans
        .deny
        .iter()
        .filter(|banned| lock.package.iter().any(|package| package.name == banned.name))
        .map(|banned| format!("Cargo.lock has {}: {}", banned.name, banned.reason))
        .collect()
}

fn short(package: &str) -> &str {
    package.strip_prefix("roost-").unwrap_or(package)
}

/// The crate's short name when the dependency is one of ours.
fn own(dependency: &str) -> Option<&str> {
    (dependency == "roost" || dependency.starts_with("roost-")).then(|| short(dependency))
}

fn may_use(name: &str) -> Option<BTreeSet<&'static str>> {
    let (_, direct) = ARROWS.iter().find(|(known, _)| *known == name)?;
    let mut all = BTreeSet::new();
    let mut open: Vec<&'static str> = direct.to_vec();
    while let Some(next) = open.pop() {
        if all.insert(next)
            && let Some((_, more)) = ARROWS.iter().find(|(known, _)| *known == next)
        {
            open.extend(*more);
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        toml::from_str(text).expect("a manifest")
    }

    #[test]
    fn every_crate_of_the_house_has_its_arrows() {
        for (name, direct) in ARROWS {
            for used in *direct {
                assert!(may_use(used).is_some(), "{name} uses {used}, which has no place");
            }
            assert!(!may_use(name).expect("known").contains(name), "{name} is in a circle");
        }
    }

    #[test]
    fn the_store_never_sees_net_and_rooms_never_sees_net() {
        assert!(!may_use("store").expect("known").contains("net"));
        assert!(!may_use("rooms").expect("known").contains("net"));
    }

    #[test]
    fn an_arrow_against_the_grain_is_reported() {
        let upwards = manifest("[package]\nname = 'roost-rooms'\n[dependencies]\nroost-users = 1");
        assert_eq!(violations(&upwards), ["rooms → users"]);
        let indirect = manifest("[package]\nname = 'roost-sync'\n[dependencies]\nroost-matrix = 1");
        assert!(violations(&indirect).is_empty());
    }

    #[test]
    fn testkit_is_only_ever_a_dev_dependency() {
        let wrong = manifest("[package]\nname = 'roost-http'\n[dependencies]\nroost-testkit = 1");
        assert_eq!(violations(&wrong).len(), 1);
        let right = manifest("[package]\nname = 'roost-http'\n[dev-dependencies]\nroost-testkit = 1");
        assert!(violations(&right).is_empty());
    }

    #[test]
    fn the_event_crate_stays_pure_and_sql_stays_in_the_store() {
        let matrix = manifest("[package]\nname = 'roost-matrix'\n[dependencies]\ntokio = 1");
        assert_eq!(violations(&matrix).len(), 1);
        let http = manifest("[package]\nname = 'roost-http'\n[dependencies]\nrusqlite = 1");
        assert_eq!(violations(&http).len(), 1);
    }

    #[test]
    fn a_banned_package_in_the_lock_file_is_reported() {
        let lock: Lock = toml::from_str("[[package]]\nname = 'openssl'\nversion = '1'").expect("a lock file");
        let deny: Deny =
            toml::from_str("[bans]\ndeny = [{ crate = 'openssl', reason = 'one TLS stack' }]").expect("a deny file");
        assert_eq!(banned(&lock, &deny).len(), 1);
    }
}
