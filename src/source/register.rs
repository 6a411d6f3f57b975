//! The register of ids, kept beside the articles and committed with them.

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind};
use crate::newsroom::identity::{Entry, Register};
use crate::stamp::Stamp;

/// The register's file in the folder of articles.
pub const FILE_NAME: &str = "ids.csv";

/// The register of ids as it was read, and as it is now.
#[derive(Debug)]
pub struct Ids {
    path: PathBuf,
    written: Option<String>,
    now: Register,
}

impl Ids {
    pub(super) fn new(read: Loaded, now: Register) -> Ids {
        Ids { path: read.path, written: read.text, now }
    }

    /// The text of the file, where it must be written.
    fn changed(&self) -> Option<String> {
        let text = self.now.to_csv();
        match &self.written {
            Some(written) if *written == text => None,
            None if self.now.entries().is_empty() => None,
            _ => Some(text),
        }
    }

    /// Whether [`Ids::save`] would write the file.
    pub fn is_changed(&self) -> bool {
        self.changed().is_some()
    }

    /// Writes the register where it changed, whole or not at all. Answers whether it was written.
    ///
    /// # Errors
    /// It cannot be written. Then nothing may be published: the next build could make other ids.
    pub fn save(&self) -> Result<bool, Failure> {
        let Some(text) = self.changed() else { return Ok(false) };
        replace(&self.path, &text).map(|()| true).map_err(|error| {
            Failure::new(Kind::Unavailable, format!("the articles' ids cannot be kept in {}", self.path.display()))
                .because(error)
                .hint(
                    "Make the folder writable, or give each article an `id`. Without a record of its id, an article would \
                     come to readers as new when it is renamed.",
                )
        })
    }
}

/// The stamp of a folder's register; `None` where there is none.
pub fn stamp(folder: &Path) -> Option<Stamp> {
    std::fs::metadata(folder.join(FILE_NAME)).ok().map(|metadata| Stamp::of(&metadata))
}

/// Replaces entries of a folder's register by others of the same ids, without looking at the rest of it. Answers `false`,
/// and does nothing, where the register does not hold exactly those entries, or the others take more or less room: then
/// it has to be read and written as a whole.
///
/// What changes when a text is edited is the hash of its body, which always has sixteen digits; they are written in their
/// place. Should the power fail between two of them, the article is still known by its path and title.
pub fn amend(folder: &Path, changes: &[(Entry, Entry)]) -> std::io::Result<bool> {
    let mut file = std::fs::File::options().read(true).write(true).open(folder.join(FILE_NAME))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let mut places = Vec::new();
    for (old, new) in changes {
        let (mut there, mut then) = ("\n".to_owned(), "\n".to_owned());
        old.write(&mut there);
        new.write(&mut then);
        match memchr::memmem::find(&text, there.as_bytes()) {
            Some(at) if there.len() == then.len() => places.push((at, then)),
            _ => return Ok(false),
        }
    }
    for (at, line) in places {
        file.seek(SeekFrom::Start(at as u64))?;
        file.write_all(line.as_bytes())?;
    }
    file.sync_data()?;
    Ok(true)
}

/// A register as read.
#[derive(Debug)]
pub(super) struct Loaded {
    path: PathBuf,
    text: Option<String>,
    pub(super) register: Register,
}

/// Reads the register of a folder; none there is an empty one.
pub(super) fn load(folder: &Path, name: &str) -> Result<Loaded, Failure> {
    let path = folder.join(FILE_NAME);
    let name = format!("{name}/{FILE_NAME}");
    let refused = |cause: String| {
        Failure::new(Kind::Material, format!("the register of the articles' ids, {name}, cannot be used"))
            .because(cause)
            .hint(
                "Restore the file from your version control or a backup. Deleting it gives every article a new id, and \
                 every reader gets every article again.",
            )
    };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8 text".into()))?;
            let register = Register::parse(&text, &name).map_err(|problem| refused(problem.render(false)))?;
            Ok(Loaded { path, text: Some(text), register })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(Loaded { path, text: None, register: Register::default() })
        }
        Err(error) => Err(refused(error.to_string())),
    }
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ids");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
