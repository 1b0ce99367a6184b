//! The data directory and its lock.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A data directory that this process has to itself, until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
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
    /// Takes a data directory, which is created when it does not exist, readable for its owner alone.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        let mode = path.metadata().map_err(failed(path))?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(
                path = %path.display(),
                mode = format!("{:03o}", mode & 0o777),
                "other users of this machine can look into data_dir, which holds the signing key: chmod 700 it"
            );
        }
        let name = path.join("roost.lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&name).map_err(failed(&name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(&name)(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Where commands speak to the server that runs on a data directory.
#[must_use]
pub(crate) fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("roost.sock")
}
