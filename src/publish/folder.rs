//! Another folder as a target, such as a web server's. Files are replaced by renaming: a reader sees the old one whole
//! or the new one whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::PublishError;
use super::manifest::{Manifest, Object, nanoseconds, settled_date};

/// A folder to publish to.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder; made when the first file is put there.
    pub fn new(root: PathBuf) -> Folder {
        Folder { root }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Puts a file there, whole or not at all, with the date of the original: the web server tells it to readers, and
    /// the next publication knows it by it.
    pub(super) fn put(&self, path: &str, bytes: &[u8], modified: SystemTime) -> Result<(), PublishError> {
        let file = self.root.join(path);
        let write = || {
            let folder = file.parent().unwrap_or(&self.root);
            fs::create_dir_all(folder)?;
            let mut builder = tempfile::Builder::new();
            builder.prefix(".pressrun-");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                // The web server is another user, and a temporary file is its maker's alone.
                builder.permissions(fs::Permissions::from_mode(0o644));
            }
            let mut beside = builder.tempfile_in(folder)?;
            beside.write_all(bytes)?;
            beside.as_file().set_modified(modified)?;
            beside.as_file().sync_all()?;
            beside.persist(&file)?;
            Ok(())
        };
        write().map_err(PublishError::file(&file))
    }

    /// Removes a file, and the folders that are empty then. That it is not there is fine.
    pub(super) fn remove(&self, path: &str) -> Result<(), PublishError> {
        let file = self.root.join(path);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(PublishError::file(&file)(error)),
            _ => {}
        }
        let folders = file.ancestors().skip(1).take_while(|folder| *folder != self.root);
        for folder in folders {
            // Not empty, most likely, and then neither are those above.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Corrects the record by what really lies there: a file that somebody changed or removed is sent again, and one
    /// that is there already is not. Like rsync, size and date decide; where those differ, the bytes.
    pub(super) fn look(&self, here: &BTreeMap<String, Object>, manifest: &mut Manifest) -> Result<(), PublishError> {
        for (path, wanted) in here {
            let file = self.root.join(path);
            let there = match fs::symlink_metadata(&file) {
                Ok(metadata) => Some(metadata),
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
                Err(error) => return Err(PublishError::file(&file)(error)),
            };
            let recorded = manifest.objects.get(path);
            let same = there.is_some_and(|metadata| {
                metadata.is_file()
                    && metadata.len() == wanted.size
                    && (recorded == Some(wanted)
                        && wanted.modified != 0
                        && metadata.modified().is_ok_and(|date| nanoseconds(date) == wanted.modified)
                        || fs::read(&file).is_ok_and(|bytes| Object::of(&bytes, 0).hash == wanted.hash))
            });
            if same {
                manifest.objects.insert(path.clone(), wanted.clone());
            } else {
                manifest.objects.remove(path);
            }
        }
        Ok(())
    }
}

/// The files of the built folder, by their paths. A file that is as the record says (by size and date) is not read.
/// Names that begin with a dot are no part of the build.
pub(super) fn files(folder: &Path, known: &Manifest) -> Result<BTreeMap<String, Object>, PublishError> {
    let now = SystemTime::now();
    let mut found = BTreeMap::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(PublishError::file(&folder))? {
            let entry = entry.map_err(PublishError::file(&folder))?;
            let file = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let odd = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
                return Err(PublishError::file(&file)(odd));
            };
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            // A link is published as what it leads to, but no further folder is: it could lead in a circle.
            let metadata = match fs::metadata(&file) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(PublishError::file(&file)(error)),
            };
            if metadata.is_dir() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push((file, format!("{path}/")));
                }
            } else {
                let modified = settled_date(&metadata, now);
                let as_known = known
                    .objects
                    .get(&path)
                    .filter(|object| modified != 0 && object.modified == modified && object.size == metadata.len());
                let object = match as_known {
                    Some(object) => object.clone(),
                    None => Object::of(&fs::read(&file).map_err(PublishError::file(&file))?, modified),
                };
                found.insert(path, object);
            }
        }
    }
    Ok(found)
}

/// A file of the built folder, with its date.
pub(super) fn read(folder: &Path, path: &str) -> Result<(Vec<u8>, SystemTime), PublishError> {
    let file = folder.join(path);
    let read = || {
        let mut open = File::open(&file)?;
        let modified = open.metadata()?.modified()?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut open, &mut bytes)?;
        Ok((bytes, modified))
    };
    read().map_err(PublishError::file(&file))
}
