//! What a server's processes cost: processor time and resident memory, read from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The kernel counts processor time for `/proc` in hundredths of a second on every Linux architecture.
const TICK: Duration = Duration::from_millis(10);

/// The processes that serve one target: those named or found, and whatever descends from them.
#[derive(Clone, Default)]
pub(crate) struct Processes {
    roots: Vec<u32>,
}

/// Memory of a target, in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident memory of the first process, which is the homeserver itself.
    pub(crate) server: u64,
    /// Proportional memory of the other named processes (a database): pages that they share count once.
    pub(crate) others: u64,
}

impl Processes {
    /// The given processes; when none is given, the one that listens on the address.
    pub(crate) fn of(address: SocketAddr, mut roots: Vec<u32>) -> Self {
        if let Some(listener) = listener(address) {
            roots.retain(|pid| *pid != listener);
            roots.insert(0, listener);
        }
        Self { roots }
    }

    /// Whether there is any process to look at.
    pub(crate) fn is_known(&self) -> bool {
        !self.roots.is_empty()
    }

    /// Processor time used so far, that of ended children included.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        if self.roots.is_empty() {
            return None;
        }
        let ticks: u32 = self.tree().into_iter().filter_map(stat).map(|stat| stat.ticks).sum();
        Some(TICK * ticks)
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let server = *self.roots.first()?;
        let others = self.tree().into_iter().filter(|pid| *pid != server).map(proportional).sum();
        Some(Memory { server: kilobytes(&format!("/proc/{server}/status"), "VmRSS:")?, others })
    }

    fn tree(&self) -> BTreeSet<u32> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for pid in pids() {
            if let Some(stat) = stat(pid) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
        let mut tree = BTreeSet::new();
        let mut open = self.roots.clone();
        while let Some(pid) = open.pop() {
            if tree.insert(pid) {
                open.extend(children.get(&pid).into_iter().flatten());
            }
        }
        tree
    }
}

struct Stat {
    parent: u32,
    ticks: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold spaces; the fields begin after the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), which counts the two before the parenthesis.
    let ticks = (11..15).filter_map(number).sum();
    Some(Stat { parent: number(1)?, ticks })
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn proportional(pid: u32) -> u64 {
    kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or(0)
}

fn kilobytes(file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The process that listens on a port of this machine.
fn listener(address: SocketAddr) -> Option<u32> {
    if !address.ip().is_loopback() {
        return None;
    }
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (ip, port) = fields.get(1)?.rsplit_once(':')?;
            // State 0A is LISTEN; the inode is the tenth field.
            let wanted = u16::from_str_radix(port, 16).ok()? == address.port() && *fields.get(3)? == "0A";
            (wanted && serves(ip, address.ip())).then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
        })
    })?;
    pids().find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|link| link.as_os_str() == inode.as_str())
    })
}

/// Whether a listener on the hexadecimal address of `/proc/net/tcp` answers on `ip`.
fn serves(hex: &str, ip: IpAddr) -> bool {
    let any = hex.bytes().all(|digit| digit == b'0');
    let own = match ip {
        IpAddr::V4(ip) => format!("{:08X}", u32::from_ne_bytes(ip.octets())),
        IpAddr::V6(_) => "00000000000000000000000001000000".to_owned(),
    };
    any || hex == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_listens_is_found_and_uses_memory() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let processes = Processes::of(listener.local_addr().unwrap(), Vec::new());
        assert_eq!(processes.roots, [std::process::id()]);
        assert!(processes.memory().unwrap().server > 100_000);
        assert!(processes.cpu().is_some());
    }
}
