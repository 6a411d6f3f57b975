//! Where feeds go: into the local folder, and from there to where the readers are.

// From a newsroom to a folder of feeds: the engine of `pressrun build`.
pub mod build;
// An S3-compatible bucket.
pub mod bucket;
// A folder: files replaced whole or not at all, and only when they change.
pub mod directory;
// Reads feeds as a feed reader does, and holds them against the articles.
pub mod readback;
// Another folder: what differs is copied, whole or not at all.
pub mod folder;
// What has arrived since the record was saved.
mod journal;
// The record of what lies at a target.
pub mod manifest;
// What is to be sent, in which order, and what is to go.
pub mod plan;
// A whole publication: look, plan, send, record, announce.
pub mod run;
// WebSub: telling hubs what has changed.
pub mod websub;

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

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

/// Where a publication goes, as it is written: `directory:www/feeds`, `s3://bucket/prefix`, or `in-place`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Another folder.
    Folder(PathBuf),
    /// A bucket, and what object names in it begin with.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Without slashes at the ends; may be empty.
        prefix: String,
    },
    /// The built folder is served as it lies.
    InPlace,
}

/// What an address may be, for whoever wrote another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a target is directory:FOLDER, s3://BUCKET/PREFIX, or in-place")]
pub struct NotAnAddress;

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Address, NotAnAddress> {
        if text == "in-place" {
            Ok(Address::InPlace)
        } else if let Some(folder) = text.strip_prefix("directory:").filter(|folder| !folder.is_empty()) {
            Ok(Address::Folder(folder.into()))
        } else if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_matches('/');
            // The characters of bucket names; a name with others is a slip that the store would answer obscurely.
            let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
            if bucket.is_empty() || !bucket.chars().all(sound) || prefix.split('/').any(|name| name.starts_with('.')) {
                return Err(NotAnAddress);
            }
            Ok(Address::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        } else {
            Err(NotAnAddress)
        }
    }
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
    /// A file of ours was built anew after the publication had been planned.
    #[error("{path}: it was built anew while it was to be published")]
    Changed {
        /// The file's path below the folder of feeds.
        path: String,
    },
}

impl PublishError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
        let path = path.to_owned();
        move |source| PublishError::File { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_folder_a_bucket_or_here() {
        let bucket =
            |bucket: &str, prefix: &str| Address::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        for (text, wanted) in [
            ("directory:../www", Ok(Address::Folder("../www".into()))),
            ("s3://advocate", Ok(bucket("advocate", ""))),
            ("s3://advocate/", Ok(bucket("advocate", ""))),
            ("s3://the-advocate.2/a/feeds/", Ok(bucket("the-advocate.2", "a/feeds"))),
            ("in-place", Ok(Address::InPlace)),
            ("directory:", Err(NotAnAddress)),
            ("s3://", Err(NotAnAddress)),
            ("s3:///feeds", Err(NotAnAddress)),
            ("s3://Advocate", Err(NotAnAddress)),
            ("s3://advocate/../x", Err(NotAnAddress)),
            ("www", Err(NotAnAddress)),
            ("", Err(NotAnAddress)),
        ] {
            assert_eq!(text.parse(), wanted, "{text}");
        }
    }
}
