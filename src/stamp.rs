//! What tells an unchanged file from a changed one without reading it.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::time::{Duration, SystemTime};

/// A file's time may lag behind the clock by so much: systems stamp files with the time of their last tick.
const TICK: Duration = Duration::from_millis(20);

/// A time without a fraction may come from a file system that knows whole seconds only, FAT even every second one.
const COARSE: Duration = Duration::from_secs(2);

/// Two equal stamps of a file mean that it has not changed between, if the older one [was settled](Stamp::settled).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// When its bytes were last written, in nanoseconds since 1970.
    #[serde(with = "postcard::fixint::le")]
    pub modified: i64,
    /// When anything of it last changed (`ctime`), in nanoseconds since 1970; nobody can set this back. 0 where the system
    /// has no such time.
    #[serde(with = "postcard::fixint::le")]
    pub changed: i64,
    /// Which file it is, so that another one moved into its place is noticed; 0 where the system does not say.
    pub inode: u64,
}

impl Stamp {
    /// The stamp that belongs to a file's metadata.
    pub fn of(metadata: &Metadata) -> Stamp {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
            Stamp {
                size: metadata.len(),
                modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
                changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
                inode: metadata.ino(),
            }
        }
        #[cfg(not(unix))]
        Stamp { size: metadata.len(), modified: metadata.modified().map_or(0, nanoseconds), changed: 0, inode: 0 }
    }

    /// Whether an open file's bytes are the same as they were, as far as size and time tell. Its name may have been taken
    /// away or given to another meanwhile, which changes the rest of the stamp.
    pub fn same_bytes(&self, later: &Stamp) -> bool {
        (self.size, self.modified) == (later.size, later.modified)
    }

    /// Whether any change after `moment` must have given the file another stamp. A file that was written in the same tick
    /// of the clock may be written once more without a trace; it has to be read again.
    pub fn settled(&self, moment: SystemTime) -> bool {
        let last = self.modified.max(self.changed);
        let doubt = if last % 1_000_000_000 == 0 { COARSE } else { TICK };
        last < nanoseconds(moment).saturating_sub(i64::try_from(doubt.as_nanos()).unwrap_or(i64::MAX))
    }
}

fn nanoseconds(moment: SystemTime) -> i64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_file_that_was_replaced_while_it_was_open_has_the_same_bytes_and_one_that_was_written_has_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("rss.xml"), folder.path().join("new"));
        std::fs::write(&path, "old").unwrap();
        std::fs::write(&other, "new").unwrap();
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let before = Stamp::of(&file.metadata().unwrap());
        std::thread::sleep(Duration::from_millis(20));
        std::fs::rename(&other, &path).unwrap();
        let after = Stamp::of(&file.metadata().unwrap());
        assert!(before.same_bytes(&after) && before != after);
        std::io::Write::write_all(&mut &file, b"odd").unwrap();
        assert!(!before.same_bytes(&Stamp::of(&file.metadata().unwrap())));
    }

    #[test]
    fn a_file_written_in_the_same_tick_is_not_settled() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_500);
        let stamp = |milliseconds: i64| Stamp { modified: milliseconds * 1_000_000, ..Stamp::default() };
        assert!(stamp(1_000_479).settled(start));
        assert!(!stamp(1_000_480).settled(start));
        assert!(!stamp(1_000_600).settled(start));
        // Whole seconds may be rounded.
        assert!(!stamp(999_000).settled(start));
        assert!(stamp(998_000).settled(start));
        // Set back by hand; the change of the time itself is seen.
        assert!(!Stamp { changed: 1_000_490_000_000, ..stamp(5_001) }.settled(start));
    }
}
