//! What this machine can do at best, measured in the same run as the servers: a server's figures are held against these.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The size of a usual event, in bytes.
const EVENT: usize = 1024;

/// What the machine can do at best; the best of the rounds, since whatever else runs can only slow it down.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Limits {
    /// Appending one event to a file and waiting for the disk.
    pub(crate) fsync: Duration,
    /// One ed25519 signature of one event.
    pub(crate) signature: Duration,
    /// SHA-256 of one event.
    pub(crate) sha256: Duration,
    /// Fifty writes of one event to fifty sockets of this machine.
    pub(crate) fifty_writes: Duration,
    /// Copying one megabyte of memory.
    pub(crate) megabyte: Duration,
}

impl Limits {
    /// Measures once; takes less than a second. `directory` is where the file for fsync is made (and removed).
    pub(crate) fn measure(directory: &Path) -> std::io::Result<Self> {
        Ok(Self {
            fsync: fsync(directory)?,
            signature: signature(),
            sha256: sha256(),
            fifty_writes: fifty_writes()?,
            megabyte: megabyte(),
        })
    }

    /// The better of two measurements, figure by figure.
    pub(crate) fn best(self, other: Self) -> Self {
        Self {
            fsync: self.fsync.min(other.fsync),
            signature: self.signature.min(other.signature),
            sha256: self.sha256.min(other.sha256),
            fifty_writes: self.fifty_writes.min(other.fifty_writes),
            megabyte: self.megabyte.min(other.megabyte),
        }
    }

    /// The least that appending one event by itself can take.
    pub(crate) fn one_event(&self) -> Duration {
        self.fsync + self.signature + self.sha256
    }
}

fn median(times: u32, mut once: impl FnMut() -> std::io::Result<()>) -> std::io::Result<Duration> {
    let mut taken = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        once()?;
        taken.push(start.elapsed());
    }
    taken.sort_unstable();
    Ok(taken[taken.len() / 2])
}

fn fsync(directory: &Path) -> std::io::Result<Duration> {
    let path = directory.join(format!("roost-bench-fsync-{}", std::process::id()));
    let mut file = File::create_new(&path)?;
    // Databases write into space that the file already has; growing it would add the file system's own writes.
    let times = 200;
    file.write_all(&vec![0; EVENT * 256])?;
    file.sync_all()?;
    std::io::Seek::rewind(&mut file)?;
    let taken = median(times, || {
        file.write_all(&[b'x'; EVENT])?;
        file.sync_data()
    });
    std::fs::remove_file(&path)?;
    taken
}

fn per_turn(turns: u32, mut once: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..turns {
        once();
    }
    start.elapsed() / turns
}

fn signature() -> Duration {
    let key = SigningKey::from_bytes(&[7; 32]);
    let event = [b'x'; EVENT];
    per_turn(2000, || {
        std::hint::black_box(key.sign(std::hint::black_box(&event)));
    })
}

fn sha256() -> Duration {
    let event = [b'x'; EVENT];
    per_turn(20_000, || {
        std::hint::black_box(Sha256::digest(std::hint::black_box(&event)));
    })
}

fn megabyte() -> Duration {
    let source = vec![1_u8; 1 << 20];
    let mut copy = vec![0_u8; 1 << 20];
    per_turn(200, || std::hint::black_box(&mut copy).copy_from_slice(std::hint::black_box(&source)))
}

fn fifty_writes() -> std::io::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut pairs = Vec::new();
    for _ in 0..50 {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        server.set_nodelay(true)?;
        pairs.push((server, client));
    }
    let mut buffer = [0; EVENT];
    let mut taken = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        for (server, _) in &mut pairs {
            server.write_all(&[b'x'; EVENT])?;
        }
        taken.push(start.elapsed());
        for (_, client) in &mut pairs {
            client.read_exact(&mut buffer)?;
        }
    }
    taken.sort_unstable();
    Ok(taken[taken.len() / 2])
}
