//! `/etc/hosts`, which comes before DNS.

use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// More of the file is not read.
const MAX_FILE: u64 = 4 << 20;

type Names = HashMap<String, Vec<IpAddr>>;

/// When a file was changed last, and its length.
pub(super) type Stamp = Option<(SystemTime, u64)>;

/// A file's stamp; none when there is no such file.
pub(super) fn stamp(path: &std::path::Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The file, read again whenever it has changed.
pub(super) struct Hosts {
    path: PathBuf,
    read: Mutex<(Stamp, Arc<Names>)>,
}

impl Hosts {
    /// Nothing is read before the first lookup.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// The addresses that the file gives a name, in its order. `localhost` is this machine, whatever the file says.
    pub(super) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if let Some(found) = self.names().get(&host) {
            return found.clone();
        }
        if host == "localhost" || host.ends_with(".localhost") {
            return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        Vec::new()
    }

    fn names(&self) -> Arc<Names> {
        let now = stamp(&self.path);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != now {
            *read = (now, Arc::new(self.parse()));
        }
        Arc::clone(&read.1)
    }

    fn parse(&self) -> Names {
        let mut bytes = Vec::new();
        if let Ok(file) = fs::File::open(&self.path)
            && let Err(error) = file.take(MAX_FILE).read_to_end(&mut bytes)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot be read");
        }
        let mut names = Names::new();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            // Addresses with a zone (`fe80::1%eth0`) are of no use without their interface.
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                let addresses = names.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default();
                if addresses.len() < super::MAX_RECORDS && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_is_honoured_and_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let hosts = Hosts::new(path.clone());
        assert!(hosts.addresses("peer.example").is_empty(), "without a file");
        fs::write(&path, "# comment\n192.0.2.1 Peer.example peer # more\n2001:db8::1\tpeer.example\nnonsense x\n")
            .unwrap();
        assert_eq!(
            hosts.addresses("PEER.example."),
            ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]
        );
        assert_eq!(hosts.addresses("peer"), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        fs::write(&path, "192.0.2.77 peer.example\n").unwrap();
        assert_eq!(hosts.addresses("peer.example"), ["192.0.2.77".parse::<IpAddr>().unwrap()]);
        assert!(hosts.addresses("peer").is_empty());
    }

    #[test]
    fn localhost_is_this_machine_even_without_a_hosts_file() {
        let hosts = Hosts::new(PathBuf::from("/nowhere/hosts"));
        assert!(hosts.addresses("localhost").iter().all(IpAddr::is_loopback));
        assert_eq!(hosts.addresses("a.localhost").len(), 2);
        assert!(hosts.addresses("notlocalhost").is_empty());
    }
}
