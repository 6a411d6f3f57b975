//! One run at a time reads a register and changes it. The folders of feeds have locks of their own, but several of them may
//! be built from one folder of articles, and editions have no folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A folder's register that nobody else changes as long as this is there.
#[derive(Debug)]
pub(super) struct Held {
    /// `None` where the file system knows no locks.
    _lock: Option<File>,
}

impl Held {
    /// Takes the register of a folder. If another run has it, calls `on_wait` and waits.
    pub(super) fn folder(folder: &Path, on_wait: &dyn Fn()) -> io::Result<Held> {
        let lock = lockable(folder)?;
        let locked = match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                on_wait();
                lock.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        if let Err(error) = &locked {
            tracing::warn!(
                "the register of ids cannot be locked, so that one run at a time is safe, and no more: {error}"
            );
        }
        Ok(Held { _lock: locked.is_ok().then_some(lock) })
    }
}

/// What is locked: the folder itself, which leaves nothing behind.
#[cfg(unix)]
fn lockable(folder: &Path) -> io::Result<File> {
    File::open(folder)
}

/// What is locked: a hidden file, where a folder cannot be opened.
#[cfg(not(unix))]
fn lockable(folder: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(folder.join(".ids.lock"))
}
