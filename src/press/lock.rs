//! One press at a time on a ledger.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// Held while a press runs; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct PressLock {
    _file: File,
}

/// The lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run is at work.
    #[error("another run is at work on this ledger")]
    Held,
    /// The lock's file cannot be opened.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Takes the lock of the ledger at `ledger`: a file beside it, with `.lock` after its name.
///
/// # Errors
/// [`LockError::Held`] at once where another process, or this one, has it.
pub fn lock(ledger: &Path) -> Result<PressLock, LockError> {
    if let Some(folder) = ledger.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    // Another name of the same file is no other ledger.
    let mut name = ledger.canonicalize().unwrap_or_else(|_| ledger.to_owned()).into_os_string();
    name.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(name)?;
    match file.try_lock() {
        Ok(()) => Ok(PressLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(LockError::Held),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("var/ledger.sqlite");
        let first = lock(&ledger).unwrap();
        assert!(matches!(lock(&ledger), Err(LockError::Held)));
        drop(first);
        lock(&ledger).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_ledger_with_two_names_has_one_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, other) = (folder.path().join("ledger.sqlite"), folder.path().join("link.sqlite"));
        std::fs::write(&ledger, "").unwrap();
        std::os::unix::fs::symlink(&ledger, &other).unwrap();
        let _first = lock(&ledger).unwrap();
        assert!(matches!(lock(&other), Err(LockError::Held)));
    }
}
