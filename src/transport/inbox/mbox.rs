//! One file with many mails (RFC 4155): each begins with a line `From …`, after a blank line.
//!
//! The file is only read. How far it was read is kept in a file of our own, with a hash of what stands before that place: where
//! the file was begun anew (by logrotate, by a person), it is read from its beginning, and mails that were read before are
//! known again by whoever files them.

use rustix::fs::{FlockOperation, fcntl_lock};
use sha256::of;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

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
    pub(super) async fn open(path: &Path, place: &Path) -> Result<Self, InboxError> {
        let mut file = File::open(path).map_err(failed(path))?;
        wait_for_lock(path, &file).await?;
        let at = remembered(&file, place).map_err(failed(path))?;
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
        // By the file that is open: where any other is closed, the system takes the lock from us.
        let known = known_by(self.file.get_ref(), *at).map_err(failed(&self.path))?;
        write(&self.place, &format!("{at} {known}\n")).map_err(failed(&self.place))
    }
}

/// Where reading goes on: the beginning, where the file is another than it was.
fn remembered(file: &File, place: &Path) -> std::io::Result<u64> {
    let Ok(text) = std::fs::read_to_string(place) else { return Ok(0) };
    let Some((at, known)) = text.trim_end().split_once(' ') else { return Ok(0) };
    let Ok(at) = at.parse::<u64>() else { return Ok(0) };
    let same = at <= file.metadata()?.len() && known_by(file, at)? == known;
    Ok(if same { at } else { 0 })
}

/// A hash of what stands before this place. Where the file is read next stays as it is.
fn known_by(file: &File, at: u64) -> std::io::Result<String> {
    let from = at.saturating_sub(KNOWN_BY);
    let mut bytes = vec![0; usize::try_from(at - from).unwrap_or_default()];
    file.read_exact_at(&mut bytes, from)?;
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
async fn wait_for_lock(path: &Path, file: &File) -> Result<(), InboxError> {
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
        // Pages are answered meanwhile, by the same task.
        tokio::time::sleep(LOOK).await;
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
        async fn open(&self) -> Mbox {
            Mbox::open(&self.file(), &self.0.path().join("var/place")).await.unwrap()
        }
        /// What is new, told to be read.
        async fn read(&self) -> Vec<String> {
            let mut mbox = self.open().await;
            let items: Vec<_> = mbox.next().unwrap().into_iter().map(|item| (item, false)).collect();
            mbox.done(&items).unwrap();
            items.into_iter().map(|(item, _)| String::from_utf8(item.message).unwrap()).collect()
        }
    }

    const ONE: &str = "From a@b Mon Nov  2 10:00:00 2026\nSubject: one\n\nHello.\n>From here.\nFrom there.\n\n";
    const TWO: &str = "From a@b Mon Nov  2 10:00:01 2026\nSubject: two\n\nHello.\n";

    #[tokio::test]
    async fn each_mail_is_read_once_also_when_more_are_added() {
        let room = Room::new(ONE);
        assert_eq!(room.read().await, ["Subject: one\n\nHello.\nFrom here.\nFrom there.\n\n"]);
        assert_eq!(room.read().await, [""; 0]);
        std::fs::write(room.file(), format!("{ONE}{TWO}")).unwrap();
        assert_eq!(room.read().await, ["Subject: two\n\nHello.\n"]);
        assert_eq!(room.read().await, [""; 0]);
    }

    #[tokio::test]
    async fn a_file_that_was_begun_anew_is_read_from_its_beginning() {
        let room = Room::new(&format!("{ONE}{TWO}"));
        assert_eq!(room.read().await.len(), 2);
        std::fs::write(room.file(), TWO).unwrap();
        assert_eq!(room.read().await.len(), 1);
        std::fs::write(room.file(), format!("{TWO}\n{ONE}")).unwrap();
        assert_eq!(room.read().await.len(), 1);
        std::fs::write(room.file(), format!("{ONE}{ONE}{TWO}")).unwrap();
        assert_eq!(room.read().await.len(), 3);
    }

    #[tokio::test]
    async fn what_is_no_mbox_holds_no_mail() {
        assert_eq!(Room::new("Dear diary,\n\nnothing.\n").read().await, [""; 0]);
        assert_eq!(Room::new("").read().await, [""; 0]);
    }

    /// Nothing else stands still meanwhile, on one thread.
    #[tokio::test]
    async fn a_lock_is_waited_for_while_others_go_on() {
        let room = Room::new(ONE);
        let lock = room.file().with_file_name("mbox.lock");
        std::fs::write(&lock, "").unwrap();
        let mut reading = std::pin::pin!(room.read());
        assert!(tokio::time::timeout(LOOK * 3, &mut reading).await.is_err(), "the lock is not respected");
        std::fs::remove_file(lock).unwrap();
        assert_eq!(reading.await.len(), 1);
    }

    /// As the system tells it: of one process, no lock is in another's way.
    #[tokio::test]
    async fn the_lock_holds_until_the_last_batch_is_read() {
        let room = Room::new(&format!("{TWO}\n").repeat(BATCH * 2 + 1));
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(room.file()).unwrap());
        let is_locked = || std::fs::read_to_string("/proc/locks").unwrap().contains(&format!(":{inode} 0 EOF"));
        let mut mbox = room.open().await;
        let mut read = 0;
        while read < BATCH * 2 + 1 {
            let items: Vec<_> = mbox.next().unwrap().into_iter().map(|item| (item, false)).collect();
            read += items.len();
            mbox.done(&items).unwrap();
            assert!(is_locked(), "after {read} mails");
        }
        drop(mbox);
        assert!(!is_locked());
        assert_eq!(room.read().await, [""; 0]);
    }
}
