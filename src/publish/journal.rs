//! What has arrived at a target since its record was saved: a line each, written as it arrives, so that a publication that
//! was killed is gone on with where it stood.

use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::PublishError;
use super::manifest::Object;

/// The journal of one record.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    target: String,
    /// Open as soon as something has arrived.
    file: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    target: String,
    path: String,
    object: Object,
}

impl Journal {
    /// The journal that lies beside this record.
    pub(super) fn beside(record: &Path, target: &str) -> Journal {
        Journal { path: record.with_extension("arrived"), target: target.to_owned(), file: None }
    }

    /// What a publication that was killed left here. A line that was not written to its end, and whatever is after it, is
    /// as if it had not been.
    pub(super) fn read(&self) -> Result<Vec<(String, Object)>, PublishError> {
        let text = match fs::read(&self.path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(PublishError::file(&self.path)(error)),
        };
        let lines =
            text.split_inclusive('\n').map_while(|line| serde_json::from_str::<Line>(line.strip_suffix('\n')?).ok());
        Ok(lines.filter(|line| line.target == self.target).map(|line| (line.path, line.object)).collect())
    }

    /// This object has arrived.
    pub(super) fn note(&mut self, path: &str, object: &Object) -> Result<(), PublishError> {
        let write = |file: &mut Option<File>| {
            let file = if let Some(file) = file {
                file
            } else {
                fs::create_dir_all(self.path.parent().unwrap_or(Path::new(".")))?;
                file.insert(File::options().create(true).append(true).open(&self.path)?)
            };
            let line = Line { target: self.target.clone(), path: path.to_owned(), object: object.clone() };
            let mut line = serde_json::to_vec(&line)?;
            line.push(b'\n');
            file.write_all(&line)
        };
        write(&mut self.file).map_err(PublishError::file(&self.path))
    }

    /// The record says it all now.
    pub(super) fn end(&mut self) -> Result<(), PublishError> {
        self.file = None;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::file(&self.path)(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_arrived_is_known_after_a_kill_in_the_middle_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("var/a.json");
        let object = Object::of(b"<rss/>", 7);
        let mut journal = Journal::beside(&record, "s3://a");
        assert_eq!(journal.read().unwrap(), []);
        journal.note("rss.xml", &object).unwrap();
        journal.note("atom.xml", &object).unwrap();
        let file = folder.path().join("var/a.arrived");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(Journal::beside(&record, "s3://a").read().unwrap(), [("rss.xml".to_owned(), object)]);
        assert_eq!(Journal::beside(&record, "s3://b").read().unwrap(), [], "another target's");
        journal.end().unwrap();
        assert_eq!(journal.read().unwrap(), []);
        journal.end().unwrap();
    }
}
