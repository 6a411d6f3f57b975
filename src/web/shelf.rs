//! The files of the feeds' folder as they are served: read whole, kept in memory up to a limit, looked after on disk at
//! most once a second. Never anything outside the folder.

use bytes::Bytes;
use hyper::header::HeaderValue;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use url::Url;

use super::delta::History;
use super::negotiate::Encoding;
use super::version::{Version, text, weight};
use crate::feed::media::{self, LARGEST_FILE, Sort};
use crate::stamp::Stamp;

/// A file is asked for its state at most this often.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Versions of feeds that are remembered, of all feeds together. When there are more, all are forgotten, and every
/// reader that asks for news gets one whole feed.
const VERSIONS_REMEMBERED: usize = 20_000;

/// The served files.
pub(crate) struct Shelf {
    folder: PathBuf,
    public: Url,
    hubs: Vec<Url>,
    /// The bodies may take so many bytes together; those that nobody wanted for longest go first.
    budget: usize,
    held: AtomicUsize,
    since: Instant,
    entries: RwLock<HashMap<Box<str>, Arc<Entry>>>,
    histories: Mutex<HashMap<Box<str>, History>>,
    /// Reading and compressing is work for few threads; who waits for it waits here.
    workers: Arc<Semaphore>,
}

/// A file that has been read.
pub(crate) struct Entry {
    pub(crate) version: Arc<Version>,
    stamp: Stamp,
    /// Milliseconds since the start.
    checked: AtomicU64,
    used: AtomicU64,
}

/// Why there is nothing to serve.
#[derive(Debug)]
pub(crate) enum Absent {
    /// There is no such file in the folder.
    Missing,
    /// There is a folder of this name.
    Folder,
    /// It is there and cannot be read.
    Unreadable(io::Error),
}

impl Shelf {
    /// `public` is the address of the folder; `budget` in bytes.
    pub(crate) fn new(folder: PathBuf, public: Url, hubs: Vec<Url>, budget: usize) -> Shelf {
        let workers = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
        Shelf {
            folder,
            public,
            hubs,
            budget,
            held: AtomicUsize::new(0),
            since: Instant::now(),
            entries: RwLock::default(),
            histories: Mutex::default(),
            workers: Arc::new(Semaphore::new(workers)),
        }
    }

    /// The bytes that bodies take in memory.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// The file, if it is in memory and was looked after less than a second ago. Of those who find it older one gets
    /// `None` and is to call [`Shelf::fetch`]; the others are served meanwhile.
    pub(crate) fn fresh(&self, path: &str) -> Option<Arc<Version>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(path)?;
        let now = self.now();
        let checked = entry.checked.load(Relaxed);
        if now >= checked + millis(LOOK_EVERY) && entry.checked.compare_exchange(checked, now, Relaxed, Relaxed).is_ok()
        {
            return None;
        }
        if now >= entry.used.load(Relaxed) + millis(LOOK_EVERY) {
            entry.used.store(now, Relaxed);
        }
        Some(entry.version.clone())
    }

    /// The file as it is on disk now.
    pub(crate) async fn fetch(self: &Arc<Self>, path: &str) -> Result<Arc<Version>, Absent> {
        let stamp = match fs::metadata(self.folder.join(path)) {
            Ok(metadata) if metadata.is_dir() => return Err(Absent::Folder),
            Ok(metadata) if metadata.is_file() => Stamp::of(&metadata),
            Ok(_) => return Err(Absent::Missing),
            Err(error) => return self.without(path, error),
        };
        if let Some(version) = self.current(path, stamp) {
            return Ok(version);
        }
        let worker = self.workers.clone().acquire_owned().await;
        // Somebody else may have read it while we waited.
        if let Some(version) = self.current(path, stamp) {
            return Ok(version);
        }
        let (shelf, path_owned) = (self.clone(), path.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            let _worker = worker;
            shelf.read(&path_owned)
        });
        match read.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
            Ok(version) => Ok(version),
            Err(error) => self.without(path, error),
        }
    }

    /// The body in this encoding, made now if it has not been.
    pub(crate) async fn body(self: &Arc<Self>, version: &Arc<Version>, encoding: Encoding) -> io::Result<Bytes> {
        let worker = self.workers.clone().acquire_owned().await;
        if let Some(made) = version.made(encoding) {
            return Ok(made);
        }
        let (shelf, version) = (self.clone(), version.clone());
        let made = tokio::task::spawn_blocking(move || {
            let _worker = worker;
            let body = version.make(encoding)?;
            shelf.keep_to_budget(weight(encoding, body.len()));
            Ok(body)
        });
        made.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
    }

    /// The feed with only those items that the version with one of these tags had not. `None`: that version is not
    /// known, or nothing in it is new.
    pub(crate) fn news<'a>(
        &self,
        path: &str,
        version: &Version,
        mut tags: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Bytes> {
        let parts = version.parts.as_ref()?;
        let histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
        let history = histories.get(path)?;
        let known = tags.find_map(|tag| history.items(content_tag(tag)?))?;
        parts.without(&version.bytes(), known)
    }

    fn current(&self, path: &str, stamp: Stamp) -> Option<Arc<Version>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(path).filter(|entry| entry.stamp == stamp)?;
        entry.checked.store(self.now(), Relaxed);
        Some(entry.version.clone())
    }

    /// What is gone is forgotten, and so is what has become too large, which it may stay for ever; what cannot be read at
    /// the moment is served as it was.
    fn without(&self, path: &str, error: io::Error) -> Result<Arc<Version>, Absent> {
        use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
        if matches!(error.kind(), NotFound | NotADirectory | InvalidInput | InvalidFilename) {
            self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(path);
            return Err(Absent::Missing);
        }
        if error.kind() == io::ErrorKind::FileTooLarge {
            self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(path);
            return Err(Absent::Unreadable(error));
        }
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(path) else { return Err(Absent::Unreadable(error)) };
        tracing::error!(path, because = %error, "a file cannot be read: its last version is served");
        Ok(entry.version.clone())
    }

    /// Reads a file that is new or has changed, and takes it up. Blocks.
    fn read(&self, path: &str) -> io::Result<Arc<Version>> {
        let (bytes, file, stamp, modified) = read_whole(&self.folder, path)?;
        let before = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(path).map(|e| e.version.clone());
        let mut modified = whole_seconds(modified);
        if let Some(before) = &before {
            // A date that stood still or went back (two builds in a second, an older build put back) would tell readers
            // that nothing changed.
            modified = modified.max(before.modified + Duration::from_secs(1));
        }
        let new = Version::new(path, bytes, modified, self.link(path).as_ref()).read_from(file, stamp);
        let version = match before {
            Some(before) if before.tag == new.tag => before,
            before => {
                // What readers wanted of the last version they will want of this one; made before it is shown, so that
                // nobody waits.
                for encoding in Encoding::ALL {
                    if before.as_ref().is_some_and(|before| before.made(encoding).is_some()) && new.has(encoding) {
                        new.make(encoding)?;
                    }
                }
                Arc::new(new)
            }
        };
        if let Some(parts) = &version.parts {
            let mut histories = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
            if histories.values().map(History::len).sum::<usize>() >= VERSIONS_REMEMBERED {
                histories.clear();
            }
            histories.entry(path.into()).or_default().remember(&version.tag, parts);
        }
        let now = self.now();
        let entry = Entry { version: version.clone(), stamp, checked: now.into(), used: now.into() };
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(path.into(), Arc::new(entry));
        self.keep_to_budget(version.size());
        Ok(version)
    }

    /// Counts so many bytes more; over the limit, drops what nobody wanted for longest until a quarter is free.
    fn keep_to_budget(&self, more: usize) {
        if self.held.fetch_add(more, Relaxed) + more <= self.budget {
            return;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut oldest: Vec<(u64, usize, Box<str>)> =
            entries.iter().map(|(path, e)| (e.used.load(Relaxed), e.version.size(), path.clone())).collect();
        oldest.sort_unstable();
        let mut held: usize = oldest.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in oldest {
            if held <= self.budget / 4 * 3 {
                break;
            }
            entries.remove(&path);
            held -= size;
        }
        self.held.store(held, Relaxed);
    }

    /// `Link` of a feed: its own address, and the hubs that know of changes first (W3C WebSub, section 4).
    fn link(&self, path: &str) -> Option<HeaderValue> {
        if media::of(path).sort != Sort::Feed {
            return None;
        }
        let own = self.public.join(path).ok()?;
        let hubs = self.hubs.iter().map(|hub| format!("<{hub}>; rel=\"hub\", "));
        Some(text(&format!("{}<{own}>; rel=\"self\"", hubs.collect::<String>())))
    }

    fn now(&self) -> u64 {
        millis(self.since.elapsed())
    }
}

/// The content's tag in an entity tag: `"tag"` or `"tag.gzip"`.
fn content_tag(etag: &[u8]) -> Option<&str> {
    let inner = str::from_utf8(etag).ok()?.strip_prefix('"')?.strip_suffix('"')?;
    inner.split('.').next()
}

/// Reads the file, if what the path leads to is a file within the folder. Links within the folder are followed. Tells where
/// the file is in truth, its stamp, and its date.
fn read_whole(folder: &Path, path: &str) -> io::Result<(Bytes, PathBuf, Stamp, SystemTime)> {
    let folder = fs::canonicalize(folder)?;
    let place = fs::canonicalize(folder.join(path))?;
    if !place.starts_with(&folder) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "outside the folder"));
    }
    let mut file = File::open(&place)?;
    let metadata = file.metadata()?;
    if metadata.len() > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {LARGEST_FILE} bytes")));
    }
    let stamp = Stamp::of(&metadata);
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.by_ref().take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if !stamp.same_bytes(&Stamp::of(&file.metadata()?)) || bytes.len() as u64 != stamp.size {
        // Written into instead of replaced: half of it would be worse than the old one.
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "it is being written"));
    }
    Ok((Bytes::from(bytes.into_boxed_slice()), place, stamp, metadata.modified().unwrap_or(UNIX_EPOCH)))
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shelf(budget: usize) -> (tempfile::TempDir, Arc<Shelf>) {
        let folder = tempfile::tempdir().unwrap();
        let public = Url::parse("https://acero-advocate.example/feeds/").unwrap();
        let shelf = Shelf::new(folder.path().to_owned(), public, Vec::new(), budget);
        (folder, Arc::new(shelf))
    }

    #[tokio::test]
    async fn memory_stays_within_its_limit_and_the_least_wanted_go_first() {
        let (folder, shelf) = shelf(10_000);
        for n in 0..40 {
            fs::write(folder.path().join(format!("{n}.xml")), vec![b'x'; 1_000]).unwrap();
        }
        for n in 0..40 {
            shelf.fetch(&format!("{n}.xml")).await.unwrap();
            assert!(shelf.held() <= 10_000, "{}", shelf.held());
        }
        assert!(shelf.fresh("0.xml").is_none());
        assert!(shelf.fresh("39.xml").is_some());
        assert_eq!(shelf.fetch("0.xml").await.unwrap().bytes().len(), 1_000);
    }

    #[tokio::test]
    async fn a_date_that_went_back_is_not_shown_to_readers() {
        let (folder, shelf) = shelf(1 << 20);
        let file = folder.path().join("rss.xml");
        fs::write(&file, "new").unwrap();
        let first = shelf.fetch("rss.xml").await.unwrap();
        fs::write(&file, "older").unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
        let second = shelf.fetch("rss.xml").await.unwrap();
        assert_eq!(second.bytes(), "older");
        assert_eq!(second.modified, first.modified + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_file_written_anew_with_the_same_bytes_is_the_same_version() {
        let (folder, shelf) = shelf(1 << 20);
        let file = folder.path().join("rss.xml");
        fs::write(&file, "same").unwrap();
        let first = shelf.fetch("rss.xml").await.unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, "same").unwrap();
        assert!(Arc::ptr_eq(&first, &shelf.fetch("rss.xml").await.unwrap()));
    }

    #[tokio::test]
    async fn what_cannot_be_served_says_why() {
        let (folder, shelf) = shelf(1 << 20);
        fs::create_dir(folder.path().join("campus")).unwrap();
        File::create(folder.path().join("huge.xml")).unwrap().set_len(LARGEST_FILE + 1).unwrap();
        assert!(matches!(shelf.fetch("none.xml").await, Err(Absent::Missing)));
        assert!(matches!(shelf.fetch("none/none.xml").await, Err(Absent::Missing)));
        assert!(matches!(shelf.fetch("campus").await, Err(Absent::Folder)));
        assert!(matches!(shelf.fetch("huge.xml").await, Err(Absent::Unreadable(_))));
        // One that has grown is not served as it was for ever.
        let file = folder.path().join("rss.xml");
        fs::write(&file, "small").unwrap();
        shelf.fetch("rss.xml").await.unwrap();
        File::options().write(true).open(&file).unwrap().set_len(LARGEST_FILE + 1).unwrap();
        assert!(matches!(shelf.fetch("rss.xml").await, Err(Absent::Unreadable(_))));
        assert!(shelf.fresh("rss.xml").is_none());
    }

    #[test]
    fn an_entity_tag_names_its_content_in_every_encoding() {
        assert_eq!(content_tag(b"\"abc\""), Some("abc"));
        assert_eq!(content_tag(b"\"abc.gzip\""), Some("abc"));
        assert_eq!(content_tag(b"*"), None);
        assert_eq!(content_tag(b"\"\xff\""), None);
    }
}
