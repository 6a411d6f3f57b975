//! A folder with a file for each mail (Maildir): `new` holds those that nobody has seen, `cur` the others.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{BATCH, BATCH_BYTES, InboxError, Item, LARGEST, Ticket, failed};

/// A Maildir being read.
#[derive(Debug)]
pub struct Maildir {
    folder: PathBuf,
    left: VecDeque<PathBuf>,
}

impl Maildir {
    /// Its new mails, in the order of their names, which begin with the time.
    pub(super) fn open(folder: &Path) -> Result<Self, InboxError> {
        let entries = std::fs::read_dir(folder.join("new")).map_err(|e| InboxError::NoMaildir(folder.to_owned(), e))?;
        let mut left: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        left.sort();
        Ok(Maildir { folder: folder.to_owned(), left: left.into() })
    }

    pub(super) fn waiting(&self) -> usize {
        self.left.len()
    }

    pub(super) fn next(&mut self) -> Vec<Item> {
        let (mut items, mut bytes) = (vec![], 0);
        while items.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(path) = self.left.pop_front()
        {
            let mut message = Vec::new();
            match std::fs::File::open(&path).and_then(|file| file.take(LARGEST).read_to_end(&mut message)) {
                // Another program, or another of us, has seen it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                // One that cannot be read must not be in the way of all others. It stays where it is.
                Err(error) => {
                    tracing::warn!(mail = %path.display(), because = %error, "a returned mail cannot be read, and is passed over");
                    continue;
                }
                Ok(_) => {}
            }
            bytes += message.len();
            items.push(Item { message, ticket: Ticket::File(path) });
        }
        items
    }

    /// Moves them to those that were seen; those for people are flagged.
    pub(super) fn done(&mut self, items: &[(Item, bool)]) -> Result<(), InboxError> {
        let cur = self.folder.join("cur");
        std::fs::create_dir_all(&cur).map_err(failed(&cur))?;
        for (item, aside) in items {
            let Ticket::File(path) = &item.ticket else { continue };
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let name = name.split(":2,").next().unwrap_or_default();
            let to = cur.join(format!("{name}:2,{}", if *aside { "FS" } else { "S" }));
            match std::fs::rename(path, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path)(error)),
                _ => {}
            }
        }
        Ok(())
    }
}
