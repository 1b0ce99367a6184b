//! The data directory and its lock.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// A data directory that this process has to itself, until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    name: &'static str,
    // Held, never read: the lock goes when the file is closed.
    _lock: File,
}

/// Why a data directory can not be had.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{} is in use by another roost", .0.display())]
    InUse(PathBuf),
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was tried.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
}

impl DataDir {
    /// Takes a data directory for the homeserver. It is created when it does not exist, readable for its owner alone.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        Self::open_for(path, HOMESERVER)
    }

    /// The same for the server of that name; servers of different names can share a directory.
    pub(crate) fn open_for(path: &Path, server: &'static str) -> Result<Self, DataDirError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        let name = path.join(format!("{server}.lock"));
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&name).map_err(failed(&name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), name: server, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(&name)(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where commands speak to the server that runs on it.
    pub(crate) fn socket_path(&self) -> PathBuf {
        socket_path(&self.path, self.name)
    }
}

/// The homeserver, whose files are called so.
pub(crate) const HOMESERVER: &str = "roost";

/// The identity server when it runs alone.
pub(crate) const IDENTITY: &str = "identity";

/// Where commands speak to the server of that name that runs on a data directory.
#[must_use]
pub(crate) fn socket_path(data_dir: &Path, server: &str) -> PathBuf {
    data_dir.join(format!("{server}.sock"))
}
