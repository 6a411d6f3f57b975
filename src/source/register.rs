//! The register of ids, kept beside the articles and committed with them.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind};
use crate::newsroom::identity::Register;

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
