//! What nobody understood is kept, for people; and what is about a mail of ours and does not say of which, as far as there is
//! room: anybody can send such.

use aws_lc_rs::digest::{SHA256, digest};
use std::io::Write;
use std::path::Path;

use super::super::failures;
use crate::digest::seal::hex;
use crate::error::Failure;
use crate::press::returns::Read;

/// Mails that are about none of ours, at most: whoever forges them must not fill the disk.
const UNTIED: usize = 1_000;

/// The folder of what nobody understood, and that of what belongs to no mail of ours; below the one for returned mail.
pub(in crate::cli) const FOLDERS: [&str; 2] = ["unreadable", "untied"];

/// What became of a mail that is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is kept, and nobody has understood it.
    Unreadable,
    /// It is kept, and belongs to no mail of ours.
    Untied,
    /// It belongs to no mail of ours, and there are too many of these already.
    Full,
}

/// Keeps a mail where it is for people. `folder` is that for returned mail.
pub(super) fn keep(folder: &Path, message: &[u8], read: Read) -> Result<Option<Kept>, Failure> {
    let [unreadable, untied] = FOLDERS.map(|name| folder.join(name));
    Ok(match read {
        Read::Undecided(why) => {
            write_down(&unreadable, message, why)?;
            Some(Kept::Unreadable)
        }
        Read::Stranger | Read::Forged if count(&untied) >= UNTIED => Some(Kept::Full),
        Read::Stranger => {
            write_down(&untied, message, "a report or a complaint that does not say which mail of ours it is about")?;
            Some(Kept::Untied)
        }
        Read::Forged => {
            write_down(&untied, message, "it names a mail of ours, and its signature is wrong or of an older key")?;
            Some(Kept::Untied)
        }
        _ => None,
    })
}

/// How many mails are kept in a folder.
pub(in crate::cli) fn count(folder: &Path) -> usize {
    let mail = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "eml");
    std::fs::read_dir(folder).map_or(0, |entries| entries.flatten().filter(mail).count())
}

/// Keeps a mail and a note of why. The same mail again is the same file.
fn write_down(folder: &Path, message: &[u8], why: &str) -> Result<(), Failure> {
    let name = hex(&digest(&SHA256, message).as_ref()[..12]);
    let mail = folder.join(format!("{name}.eml"));
    write(&folder.join(format!("{name}.txt")), format!("{why}\n").as_bytes())
        .and_then(|()| write(&mail, message))
        .map_err(|e| failures::file("cannot keep a returned mail in", &mail, &e))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
