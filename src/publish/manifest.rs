//! The record of what lies at a target, kept beside the newsroom. With it a publication asks the target nothing: what
//! it sends is what has changed.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::PublishError;

/// A file whose date is younger than this when it is looked at may change again under the same date; it is read again
/// next time.
const SETTLED: Duration = Duration::from_secs(2);

/// What we know to lie at a target, and whom we still have to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The target's name; a record of another one is worth nothing.
    pub target: String,
    /// The objects by their paths.
    pub objects: BTreeMap<String, Object>,
    /// The topics that each hub has not been told of yet.
    #[serde(default)]
    pub untold: BTreeMap<String, BTreeSet<String>>,
}

/// One object as it was sent, or a file as it lies here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// SHA-256, in hexadecimal.
    pub hash: String,
    /// Bytes.
    pub size: u64,
    /// The local file's date when it was read, in nanoseconds since 1970; 0 if that says nothing.
    pub modified: u64,
}

impl Object {
    /// Reads the file's state from its bytes and date.
    pub fn of(bytes: &[u8], modified: u64) -> Object {
        use aws_lc_rs::digest::{SHA256, digest};
        Object { hash: hexadecimal(digest(&SHA256, bytes).as_ref()), size: bytes.len() as u64, modified }
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|n| char::from_digit(n.into(), 16)).collect()
}

/// The file's date in nanoseconds; 0 if it is so young that it does not say which state of the file it is of.
pub(super) fn settled_date(metadata: &fs::Metadata, now: SystemTime) -> u64 {
    let Ok(modified) = metadata.modified() else { return 0 };
    if now.duration_since(modified).is_ok_and(|age| age >= SETTLED) { nanoseconds(modified) } else { 0 }
}

/// Nanoseconds since 1970.
pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

impl Manifest {
    /// Reads the record of this target. `None`: there is none, or it is damaged, or of another target; then the target
    /// has to be asked.
    pub fn load(file: &Path, target: &str) -> Result<Option<Manifest>, PublishError> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PublishError::file(file)(error)),
        };
        match serde_json::from_slice::<Manifest>(&bytes) {
            Ok(manifest) if manifest.target == target => Ok(Some(manifest)),
            Ok(_) => Ok(None),
            Err(because) => {
                tracing::warn!(file = %file.display(), %because, "the record of what was published is damaged");
                Ok(None)
            }
        }
    }

    /// Writes the record, whole or not at all.
    pub fn save(&self, file: &Path) -> Result<(), PublishError> {
        let write = || {
            let folder = file.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut beside = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer(io::BufWriter::new(&mut beside), self)?;
            beside.flush()?;
            beside.as_file().sync_all()?;
            beside.persist(file)?;
            Ok(())
        };
        write().map_err(PublishError::file(file))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_written_and_only_for_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("var/publish/a.json");
        assert_eq!(Manifest::load(&file, "s3://a").unwrap(), None);
        let mut manifest = Manifest { target: "s3://a".to_owned(), ..Manifest::default() };
        manifest.objects.insert("rss.xml".to_owned(), Object::of(b"<rss/>", 7));
        manifest.untold.entry("https://hub.example/".to_owned()).or_default().insert("x".to_owned());
        manifest.save(&file).unwrap();
        assert_eq!(Manifest::load(&file, "s3://a").unwrap(), Some(manifest));
        assert_eq!(Manifest::load(&file, "s3://b").unwrap(), None);
        fs::write(&file, "{\"target\":\"s3://a\",").unwrap();
        assert_eq!(Manifest::load(&file, "s3://a").unwrap(), None, "damaged: the target is asked instead");
    }

    #[test]
    fn a_young_date_says_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let modified = metadata.modified().unwrap();
        assert_eq!(settled_date(&metadata, modified + SETTLED), nanoseconds(modified));
        assert_eq!(settled_date(&metadata, modified + SETTLED - Duration::from_millis(1)), 0);
        assert_eq!(settled_date(&metadata, modified - Duration::from_secs(9)), 0, "a clock that was put back");
    }

    #[test]
    fn hashes_are_the_usual_ones() {
        assert_eq!(Object::of(b"abc", 0).hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
