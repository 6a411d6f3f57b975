//! Where feeds go: into the local folder, and from there to where the readers are.

/// An S3-compatible bucket.
pub mod bucket;
/// A folder: files replaced whole or not at all, and only when they change.
pub mod directory;
/// Another folder: what differs is copied, whole or not at all.
pub mod folder;
/// The record of what lies at a target.
pub mod manifest;
/// What is to be sent, in which order, and what is to go.
pub mod plan;
/// A whole publication: look, plan, send, record, announce.
pub mod run;
/// WebSub: telling hubs what has changed.
pub mod websub;

use std::io;
use std::path::{Path, PathBuf};

/// Where a publication goes.
#[derive(Debug)]
pub enum Target {
    /// Another folder, such as a web server's.
    Folder(folder::Folder),
    /// A bucket.
    Bucket(bucket::Bucket),
    /// Nowhere: the built folder is served as it lies, and only the hubs are told.
    InPlace,
}

/// Why a publication stopped. What had arrived by then is recorded; to publish again sends the rest.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file of ours cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The target refused, or could not be reached for as long as we tried.
    #[error("{path}: {source}")]
    Refused {
        /// The object's path; empty if it is about the target as a whole.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl PublishError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
        let path = path.to_owned();
        move |source| PublishError::File { path, source }
    }
}
