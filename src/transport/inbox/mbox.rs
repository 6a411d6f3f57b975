//! One file with many mails (RFC 4155): each begins with a line `From …`, after a blank line.
//!
//! The file is only read. How far it was read is kept in a file of our own, with a hash of what stands before that place: where
//! the file was begun anew (by logrotate, by a person), it is read from its beginning, and mails that were read before are
//! known again by whoever files them.

use rustix::fs::{FlockOperation, fcntl_lock};
use sha256::of;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{BATCH, BATCH_BYTES, InboxError, Item, LARGEST, Ticket, failed};

/// How long another program's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
/// A lock's file that is older was forgotten.
const STALE: Duration = Duration::from_mins(10);
/// Bytes before the place by which the file is known again.
const KNOWN_BY: u64 = 4_096;

/// An mbox being read. It is locked as long as this lives.
#[derive(Debug)]
pub struct Mbox {
    path: PathBuf,
    place: PathBuf,
    file: BufReader<File>,
    /// Where the next mail begins.
    at: u64,
    ended: bool,
}

impl Mbox {
    pub(super) fn open(path: &Path, place: &Path) -> Result<Self, InboxError> {
        let mut file = File::open(path).map_err(failed(path))?;
        wait_for_lock(path, &file)?;
        let at = remembered(&mut file, place).map_err(failed(path))?;
        file.seek(SeekFrom::Start(at)).map_err(failed(path))?;
        Ok(Mbox { path: path.to_owned(), place: place.to_owned(), file: BufReader::new(file), at, ended: false })
    }

    pub(super) fn next(&mut self) -> Result<Vec<Item>, InboxError> {
        let (mut items, mut bytes) = (vec![], 0);
        while !self.ended && items.len() < BATCH && bytes < BATCH_BYTES {
            let Some(item) = self.mail().map_err(failed(&self.path))? else { break };
            bytes += item.message.len();
            items.push(item);
        }
        Ok(items)
    }

    /// One mail, without its first line, and with `>From ` as it was before.
    fn mail(&mut self) -> std::io::Result<Option<Item>> {
        let (mut message, mut line, mut begun, mut blank) = (Vec::new(), Vec::new(), false, true);
        loop {
            line.clear();
            let length = self.file.read_until(b'\n', &mut line)?;
            if length == 0 {
                self.ended = true;
                return Ok(begun.then_some(Item { message, ticket: Ticket::Place(self.at) }));
            }
            if blank && line.starts_with(b"From ") {
                if begun {
                    // The next mail's: it is read again.
                    self.file.seek_relative(-i64::try_from(length).unwrap_or(0))?;
                    return Ok(Some(Item { message, ticket: Ticket::Place(self.at) }));
                }
                begun = true;
            } else if begun && (message.len() as u64) < LARGEST {
                let bare = line.iter().position(|byte| *byte != b'>').unwrap_or_default();
                let cited = bare > 0 && line[bare..].starts_with(b"From ");
                message.extend_from_slice(if cited { &line[1..] } else { &line });
            }
            blank = line.iter().all(u8::is_ascii_whitespace);
            self.at += length as u64;
        }
    }

    pub(super) fn done(&mut self, items: &[(Item, bool)]) -> Result<(), InboxError> {
        let Some((Item { ticket: Ticket::Place(at), .. }, _)) = items.last() else { return Ok(()) };
        let mut file = File::open(&self.path).map_err(failed(&self.path))?;
        let known = known_by(&mut file, *at).map_err(failed(&self.path))?;
        write(&self.place, &format!("{at} {known}\n")).map_err(failed(&self.place))
    }
}

/// Where reading goes on: the beginning, where the file is another than it was.
fn remembered(file: &mut File, place: &Path) -> std::io::Result<u64> {
    let Ok(text) = std::fs::read_to_string(place) else { return Ok(0) };
    let Some((at, known)) = text.trim_end().split_once(' ') else { return Ok(0) };
    let Ok(at) = at.parse::<u64>() else { return Ok(0) };
    let same = at <= file.metadata()?.len() && known_by(file, at)? == known;
    Ok(if same { at } else { 0 })
}

fn known_by(file: &mut File, at: u64) -> std::io::Result<String> {
    let from = at.saturating_sub(KNOWN_BY);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(at - from).read_to_end(&mut bytes)?;
    Ok(of(&bytes))
}

fn write(place: &Path, text: &str) -> std::io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(place).map(drop).map_err(|error| error.error)
}

/// Both of the usual ways: a file beside it (`.lock`), as mail programs make it, and a lock of the system. Ours is shared, for we
/// only read; a lock's file is waited for and not made, since the folder need not be ours.
fn wait_for_lock(path: &Path, file: &File) -> Result<(), InboxError> {
    let beside = path.with_file_name(format!("{}.lock", path.file_name().unwrap_or_default().to_string_lossy()));
    let began = Instant::now();
    loop {
        let age = std::fs::metadata(&beside).and_then(|m| m.modified()).ok().and_then(|since| since.elapsed().ok());
        let held = age.is_some_and(|age| age < STALE);
        if !held && fcntl_lock(file, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(InboxError::Locked(path.to_owned()));
        }
        std::thread::sleep(LOOK);
    }
}

mod sha256 {
    use aws_lc_rs::digest::{SHA256, digest};
    use std::fmt::Write;

    /// In hexadecimal digits.
    pub(super) fn of(bytes: &[u8]) -> String {
        digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct Room(tempfile::TempDir);

    impl Room {
        fn new(text: &str) -> Self {
            let room = Room(tempfile::tempdir().unwrap());
            std::fs::write(room.file(), text).unwrap();
            room
        }
        fn file(&self) -> PathBuf {
            self.0.path().join("mbox")
        }
        /// What is new, told to be read.
        fn read(&self) -> Vec<String> {
            let mut mbox = Mbox::open(&self.file(), &self.0.path().join("var/place")).unwrap();
            let items: Vec<_> = mbox.next().unwrap().into_iter().map(|item| (item, false)).collect();
            mbox.done(&items).unwrap();
            items.into_iter().map(|(item, _)| String::from_utf8(item.message).unwrap()).collect()
        }
    }

    const ONE: &str = "From a@b Mon Nov  2 10:00:00 2026\nSubject: one\n\nHello.\n>From here.\nFrom there.\n\n";
    const TWO: &str = "From a@b Mon Nov  2 10:00:01 2026\nSubject: two\n\nHello.\n";

    #[test]
    fn each_mail_is_read_once_also_when_more_are_added() {
        let room = Room::new(ONE);
        assert_eq!(room.read(), ["Subject: one\n\nHello.\nFrom here.\nFrom there.\n\n"]);
        assert_eq!(room.read(), [""; 0]);
        std::fs::write(room.file(), format!("{ONE}{TWO}")).unwrap();
        assert_eq!(room.read(), ["Subject: two\n\nHello.\n"]);
        assert_eq!(room.read(), [""; 0]);
    }

    #[test]
    fn a_file_that_was_begun_anew_is_read_from_its_beginning() {
        let room = Room::new(&format!("{ONE}{TWO}"));
        assert_eq!(room.read().len(), 2);
        std::fs::write(room.file(), TWO).unwrap();
        assert_eq!(room.read().len(), 1);
        std::fs::write(room.file(), format!("{TWO}\n{ONE}")).unwrap();
        assert_eq!(room.read().len(), 1);
        std::fs::write(room.file(), format!("{ONE}{ONE}{TWO}")).unwrap();
        assert_eq!(room.read().len(), 3);
    }

    #[test]
    fn what_is_no_mbox_holds_no_mail_and_a_lock_is_respected() {
        let room = Room::new("Dear diary,\n\nnothing.\n");
        assert_eq!(room.read(), [""; 0]);
        assert_eq!(Room::new("").read(), [""; 0]);
        std::fs::write(room.file().with_file_name("mbox.lock"), "").unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| room.read());
            std::thread::sleep(Duration::from_millis(300));
            assert!(!waiting.is_finished());
            std::fs::remove_file(room.file().with_file_name("mbox.lock")).unwrap();
            waiting.join().unwrap();
        });
    }
}
