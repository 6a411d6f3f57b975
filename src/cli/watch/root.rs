//! Folders that are watched.

use notify::{ErrorKind, RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};

/// A folder with all that is in it, which may come, go and be replaced.
pub(super) struct Root {
    /// As people name it.
    pub(super) shown: String,
    /// Where it stands, or will stand.
    pub(super) named: PathBuf,
    /// Where links lead from there; `None` where there is no such folder.
    pub(super) real: Option<PathBuf>,
}

impl Root {
    pub(super) fn new(shown: String, path: &Path) -> Root {
        Root { shown, named: resolved(path), real: None }
    }

    /// Watches the folder it stands in, and then the folder itself, where they are there: in this order, so that neither
    /// comes unseen.
    pub(super) fn watch(&mut self, watcher: &mut notify::RecommendedWatcher) -> notify::Result<()> {
        watch(watcher, nearest(self.named.parent().unwrap_or(&self.named)), RecursiveMode::NonRecursive)?;
        if let Some(real) = self.named.canonicalize().ok().filter(|real| real.is_dir()) {
            watch(watcher, &real, RecursiveMode::Recursive)?;
            self.real = Some(real);
        }
        Ok(())
    }

    /// A path below it, if it is one.
    pub(super) fn below<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        path.strip_prefix(self.real.as_ref()?).ok().filter(|below| !below.as_os_str().is_empty())
    }

    /// Whether this is the folder, or one in which it stands.
    pub(super) fn stands_in(&self, path: &Path) -> bool {
        self.named.starts_with(path) || self.real.as_ref().is_some_and(|real| real.starts_with(path))
    }

    /// A path below it as people name it.
    pub(super) fn shown(&self, below: &Path) -> String {
        format!("{}/{}", self.shown, below.display())
    }
}

/// A path below a folder that is watched, if it is one.
pub(super) fn below<'r, 'p>(root: Option<&'r Root>, path: &'p Path) -> Option<(&'r Root, &'p Path)> {
    root.and_then(|root| Some((root, root.below(path)?)))
}

pub(super) fn watch(watcher: &mut notify::RecommendedWatcher, path: &Path, mode: RecursiveMode) -> notify::Result<()> {
    let is_missing = |kind: &ErrorKind| match kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    };
    match watcher.watch(path, mode) {
        // It has gone this moment, which has been seen.
        Err(error) if is_missing(&error.kind) => Ok(()),
        done => done,
    }
}

/// The path without links in it but for its last part, as far as it is there.
pub(super) fn resolved(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize().unwrap_or_else(|_| resolved(parent)).join(name),
        _ => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
    }
}

/// The folder itself, or the first one above it that is there.
pub(super) fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|above| above.is_dir()).unwrap_or(folder)
}
